"""The command group `providers`: what is installed, and whether it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.exits import REFUSED
from billhook.cli.output import fields, table
from billhook.cli.session import Session, catalog
from billhook.errors import ProviderLoadError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.plugins.catalog import ProviderCatalog, ProviderDescription, ProviderListing

group = typer.Typer(help="What is installed: list, describe, examine.", no_args_is_help=True)
ONLY_JSON = ("as_json",)


@command(group, "list", shared=ONLY_JSON)
def list_providers(session: Session) -> None:
    """The installed providers. None of them is imported."""
    listing = catalog().listing()
    rows = [(entry.name, entry.distribution, entry.version, entry.target) for entry in listing]
    session.answer({"items": listing}, lambda: table(("name", "distribution", "version", "target"), rows))


@command(group, "show", shared=ONLY_JSON)
def show_provider(session: Session, name: Annotated[str, typer.Argument(help="As in `providers list`.")]) -> None:
    """What a provider says of itself: what it can do, its settings, limits and rules."""
    description = catalog().describe(name)
    if description.declaration is None:
        raise ProviderLoadError(description.problem or f"The provider {name!r} says nothing of itself.")
    session.answer(_described(description), lambda: _page(description))


@command(group, "doctor", shared=ONLY_JSON)
def examine_providers(session: Session) -> None:
    """Load every provider, check it against the contract and its imports, and look for the SDKs that they need."""
    known = catalog()
    findings = [_examined(known, entry) for entry in known.listing()]
    if not findings:
        findings = [{"name": "(none)", "problem": "No provider is installed. Install one: pip install billhook-manual"}]
    rows = [(finding["name"], finding["problem"] or "sound") for finding in findings]
    session.answer({"items": findings}, lambda: table(("provider", "finding"), rows))
    if any(finding["problem"] for finding in findings):
        raise typer.Exit(REFUSED)


def _examined(known: ProviderCatalog, entry: ProviderListing) -> dict[str, Any]:
    description = known.describe(entry.name)
    problem = description.problem or _missing_sdk(description) or _heavy_imports(entry)
    return {"name": entry.name, "distribution": entry.distribution, "version": entry.version, "problem": problem}


def _missing_sdk(description: ProviderDescription) -> str | None:
    sdk = description.requirement
    if sdk is None or sdk.installed is not None:
        return None
    return f"It needs {sdk.requirement}, which is not installed. Install it: {sdk.install}"


def _heavy_imports(entry: ProviderListing) -> str | None:
    from billhook.plugins.imports import check_imports

    try:
        check_imports(entry.target)
    except ProviderLoadError as error:
        return str(error)
    return None


def _described(description: ProviderDescription) -> dict[str, Any]:
    declaration = description.declaration
    assert declaration is not None
    where = {"distribution": description.distribution, "version": description.version}
    return {**where, "sdk_status": description.requirement, **declaration.describe()}


def _page(description: ProviderDescription) -> RenderableType:
    from rich.console import Group

    said = _described(description)
    head = ("type", "name", "description", "distribution", "version", "contract", "numbers", "money", "keys", "limits")
    abilities = [(name, entry["level"], entry.get("reason")) for name, entry in said["capabilities"].items()]
    return Group(
        fields({name: said[name] for name in head}),
        table(("capability", "level", "reason"), abilities),
        table(
            ("setting", "type", "needed", "what it is"), _settings(said["settings_schema"]), title="settings (--set)"
        ),
        table(
            ("credential", "type", "needed", "what it is"),
            _settings(said["credentials_schema"] or {}),
            title="credentials (--credential)",
        ),
    )


def _settings(schema: dict[str, Any]) -> list[tuple[object, ...]]:
    needed = schema.get("required", ())
    return [
        (name, _kind(entry, schema), name in needed, _meaning(entry))
        for name, entry in schema.get("properties", {}).items()
    ]


def _kind(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type in a word or two: of what it may be, but for nothing at all."""
    if "$ref" in entry:
        return _kind(schema.get("$defs", {}).get(entry["$ref"].rpartition("/")[2], {}), schema)
    if "enum" in entry:
        return " or ".join(map(str, entry["enum"]))
    kinds = [_kind(choice, schema) for choice in entry.get("anyOf", ()) if choice.get("type") != "null"]
    return str(entry.get("type", "")) or " or ".join(dict.fromkeys(kinds))


def _meaning(entry: dict[str, Any]) -> str:
    said = str(entry.get("description") or entry.get("title") or "")
    default = entry.get("default")
    return (
        said
        if default in (None, "", [], {})
        else f"{said.rstrip('.')}. Else {str(default).lower() if default in (True, False) else default}."
    )
