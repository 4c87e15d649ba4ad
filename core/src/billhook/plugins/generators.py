"""What the source of an operation must not do with its generator: the engine closes it whenever it parks the work."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import FunctionType
from typing import Any

from billhook.contract import Provider

FUNCTIONS_REMEMBERED = 4096
"""Reading the source takes a tenth of a second for a large provider, and every engine that is opened asks."""

_CATCH_CLOSING = frozenset({"BaseException", "GeneratorExit"})
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def closing_problems(provider: type[Provider[Any]]) -> Iterator[str]:
    """Each generator function of a provider, helpers too, that would not let itself be closed. One without source is passed over."""
    for function in _generator_functions(provider):
        yield from _closing_problems(function)


def _generator_functions(provider: type[Provider[Any]]) -> Iterator[Callable[..., Any]]:
    for cls in provider.__mro__:
        if cls is Provider:
            return
        for member in vars(cls).values():
            function = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else None
            if isinstance(function, FunctionType) and inspect.isgeneratorfunction(function):
                yield function


def parsed(function: Callable[..., Any]) -> ast.Module | None:
    """The function's source as a tree; None for one without source."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # compiled, or typed into an interpreter
        return None
    return ast.parse(f"if True:\n{source}" if source[0].isspace() else source)


@lru_cache(FUNCTIONS_REMEMBERED)
def _closing_problems(function: Callable[..., Any]) -> tuple[str, ...]:
    tree = parsed(function)
    return () if tree is None else tuple(_problems_in(function.__name__, tree))


def _problems_in(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Try | ast.TryStar):
            continue
        if _yields(node.finalbody):
            yield f"{name} yields inside finally. The engine closes a parked operation, and a yield there breaks that: yield before it"
        if _yields(node.body) and any(_catches_closing(handler) for handler in node.handlers):
            yield f"{name} catches BaseException around a yield, and with it the engine's closing. Catch the exceptions that you expect"


def _yields(nodes: Iterable[ast.AST]) -> bool:
    for node in nodes:
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, _OWN_SCOPE) and _yields(ast.iter_child_nodes(node)):
            return True
    return False


def _catches_closing(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(one).rpartition(".")[2] in _CATCH_CLOSING for one in caught)
