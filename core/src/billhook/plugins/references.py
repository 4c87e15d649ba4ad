"""The functions that a provider names in its requests: each must be there, and registered."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import FunctionType
from typing import Any

from billhook.contract import Provider
from billhook.contract.provider import is_registered
from billhook.plugins.generators import FUNCTIONS_REMEMBERED, parsed

_NAMING = frozenset({"function", "Function"})
"""``self.function("match")`` and ``Function("match")``."""


def reference_problems(provider: type[Provider[Any]]) -> Iterator[str]:
    """Each function that a method names in so many letters and that is not registered. A method without source is passed over."""
    for function in _methods(provider):
        for name in _named(function):
            if not is_registered(inspect.getattr_static(provider, name, None)):
                yield (
                    f"{function.__name__} names the function {name!r}, which is not registered. "
                    "Define it on the provider and mark it with @registered"
                )


def _methods(provider: type[Provider[Any]]) -> Iterator[FunctionType]:
    for name in dir(provider):
        member = inspect.getattr_static(provider, name)
        function = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else None
        if isinstance(function, FunctionType) and member is not vars(Provider).get(name):
            yield function


@lru_cache(FUNCTIONS_REMEMBERED)
def _named(function: FunctionType) -> tuple[str, ...]:
    tree = parsed(function)
    return () if tree is None else tuple(dict.fromkeys(_names_in(tree)))


def _names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _last_name(node.func) not in _NAMING:
            continue
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def _last_name(called: ast.expr) -> str | None:
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else None
