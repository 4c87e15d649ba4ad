"""Commands that other distributions add, by entry points of the group ``billhook.commands``: each names a function that takes the
command line's application and adds one command to it, under the entry point's own name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

COMMANDS = "billhook.commands"


def origins() -> dict[str, str]:
    """The distribution that each of them comes from, as a sentence by name. None of them is imported."""
    found = sorted((entry.name, entry.dist.name if entry.dist else "") for entry in entry_points(group=COMMANDS))
    return {name: f"Added by {distribution}; billhook {name} --help tells more." for name, distribution in found}


def add_commands(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add them where they can matter: a command of our own is found without looking at what is installed.

    Raises ProviderLoadError where one of them can't be imported, or is installed twice.
    """
    own = {entry.name for entry in app.registered_commands} | {str(group.name) for group in app.registered_groups}
    if next((word for word in arguments if not word.startswith("-")), None) in own:
        return
    from billhook.plugins.discovery import installed, load, only_one

    found = installed(COMMANDS)
    for name in sorted({entry.name for entry in found} - own):
        register = load(only_one([entry for entry in found if entry.name == name]))
        register(app)  # type: ignore[operator]
