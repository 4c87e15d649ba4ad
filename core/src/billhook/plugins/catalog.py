"""Which providers there are, what they say of themselves, and loading one by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version as version_of
from typing import Any

from billhook.contract import Declaration, Provider
from billhook.contract.declaration import Sdk
from billhook.contract.entry_points import PROVIDERS
from billhook.errors import ContractViolation, ProviderLoadError
from billhook.plugins.checks import check_provider
from billhook.plugins.discovery import Installed, install_command, installed, listed, load, only_one
from billhook.plugins.handle import UNPACKAGED, ProviderHandle


@dataclass(frozen=True, slots=True)
class ProviderListing:
    """A provider as metadata knows it. ``distribution`` is None for a class that the host handed in."""

    name: str
    distribution: str | None
    version: str
    target: str
    """Where it is imported from, ``module:attribute``."""


@dataclass(frozen=True, slots=True)
class SdkStatus:
    """The vendor's package that a provider imports at first use. ``installed`` is its version, None when it is not there."""

    requirement: str
    installed: str | None
    install: str | None
    """The command that installs it, when it is missing."""


@dataclass(frozen=True, slots=True)
class ProviderDescription:
    """What a provider says of itself, or the ``problem`` that keeps it from loading."""

    name: str
    distribution: str | None
    version: str
    declaration: Declaration | None
    problem: str | None
    requirement: SdkStatus | None


class ProviderCatalog:
    """The installed providers, and the classes that a host hands in.

    Metadata is read once, at first use. Nothing is imported but the one provider that is asked for. With ``allow``, no other name is
    listed, and none is imported. Classes that are handed in are checked at once.
    """

    def __init__(self, *, allow: Collection[str] | None = None, objects: Iterable[type[Provider[Any]]] = ()) -> None:
        self._allow = None if allow is None else frozenset(allow)
        self._objects = tuple(map(check_provider, objects))
        self._loaded: dict[str, type[Provider[Any]]] = {}
        self._handles: dict[str, ProviderHandle] = {}

    @classmethod
    def from_objects(
        cls, objects: Iterable[type[Provider[Any]]], *, allow: Collection[str] | None = None
    ) -> ProviderCatalog:
        """A catalog of these classes alone; nothing that is installed is looked at."""
        catalog = cls(allow=allow, objects=objects)
        catalog._installed = ()
        return catalog

    @cached_property
    def _installed(self) -> tuple[Installed, ...]:
        return installed(PROVIDERS)

    def names(self) -> tuple[str, ...]:
        """The names of all allowed providers, sorted."""
        return tuple(sorted({listing.name for listing in self.listing()}))

    def listing(self) -> tuple[ProviderListing, ...]:
        """All allowed providers, sorted by name; one that is installed twice is there twice."""
        everything = [*map(_list_installed, self._installed), *map(_list_object, self._objects)]
        allowed = (entry for entry in everything if self._allows(entry.name))
        return tuple(sorted(allowed, key=lambda entry: (entry.name, entry.distribution or "")))

    def describe(self, name: str) -> ProviderDescription:
        """What a provider says of itself. A provider that can't be loaded is described by its problem.

        Raises ProviderLoadError when the name is unknown or not allowed.
        """
        first, *others = self._find(name)
        distribution = (
            ", ".join(entry.distribution or "the host" for entry in (first, *others)) if others else first.distribution
        )
        try:
            declaration = self.load(name).declaration
        except ProviderLoadError as error:
            return ProviderDescription(name, distribution, first.version, None, str(error), None)
        requirement = None if declaration.sdk is None else _status(declaration.sdk, name, first)
        return ProviderDescription(name, distribution, first.version, declaration, None, requirement)

    def load(self, name: str) -> type[Provider[Any]]:
        """The provider class, imported and checked against the contract. The second time costs nothing.

        Raises ProviderLoadError when it is not allowed, not there, there twice or can't be imported; ContractViolation, which lists
        every fault, when it breaks the contract.
        """
        self._find(name)
        if name not in self._loaded:
            self._loaded[name] = _checked(name, self._import(name))
        return self._loaded[name]

    def handle(self, name: str, overrides: Sequence[object] = ()) -> ProviderHandle:
        """A typed handle on the provider, with the host's overrides for one app ahead of it.

        Apps without overrides share one handle: a provider holds no state. Raises what ``load`` raises, and ContractViolation for an
        override of anything but a pure hook.
        """
        provider, version = self.load(name), self._find(name)[0].version
        if overrides:
            return ProviderHandle(provider, overrides, version=version)
        if name not in self._handles:
            self._handles[name] = ProviderHandle(provider, version=version)
        return self._handles[name]

    def _allows(self, name: str) -> bool:
        return self._allow is None or name in self._allow

    def _find(self, name: str) -> list[ProviderListing]:
        if not self._allows(name):
            raise ProviderLoadError(
                f"The provider {name!r} is not allowed here (allowed: {listed(self._allow or ())}). Add it to the allowed providers."
            )
        found = [entry for entry in self.listing() if entry.name == name]
        if found:
            return found
        command = install_command(name)
        raise ProviderLoadError(
            f"There is no provider {name!r} (there are: {listed(self.names())}). "
            + (f"Install it: {command}" if command else "Install the distribution that offers it, or check the name.")
        )

    def _import(self, name: str) -> object:
        objects = [provider for provider in self._objects if provider.declaration.type == name]
        packaged = [entry for entry in self._installed if entry.name == name]
        if not objects:
            return load(only_one(packaged))
        if len(objects) + len(packaged) > 1:
            others = listed([*(provider.__qualname__ for provider in objects), *(entry.owner for entry in packaged)])
            raise ProviderLoadError(
                f"The provider {name!r} is handed in by the host, and is there more than once: {others}. Keep one."
            )
        return objects[0]


def _list_installed(entry: Installed) -> ProviderListing:
    return ProviderListing(entry.name, entry.distribution, entry.version, entry.entry_point.value)


def _list_object(provider: type[Provider[Any]]) -> ProviderListing:
    target = f"{provider.__module__}:{provider.__qualname__}"
    return ProviderListing(provider.declaration.type, None, UNPACKAGED, target)


def _checked(name: str, provider: object) -> type[Provider[Any]]:
    provider = check_provider(provider)
    declared = provider.declaration.type
    if declared != name:
        raise ContractViolation(
            f"The entry point {name!r} leads to {provider.__name__}, which declares the type {declared!r}. Give both the same name."
        )
    return provider


def _status(sdk: Sdk, name: str, listing: ProviderListing) -> SdkStatus:
    try:
        return SdkStatus(sdk.requirement, version_of(sdk_distribution(sdk.requirement)), None)
    except PackageNotFoundError:
        return SdkStatus(sdk.requirement, None, _sdk_command(sdk, name, listing))


def sdk_distribution(requirement: str) -> str:
    """The name alone of a requirement such as ``stripe>=16.1,<17``."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]


def _sdk_command(sdk: Sdk, name: str, listing: ProviderListing) -> str:
    if sdk.extra and listing.distribution:
        return f'pip install "{listing.distribution}[{sdk.extra}]"'
    return install_command(name) or f'pip install "{sdk.requirement}"'
