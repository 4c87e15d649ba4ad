"""Commands that other distributions add, by entry points of the group ``billhook.commands``: each names a function that takes the
command line's application and adds one command to it, under the entry point's own name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from billhook.errors import ProviderLoadError

if TYPE_CHECKING:
    import typer

COMMANDS = "billhook.commands"


def origins() -> dict[str, str]:
    """The distribution that each of them comes from, as a sentence by name. None of them is imported."""
    found = sorted((entry.name, entry.dist.name if entry.dist else "") for entry in entry_points(group=COMMANDS))
    return {name: f"Added by {distribution}; billhook {name} --help tells more." for name, distribution in found}


def add_commands(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add them where they can matter: a command of our own is found without looking at what is installed.

    Raises ProviderLoadError for a name that two distributions claim, and for one whose module can't be imported.
    """
    own = {entry.name for entry in app.registered_commands} | {str(group.name) for group in app.registered_groups}
    if next((word for word in arguments if not word.startswith("-")), None) in own:
        return
    found = entry_points(group=COMMANDS)
    for name in sorted(found.names - own):
        first, *others = found.select(name=name)
        if others:
            owners = ", ".join(entry.value for entry in (first, *others))
            raise ProviderLoadError(f"The command {name!r} is offered by several: {owners}. Uninstall all but one.")
        _load(first)(app)


def _load(entry: EntryPoint) -> Callable[[typer.Typer], None]:
    try:
        return entry.load()  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as error:
        owner = entry.dist.name if entry.dist else entry.value
        raise ProviderLoadError(
            f"The command {entry.name!r} of {owner} could not be imported: {error}. Upgrade that distribution, or uninstall it."
        ) from error
