"""The pages of hooks: what a provider, a host or an observer implements. An index, and a page for each topic."""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any

from billhook import contract
from billhook.contract import Capability, Partial, Provider, hooks as specs
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.contract.table import HOOKS, Hook, HookKind
from generators.examples import example_of, source_of
from generators.members import providers
from generators.source import DOCS, cell, clean, table, tree_of

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

Any operation may answer an item with [`Done`](types.md#done), [`Pending`](types.md#pending), [`Rejected`](types.md#rejected) or
[`Retry`](types.md#retry). `Retry` says that it is not done now: it is tried again from what its steps made. An item that is left out is looked up. What an operation raises is
a fault of the plugin: before anything was sent the item stops with the issue `provider_fault`; later the operation runs again, from its journal,
until the plugin is mended.
"""

HOOKS_FOLDER = DOCS / "reference/hooks"
PARTS = {"when": "Called ", "returns": "Returns ", "errors": "Errors: "}

WHO = {
    HookKind.OPERATION: "the provider",
    HookKind.PURE: "the provider, and the host ahead of it",
    HookKind.READING: "the provider",
    HookKind.OBSERVER: "a host that passes observers in, and any distribution, by the entry point group `billhook.hooks`",
}

ARGUMENTS = {
    "settings": "the app's settings, as the provider's model",
    "lines": "where each line goes, in the order of the invoice's lines",
    "credentials": "the app's credentials, as the provider's model; None where there are none",
    "secrets": "the app's credentials, as the provider's model; None where there are none",
    "now": "the time, in UTC",
    "headers": "names in lower case",
    "body": "as it was received",
}


def page() -> str:
    """The index."""
    parts = [INTRO]
    for spec in _specs():
        rows = [(f"[`{hook.name}`]({_place(spec)}#{hook.name})", hook.kind, cell(_promise(hook))) for hook in _of(spec)]
        parts += [f"## {_title(spec)}", clean(spec.__doc__), table(("hook", "kind", ""), rows)]
    return "\n\n".join(part.strip() for part in parts)


def pages() -> Mapping[str, Callable[[], str]]:
    """The page of each topic, by its place in the reference."""
    return {_place(spec): partial(_topic, spec) for spec in _specs()}


def _topic(spec: type) -> str:
    parts = [f"# {_title(spec)} hooks", "Made from the code.", clean(spec.__doc__)]
    parts += [_described(hook) for hook in _of(spec)]
    parts.append("All hooks: [Hooks](../hooks.md). What they take and give: [Types](../types.md).")
    return "\n\n".join(part.strip() for part in parts)


def _specs() -> tuple[type, ...]:
    return (*specs.PROVIDER_SPECS, specs.ObserverSpec)


def _of(spec: type) -> list[Hook]:
    return [hook for hook in HOOKS.values() if hook.topic == spec.__name__]


def _title(spec: type) -> str:
    return spec.__name__.removesuffix("Spec")


def _place(spec: type) -> str:
    return f"hooks/{_title(spec).lower()}.md"


def _described(hook: Hook) -> str:
    parts = [f"## {hook.name}", *_promise_of(hook)]
    parts += ["**When.** " + _part(hook, "when"), "**Arguments**\n\n" + "\n".join(_arguments(hook))]
    parts += [f"**Returns** `{_returned(hook)}`. " + _part(hook, "returns"), "**Errors.** " + _errors(hook)]
    parts += [_example(hook), "**Implemented by** " + _implementers(hook)]
    return "\n\n".join(parts)


# What the docstring says.


def _promise(hook: Hook) -> str:
    return _promise_of(hook)[0]


def _promise_of(hook: Hook) -> list[str]:
    return [part for part in _paragraphs(hook) if not part.startswith(tuple(PARTS.values()))]


def _part(hook: Hook, name: str) -> str:
    """One part of the docstring. Raises LookupError where it is missing."""
    beginning = PARTS[name]
    for part in _paragraphs(hook):
        if part.startswith(beginning):
            said = part.removeprefix("Errors: ").removeprefix("Returns ")
            return said[0].upper() + said[1:] if name != "when" else part
    raise LookupError(f"The docstring of {hook.name} has no paragraph that begins with {beginning!r}.")


def _errors(hook: Hook) -> str:
    said = _part(hook, "errors")
    if hook.kind is not HookKind.OPERATION:
        return said
    return f"{said} Issues carry the component `{OPERATIONS[Capability(hook.name)].component('TYPE')}`."


def _paragraphs(hook: Hook) -> list[str]:
    doc = clean(ast.get_docstring(_function(hook)))
    return doc.removeprefix("Operation. ").removeprefix("Pure. ").split("\n\n")


# What the signature says.


def _arguments(hook: Hook) -> Iterator[str]:
    for argument in _function(hook).args.args[1:]:
        spelled = ast.unparse(argument.annotation) if argument.annotation else "Any"
        yield f"- `{argument.arg}: {spelled}`: {_argument(hook, argument.arg, spelled)}"


def _argument(hook: Hook, name: str, spelled: str) -> str:
    if hook.kind is HookKind.OPERATION:
        return _batch(OPERATIONS[Capability(hook.name)])
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    kind = spelled.partition(" |")[0]
    return f"[`{kind}`](../types.md#{kind.lower()}). {_first_sentence(clean(getattr(contract, kind).__doc__))}"


def _batch(spec: OperationSpec) -> str:
    item = spec.item.__name__
    said = f"the [batch](../types.md#batch) of [`{item}`](../types.md#{item.lower()})."
    said += f" {_first_sentence(clean(spec.item.__doc__))}"
    if spec.maps_lines:
        said += " Its lines are mapped."
    if spec.secret:
        said += " Its requests hold places for secrets, which `authenticate` fills."
    return said


def _first_sentence(doc: str) -> str:
    return doc.partition("\n\n")[0].partition(". ")[0].rstrip(".") + "."


def _returned(hook: Hook) -> str:
    returns = _function(hook).returns
    return ast.unparse(returns) if returns else "None"


def _function(hook: Hook) -> ast.FunctionDef:
    for node in ast.walk(tree_of(inspect.getmodule(specs.CustomerSpec) or specs)):
        if isinstance(node, ast.FunctionDef) and node.name == hook.name:
            return node
    raise LookupError(hook.name)


# Who has it.


def _example(hook: Hook) -> str:
    example = example_of(hook.name, _implementations(hook))
    return f"**Example**, from [{example.title}]({_link(example.path)})\n\n```python excerpt\n{example.code}\n```"


def _implementers(hook: Hook) -> str:
    named = [_named(hook, provider, function) for provider, function in _implementations(hook).items()]
    return f"{', '.join(named) or WHO[hook.kind]}."


def _named(hook: Hook, provider: type[Provider[Any]], function: FunctionType) -> str:
    support = provider.declaration.capabilities.get(hook.name)
    limits = f" (in part: {support.reason})" if isinstance(support, Partial) else ""
    return f"[{provider.declaration.type}]({_link(source_of(function))}){limits}"


@cache
def _providers() -> tuple[type[Provider[Any]], ...]:
    return tuple(sorted(providers(), key=lambda provider: provider.declaration.type != "sandbox"))


def _implementations(hook: Hook) -> dict[type[Provider[Any]], FunctionType]:
    """The functions of our providers that are this hook, each once."""
    found: dict[type[Provider[Any]], FunctionType] = {}
    if hook.kind is HookKind.OBSERVER:
        return found
    for provider in _providers():
        function = getattr(provider, hook.name)
        if function is not getattr(Provider, hook.name) and function not in found.values():
            found[provider] = function
    return found


def _link(path: Path) -> str:
    return Path(os.path.relpath(path, HOOKS_FOLDER)).as_posix()
