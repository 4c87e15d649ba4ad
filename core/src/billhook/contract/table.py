"""Every hook in one table: its topic, its arguments and its kind, read from the specs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from billhook.contract.hooks import PROJECT, PROVIDER_SPECS, ObserverSpec
from billhook.contract.operations import OPERATIONS, PURE_HOOKS, READING_HOOKS


class HookKind(StrEnum):
    """What a hook is, and so who may implement it and in which form."""

    OPERATION = "operation"
    PURE = "pure"
    READING = "reading"
    OBSERVER = "observer"


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook. ``arguments`` leaves out ``self``."""

    name: str
    topic: str
    kind: HookKind
    arguments: tuple[str, ...]


def kind_of(name: str) -> HookKind:
    """The kind of the hook of that name."""
    if name in OPERATIONS:
        return HookKind.OPERATION
    if name in PURE_HOOKS:
        return HookKind.PURE
    if name in READING_HOOKS:
        return HookKind.READING
    return HookKind.OBSERVER


def _hooks_of(spec: type) -> Iterator[Hook]:
    for name, function in vars(spec).items():
        if hasattr(function, f"{PROJECT}_spec"):
            _self, *arguments = inspect.signature(function).parameters
            yield Hook(name, spec.__name__, kind_of(name), tuple(arguments))


HOOKS: Mapping[str, Hook] = MappingProxyType(
    {hook.name: hook for spec in (*PROVIDER_SPECS, ObserverSpec) for hook in _hooks_of(spec)}
)
PROVIDER_HOOKS = frozenset(name for name, hook in HOOKS.items() if hook.kind is not HookKind.OBSERVER)
