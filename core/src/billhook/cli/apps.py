"""The command group `apps`: installing, configuring and switching apps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.inputs import changed, json_object, limits, pairs, secrets
from billhook.cli.inside import changed_settings, given_settings
from billhook.cli.options import AppId, Asked, FromEnvironment, MappingFile, Settings, SettingsFile, repeatable
from billhook.cli.output import fields, table
from billhook.cli.plain import plain
from billhook.cli.session import Session, catalog

if TYPE_CHECKING:
    from billhook.engine.records import App

group = typer.Typer(help="Installed providers: settings, credentials, switches.", no_args_is_help=True)

Label = Annotated[
    list[str],
    repeatable("--label", "NAME=VALUE"),
]
Limit = Annotated[
    list[str],
    repeatable("--limit", "NAME=CALLS", "How many calls of a limit of the provider may be made. Repeatable."),
]
Unset = Annotated[
    list[str],
    repeatable(
        "--unset", "NAME", "Take a setting back, or one inside: the provider's own value holds again. Repeatable."
    ),
]
UnsetCredential = Annotated[
    list[str],
    repeatable("--unset", "NAME", "Take a credential back. Repeatable."),
]
Unlabel = Annotated[
    list[str],
    repeatable("--unlabel", "NAME"),
]
Unlimit = Annotated[
    list[str],
    repeatable("--unlimit", "NAME", "Let the limit hold again as the provider declares it. Repeatable."),
]


@command(group, "list")
def list_apps(session: Session, deleted: Annotated[bool, typer.Option(help="Uninstalled ones too.")] = False) -> None:
    """The apps in the order of their installation."""
    with session.billing() as billing:
        found = billing.apps.list(include_deleted=deleted, page_size=1000)
    rows = [(app.id, app.type, app.name, app.status, app.enabled, app.has_credentials) for app in found.items]
    session.answer(found, lambda: table(("id", "type", "name", "status", "enabled", "credentials"), rows))


@command(group, "install")
def install(
    session: Session,
    type: Annotated[str, typer.Argument(metavar="TYPE", help="A provider, as in `providers list`.")],
    *,
    name: Annotated[str | None, typer.Option(help="The provider's own where none is given.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    set: Settings,
    settings_file: SettingsFile = None,
    mapping_file: MappingFile = None,
    label: Label,
    limit: Limit,
    credential: Asked,
    credential_env: FromEnvironment,
) -> None:
    """Install a provider as an app."""
    given = secrets(credential, credential_env)
    with session.billing(create=True) as billing:
        app = billing.apps.install(
            type,
            name=name,
            description=description,
            settings=given_settings(type, set, settings_file),
            credentials=given,
            labels=pairs(label, "--label"),
            mapping=json_object(mapping_file) if mapping_file else None,
            limits=limits(limit),
        )
    _answer(session, app)
    if app.status == "unauthorized" and not session.as_json:
        print(_how_to_authorize(app), file=sys.stderr)


@command(group, "show")
def show(session: Session, app_id: AppId) -> None:
    """One app. Its credentials are never shown."""
    with session.billing() as billing:
        _answer(session, billing.apps.get(app_id))


@command(group, "update")
def update(
    session: Session,
    app_id: AppId,
    *,
    name: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option()] = None,
    set: Settings,
    settings_file: SettingsFile = None,
    mapping_file: MappingFile = None,
    unset: Unset,
    label: Label,
    unlabel: Unlabel,
    limit: Limit,
    unlimit: Unlimit,
) -> None:
    """Change what is given. Settings, labels and limits that are not named stay; mapping rules are replaced as a whole."""
    with session.billing() as billing:
        app = billing.apps.get(app_id)
        changes: dict[str, Any] = {"name": name, "description": description}
        changes["settings"] = changed_settings(app.type, app.settings, set, settings_file, unset)
        changes["labels"] = changed(app.labels, pairs(label, "--label"), unlabel, "--unlabel")
        changes["limits"] = changed(app.limits, limits(limit), unlimit, "--unlimit")
        changes["mapping"] = json_object(mapping_file) if mapping_file else None
        stated = {field: value for field, value in changes.items() if value is not None}
        _answer(session, billing.apps.update(app_id, **stated))


@command(group, "enable")
def enable(session: Session, app_id: AppId) -> None:
    """Go on with what waits for the app."""
    with session.billing() as billing:
        _answer(session, billing.apps.enable(app_id))


@command(group, "disable")
def disable(session: Session, app_id: AppId) -> None:
    """Send nothing to the app until it is enabled. Its work waits."""
    with session.billing() as billing:
        _answer(session, billing.apps.disable(app_id))


@command(group, "credentials")
def set_credentials(
    session: Session, app_id: AppId, *, credential: Asked, credential_env: FromEnvironment, unset: UnsetCredential
) -> None:
    """Give the app new credentials; those that are not named stay. Work that was held for want of them goes on."""
    given = secrets(credential, credential_env)
    if given is None and not unset:
        raise typer.BadParameter("Name at least one.", param_hint="--credential")
    with session.billing() as billing:
        _answer(session, billing.apps.set_credentials(app_id, given or {}, unset=unset))


@command(group, "check")
def check(session: Session, app_id: AppId) -> None:
    """Whether the app's credentials work, and which accounts they reach. Sends a request to the provider."""
    with session.engine() as engine:
        app = engine.namespace(session.namespace).apps.get(app_id)
        result = engine.check_connection(app_id)
    checked = _can_be_checked(app)
    said = "The connection works." if checked else _unchecked(app)
    session.answer({"checked": checked, **plain(result)}, lambda: said)


@command(group, "uninstall")
def uninstall(session: Session, app_id: AppId) -> None:
    """Take the app away with its credentials. Refused while anything open needs it."""
    with session.billing() as billing:
        billing.apps.uninstall(app_id)
        _answer(session, billing.apps.get(app_id))


def _unchecked(app: App) -> str:
    return f"Nothing to check: {app.name} has no check of its connection. As far as is known it is {app.status}."


def _can_be_checked(app: App) -> bool:
    from billhook.contract.declaration import Capability

    declaration = catalog().describe(app.type).declaration
    return declaration is not None and declaration.can(Capability.CHECK_CONNECTION)


def _how_to_authorize(app: App) -> str:
    from billhook.engine.connections import missing_credentials

    declaration = catalog().describe(app.type).declaration
    assert declaration is not None
    return missing_credentials(app.id, app.name, declaration)


def _answer(session: Session, app: App) -> None:
    session.answer(app, lambda: fields(app.model_dump(mode="json")))
