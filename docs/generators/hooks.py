"""The page of hooks: what a provider, a host or an observer implements."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator

from billhook.contract import hooks as specs
from billhook.contract.operations import OPERATIONS
from billhook.contract.table import HOOKS, Hook, HookKind
from generators.source import clean, tree_of

INTRO = """\
# Hooks

Made from the code. A provider is a class that derives from `billhook.contract.Provider` and marks each hook with `@hookimpl`.
[Write a provider](../how-to/write-a-provider.md) shows a whole one.

There are four kinds, told apart by what they are:

- An **operation** is a generator function: it yields [requests](types.md#request) and returns outcomes by item id. Declared `local`, it is a
  plain function without any I/O. The provider alone implements it. The capability of the same name must be declared.
- A **pure** hook is a plain function. `None` lets the next implementation answer, so a
  [host can override it](../how-to/override-hooks.md) for one app. The capability of the same name must be declared.
- A **reading** hook is a plain function that the provider alone implements.
- **Observers** are engine-wide. All of them are called, after commit.
"""

WHO = {
    HookKind.OPERATION: "the provider",
    HookKind.PURE: "the provider, and the host ahead of it",
    HookKind.READING: "the provider",
    HookKind.OBSERVER: "anybody",
}


def page() -> str:
    """The page."""
    parts = [INTRO]
    for spec in (*specs.PROVIDER_SPECS, specs.ObserverSpec):
        parts += [f"## {spec.__name__.removesuffix('Spec')}", clean(spec.__doc__)]
        parts += [_described(hook) for hook in HOOKS.values() if hook.topic == spec.__name__]
    return "\n\n".join(part.strip() for part in parts)


def _described(hook: Hook) -> str:
    function = _function(hook)
    doc = re.sub(r"^(Operation|Pure)\. ", "", clean(ast.get_docstring(function)))
    return "\n\n".join([f"### {hook.name}", doc, "\n".join(_facts(hook, function))])


def _facts(hook: Hook, function: ast.FunctionDef) -> Iterator[str]:
    arguments = ", ".join(ast.unparse(argument) for argument in function.args.args[1:])
    yield f"- Kind: {hook.kind}; implemented by {WHO[hook.kind]}"
    yield f"- Arguments: `{arguments}`"
    yield f"- Returns: `{ast.unparse(function.returns) if function.returns else 'None'}`"
    if hook.kind is HookKind.OPERATION:
        spec = next(spec for spec in OPERATIONS.values() if spec.name == hook.name)
        yield f"- Works on: [`{spec.item.__name__}`](types.md#{spec.item.__name__.lower()})"
        yield f"- Achieves: [`{spec.result.__name__}`](types.md#{spec.result.__name__.lower()})"
        if spec.maps_lines:
            yield "- Lines are mapped first"
        if spec.secret:
            yield "- Requests and answers hold secrets and are never journalled"
        yield f"- Issues carry the component `{spec.component('TYPE')}`"


def _function(hook: Hook) -> ast.FunctionDef:
    for node in ast.walk(tree_of(inspect.getmodule(specs.CustomerSpec) or specs)):
        if isinstance(node, ast.FunctionDef) and node.name == hook.name:
            return node
    raise LookupError(hook.name)
