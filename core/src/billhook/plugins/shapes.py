"""The form of a single hook: what a function that implements it must look like."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from types import FunctionType
from typing import Any, cast

from billhook.contract.hooks import PROJECT
from billhook.contract.table import HOOKS, Hook, HookKind

_MARK = f"{PROJECT}_impl"


def marked_hooks(owner: object) -> Iterator[str]:
    """The name of each attribute of a class, an instance or a module that carries ``@hookimpl``. Runs no property."""
    return (name for name in dir(owner) if options_of(inspect.getattr_static(owner, name)) is not None)


def options_of(member: object) -> dict[str, Any] | None:
    """What ``@hookimpl(...)`` was given; None for what is not marked."""
    function = getattr(member, "__func__", member)
    options = getattr(member, _MARK, None) or getattr(function, _MARK, None)
    return options if isinstance(options, dict) else None


def unknown_hook(name: str, known: Iterable[str]) -> str:
    """The complaint about a marked function whose name is no hook."""
    near = get_close_matches(name, list(known), n=1)
    hint = f"Did you mean {near[0]}?" if near else "Take the mark away, or name it after a hook."
    return f"{name} is marked with @hookimpl but is no hook. {hint}"


def shape_problems(hook: Hook, implementation: object, *, local: bool = False) -> Iterator[str]:
    """Everything wrong with the form of one implementation, bound as it will be called. ``local``: an operation declared so."""
    function = getattr(implementation, "__func__", implementation)
    if not isinstance(function, FunctionType):
        yield f"{hook.name} is a {type(implementation).__name__}; a hook is a function"
        return
    yield from _option_problems(hook, implementation)
    yield from _kind_problems(hook, function, local=local)
    yield from _argument_problems(hook, inspect.signature(cast("Callable[..., Any]", implementation)))


def _option_problems(hook: Hook, member: object) -> Iterator[str]:
    given = [option for option, value in (options_of(member) or {}).items() if value]
    if given:
        yield (
            f"{hook.name} is marked with @hookimpl({given[0]}=...). "
            "Mark it with a plain @hookimpl: the order is set, and nothing wraps a hook"
        )


def _kind_problems(hook: Hook, function: FunctionType, *, local: bool) -> Iterator[str]:
    innermost = inspect.unwrap(function)
    if inspect.iscoroutinefunction(innermost) or inspect.isasyncgenfunction(innermost):
        yield f"{hook.name} is async. The engine does the waiting; write it with def"
        return
    is_generator = inspect.isgeneratorfunction(innermost)
    if hook.kind is HookKind.OPERATION and not local and not is_generator:
        yield (
            f"{hook.name} never yields. Yield its requests (return (yield from ...) hands over), "
            "or declare the operation local if it does no I/O"
        )
    if hook.kind is HookKind.OPERATION and local and is_generator:
        yield f"{hook.name} is declared local and yields. A local operation returns its outcomes at once"
    if hook.kind is not HookKind.OPERATION and is_generator:
        yield f"{hook.name} yields. It is a {hook.kind} hook: return the value"


def _argument_problems(hook: Hook, signature: inspect.Signature) -> Iterator[str]:
    offered = ", ".join(hook.arguments)
    if hook.kind is HookKind.OPERATION and "batch" not in signature.parameters:
        yield f"{hook.name} takes no batch, so it can't know what to do. Write def {hook.name}(self, batch)"
    for parameter in signature.parameters.values():
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            yield f"{hook.name} takes {parameter}. Name the arguments that it needs, of {offered}"
        elif parameter.name not in hook.arguments:
            yield f"{hook.name} takes {parameter.name!r}, which the hook does not give. It gives {offered}"
        elif parameter.default is not inspect.Parameter.empty:
            yield f"{hook.name} has a default for {parameter.name!r}, so it would never be given. Take the default away"


def host_problems(owner: object, kind: HookKind) -> Iterator[str]:
    """Everything wrong with an object of the host that may implement hooks of one kind alone."""
    if isinstance(owner, type):
        yield f"{owner.__name__} is a class; hand in an instance or a module"
        return
    known = [name for name, hook in HOOKS.items() if hook.kind is kind]
    marked = list(marked_hooks(owner))
    if not marked:
        yield f"it implements no hook. Mark at least one of {', '.join(known)} with @hookimpl"
    for name in marked:
        if name in known:
            yield from shape_problems(HOOKS[name], getattr(owner, name))
        elif name in HOOKS:
            yield f"{name} is not for it to implement ({HOOKS[name].kind}); it may implement {', '.join(known)}"
        else:
            yield unknown_hook(name, known)
