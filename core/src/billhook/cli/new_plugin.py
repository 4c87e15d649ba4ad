"""The command `new-plugin`: a provider's distribution, to be filled in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.testing.new_plugin import NewPlugin


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "new-plugin", shared=("as_json",))(new_plugin)


def new_plugin(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(help="Of the provider, such as acme or acme_books.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="Where its folder goes.")] = Path(),
) -> None:
    """Write a plugin of your own: provider, simulator, tests and packaging, which pass `billhook check` as they are.

    Nothing is written where the name is taken or the folder is there already.
    """
    from billhook.testing.new_plugin import write_plugin

    written = write_plugin(name, into)
    session.answer(_as_json(written), lambda: _as_text(written))


def _as_json(written: NewPlugin) -> dict[str, object]:
    plugin = written.name
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "package": plugin.package,
        "folder": str(written.folder),
        "files": list(written.files),
    }


def _as_text(written: NewPlugin) -> str:
    files = "\n".join(f"  {path}" for path in written.files)
    return (
        f"{written.folder} holds a whole plugin:\n{files}\n\nNow:\n"
        f'  pip install -e "{written.folder}[test]"\n  billhook check {written.name.name}\n'
    )
