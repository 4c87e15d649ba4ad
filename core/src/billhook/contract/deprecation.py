"""What of the contract is going to go: it still works, whoever uses it is warned, and the version that removes it is named beforehand."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from billhook.contract.provider import Provider
from billhook.contract.table import PROVIDER_HOOKS
from billhook.contract.version import ContractVersion


@dataclass(frozen=True, slots=True)
class Deprecation:
    """One thing that is going to go. ``what`` is its path in the described contract: ``hooks.send``, ``hooks.map_line.arguments.invoice``
    or ``types.Declaration.fields.homepage``. ``since`` and ``removed_in`` are versions of the contract; the latter is a major.
    """

    what: str
    since: str
    removed_in: str
    instead: str


DEPRECATED: tuple[Deprecation, ...] = ()
"""Nothing is going to go at present."""


def warning(provider: str, deprecation: Deprecation) -> str:
    """What the author of a provider is told."""
    kind, *path = deprecation.what.split(".")
    names = [name for name in path if name not in {"arguments", "fields"}]
    what = f"the argument {names[1]} of {names[0]}" if kind == "hooks" and len(names) > 1 else ".".join(names)
    return (
        f"{provider} uses {what}, which is deprecated since contract {deprecation.since} and goes away in "
        f"{deprecation.removed_in}. Use {deprecation.instead} instead."
    )


def used_by(provider: type[Provider[Any]], deprecated: Sequence[Deprecation]) -> Iterator[Deprecation]:
    """What of it a provider uses: hooks that it implements, arguments that it names, fields that its declaration sets."""
    if not deprecated:
        return
    uses = {*_hooks(provider), *_fields(provider.declaration)}
    yield from (each for each in deprecated if each.what in uses)


def _hooks(provider: type[Provider[Any]]) -> Iterator[str]:
    for name in PROVIDER_HOOKS:
        hook = getattr(provider, name)
        if hook is not getattr(Provider, name):
            yield f"hooks.{name}"
            yield from (f"hooks.{name}.arguments.{argument}" for argument in inspect.signature(hook).parameters)


def _fields(value: Any) -> Iterator[str]:
    """The fields that were given, in a declaration and in what stands in it."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield f"types.{type(value).__name__}.fields.{name}"
            yield from _fields(getattr(value, name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _fields(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from _fields(part)


def expired(deprecated: Sequence[Deprecation], current: ContractVersion) -> Iterator[str]:
    """What should be gone by that version, and is still there."""
    for each in deprecated:
        if ContractVersion.parse(each.removed_in) <= current:
            yield f"{each.what} was to go away in {each.removed_in}, and this is {current}. Remove it, or give it another date."


def misstated(
    deprecated: Sequence[Deprecation], current: ContractVersion, described: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong in how a deprecation is written down."""
    for each in deprecated:
        since, removed_in = ContractVersion.parse(each.since), ContractVersion.parse(each.removed_in)
        if not _stands_in(described, each.what):
            yield f"{each.what} is deprecated, and is no part of the contract."
        if since > current:
            yield f"{each.what} is deprecated since {since}, and this is {current}."
        if removed_in.minor or removed_in <= since:
            yield f"{each.what} is to go away in {removed_in}. Only a later major takes anything away."


def _stands_in(described: Mapping[str, Any], path: str) -> bool:
    found: Any = described
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
