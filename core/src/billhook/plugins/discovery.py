"""Entry points: what is installed, and loading one of it by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from stevedore.driver import DriverManager

from billhook.errors import ProviderLoadError

EXTRAS = frozenset({"gocardless", "manual", "paypal", "quickbooks", "stripe", "xero"})
"""Providers that an extra of the same name installs."""

if TYPE_CHECKING:
    _Manager = DriverManager[Any]
else:
    _Manager = DriverManager  # earlier releases of stevedore are not generic


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry point with the distribution that owns it. Reading it imports nothing of that distribution."""

    entry_point: EntryPoint
    distribution: str
    version: str

    @property
    def name(self) -> str:
        """The name that it is loaded by."""
        return self.entry_point.name

    @property
    def owner(self) -> str:
        """The distribution and its version, for messages."""
        return f"{self.distribution} {self.version}"

    @property
    def noun(self) -> str:
        """What the group holds: a provider, a hook."""
        return self.entry_point.group.rpartition(".")[2].removesuffix("s")


def installed(group: str) -> tuple[Installed, ...]:
    """Every entry point of a group, by name and distribution. Metadata alone is read."""
    found = (_with_owner(entry_point) for entry_point in entry_points(group=group))
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.distribution)))


def _with_owner(entry_point: EntryPoint) -> Installed:
    distribution = entry_point.dist
    if distribution is None:
        return Installed(entry_point, "an unnamed distribution", "")
    return Installed(entry_point, distribution.name, distribution.version)


def only_one(found: Sequence[Installed]) -> Installed:
    """The one entry of a name. Raises ProviderLoadError when several are installed: which of them runs must be nobody's accident."""
    if len(found) > 1:
        owners = ", ".join(entry.owner for entry in found)
        raise ProviderLoadError(
            f"The {found[0].noun} {found[0].name!r} is offered {len(found)} times: {owners}. Uninstall all but the one you trust."
        )
    return found[0]


class _GivenDriver(_Manager):
    """Loads an entry point that was read from metadata just now.

    stevedore's own list comes out of a cache file that anybody may write, names no distribution and never expires.
    """

    def __init__(self, entry: Installed) -> None:
        self._given = [entry.entry_point]
        super().__init__(entry.entry_point.group, entry.name, on_load_failure_callback=_raise)

    def list_entry_points(self) -> list[EntryPoint]:
        return self._given


def _raise(_manager: object, _entry_point: EntryPoint, error: BaseException) -> None:
    raise error


def load(entry: Installed) -> object:
    """What the entry point names. Raises ProviderLoadError that tells a missing dependency from a broken plugin."""
    try:
        return _GivenDriver(entry).driver
    except ModuleNotFoundError as error:
        raise ProviderLoadError(_missing_module(entry, error.name or "")) from error
    except (Exception, SystemExit) as error:
        raise ProviderLoadError(
            f"The {entry.noun} {entry.name!r} of {entry.owner} could not be imported from {entry.entry_point.value!r}: "
            f"{type(error).__name__}: {error}. This is a fault of that distribution: upgrade it, or tell its authors."
        ) from error


def _missing_module(entry: Installed, missing: str) -> str:
    module = entry.entry_point.module
    if f"{module}.".startswith(f"{missing}."):
        return (
            f"The {entry.noun} {entry.name!r} should be in {module!r}, but {entry.owner} has no module {missing!r}. "
            f"Its installation is damaged: pip install --force-reinstall {entry.distribution}"
        )
    if missing.startswith(f"{module.partition('.')[0]}."):
        return (
            f"The {entry.noun} {entry.name!r} of {entry.owner} imports {missing!r}, which is not in it. "
            "This is a fault of that distribution: upgrade it, or tell its authors."
        )
    return (
        f"The {entry.noun} {entry.name!r} of {entry.owner} needs the module {missing!r}, which is not installed. "
        f"Install it with what it needs: {install_command(entry.name) or f'pip install --upgrade {entry.distribution}'}"
    )


def install_command(name: str) -> str | None:
    """The command that installs a provider we know by name, else None."""
    return f'pip install "billhook[{name}]"' if name in EXTRAS else None


def listed(names: Iterable[str]) -> str:
    """Names for a message; says so when there are none."""
    return ", ".join(sorted(set(names))) or "none"
