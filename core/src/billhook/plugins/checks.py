"""What is checked before a provider runs: it must do what it declares, declare what it does, and keep the form of every hook."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

from billhook.contract import Capability, Declaration, NumberOwner, Outcomes, Provider, Steps, deprecation
from billhook.contract.operations import OPERATIONS
from billhook.contract.table import HOOKS, PROVIDER_HOOKS, HookKind
from billhook.contract.version import CURRENT, ContractVersion
from billhook.errors import ContractViolation
from billhook.plugins.generators import closing_problems
from billhook.plugins.references import reference_problems
from billhook.plugins.shapes import host_problems, marked_hooks, options_of, shape_problems, unknown_hook


def check_provider(provider: object) -> type[Provider[Any]]:
    """The class itself, when it keeps the contract. Raises ContractViolation, which lists every fault at once.

    Warns (DeprecationWarning) of what it uses that is going to go.
    """
    if not (isinstance(provider, type) and issubclass(provider, Provider)):
        raise ContractViolation(
            f"{provider!r} is no provider class. Let the entry point name a class that derives from billhook.contract.Provider."
        )
    declaration = getattr(provider, "declaration", None)
    if not isinstance(declaration, Declaration):
        raise ContractViolation(
            f"{provider.__name__} has no declaration. Set declaration = Declaration(...) on the class."
        )
    _refuse(f"The provider {provider.__name__}", _problems(provider, declaration))
    for used in deprecation.used_by(provider, deprecation.DEPRECATED):
        warnings.warn(deprecation.warning(declaration.type, used), DeprecationWarning, stacklevel=2)
    return provider


def check_override(override: object) -> None:
    """Raise ContractViolation unless this object of the host implements pure hooks alone, each in the right form."""
    _refuse(f"The override {_name(override)}", host_problems(override, HookKind.PURE))


def check_observer(observer: object) -> None:
    """Raise ContractViolation unless this object implements observer hooks alone, each in the right form."""
    _refuse(f"The observer {_name(observer)}", host_problems(observer, HookKind.OBSERVER))


def check_returned(operation: str, returned: object, *, local: bool) -> Steps[Any] | Outcomes[Any]:
    """What an operation hook returned, when it is of the right kind: a decorator hides from the load check what it will be.

    Raises ContractViolation that says what to fix.
    """
    if local and isinstance(returned, Mapping):
        return returned
    if not local and isinstance(returned, Generator):
        return returned
    wanted = (
        "a local operation returns a mapping of outcomes by item id"
        if local
        else "an operation is a generator function; a decorator around it must hand the generator on"
    )
    raise ContractViolation(f"{operation} returned {_article(returned)}, but {wanted}. Fix the hook.")


def _refuse(subject: str, found: Iterable[str]) -> None:
    problems = list(found)
    if problems:
        raise ContractViolation(
            f"{subject} breaks the plugin contract:\n" + "\n".join(f"  - {problem}." for problem in problems)
        )


def _name(owner: object) -> str:
    return getattr(owner, "__name__", type(owner).__name__)


def _article(returned: object) -> str:
    return "None" if returned is None else f"a {type(returned).__name__}"


def _problems(provider: type[Provider[Any]], declaration: Declaration) -> Iterator[str]:
    yield from _version_problems(declaration)
    yield from _constructor_problems(provider)
    yield from _capability_problems(provider, declaration)
    yield from _hook_problems(provider, declaration)
    yield from closing_problems(provider)
    yield from reference_problems(provider)
    yield from _operation_problems(declaration)
    yield from _number_problems(declaration)


def _version_problems(declaration: Declaration) -> Iterator[str]:
    try:
        written_for = ContractVersion.parse(declaration.contract)
    except ContractViolation as error:
        yield str(error).rstrip(".")
        return
    if not CURRENT.accepts(written_for):
        cure = "Upgrade billhook" if written_for > CURRENT else "Upgrade the provider"
        yield f"it is written for contract {written_for}, and this is {CURRENT}. {cure}"


def _constructor_problems(provider: type[Provider[Any]]) -> Iterator[str]:
    try:
        inspect.signature(provider).bind()
    except TypeError:
        yield "it can't be made without arguments. Whatever an operation needs is in its batch"


def _overrides(provider: type[Provider[Any]], hook: str) -> bool:
    return inspect.getattr_static(provider, hook) is not vars(Provider)[hook]


def _capability_problems(provider: type[Provider[Any]], declaration: Declaration) -> Iterator[str]:
    for capability in Capability:
        support = declaration.capabilities.get(capability)
        implemented = _overrides(provider, capability)
        if declaration.can(capability) and not implemented:
            yield f"{capability} is declared, but not there. Override it, or declare it NotYet with the reason"
        if implemented and support is None:
            yield f"{capability} is there, but not declared. Declare it, or take it away"
        if implemented and support is not None and not declaration.can(capability):
            yield f"{capability} is there, but declared {support.level}. Declare it Full or Partial, or take it away"


def _hook_problems(provider: type[Provider[Any]], declaration: Declaration) -> Iterator[str]:
    for hook in sorted(PROVIDER_HOOKS):
        if not _overrides(provider, hook):
            continue
        member = inspect.getattr_static(provider, hook)
        if options_of(member) is None:
            yield f"{hook} is overridden without @hookimpl, so it would never be called. Mark it"
        yield from shape_problems(HOOKS[hook], _bound(provider, member), local=_is_local(declaration, hook))
    for name in marked_hooks(provider):
        if name not in PROVIDER_HOOKS:
            yield unknown_hook(name, PROVIDER_HOOKS)


def _bound(provider: type[Provider[Any]], member: object) -> object:
    if isinstance(member, FunctionType | staticmethod | classmethod):
        return member.__get__(object(), provider)
    return member


def _is_local(declaration: Declaration, hook: str) -> bool:
    return hook in OPERATIONS and declaration.rules(Capability(hook)).local


def _operation_problems(declaration: Declaration) -> Iterator[str]:
    for capability in declaration.operations:
        if capability not in OPERATIONS:
            yield f"operations has rules for {capability}, which is no operation. Take them away"
        elif not declaration.can(capability):
            yield f"operations has rules for {capability}, which is not declared. Declare it, or take them away"
    for limit in declaration.limits:
        strangers = sorted(limit.operations - OPERATIONS.keys())
        if strangers:
            yield f"the limit {limit.name!r} counts {', '.join(strangers)}, which is no operation. Name operations alone"


def _number_problems(declaration: Declaration) -> Iterator[str]:
    numbers = declaration.numbers
    carries = declaration.can(Capability.SYNC_DRAFT) or declaration.can(Capability.ISSUE)
    if numbers.owner is NumberOwner.ENGINE and carries and not declaration.can(numbers.needed_for):
        yield f"numbers are needed for {numbers.needed_for}, which is not declared, so no number would ever arrive. Set needed_for"
    if numbers.owner is not NumberOwner.ENGINE and declaration.can(Capability.ASSIGN_NUMBER):
        yield f"assign_number shapes the engine's numbers, but the {numbers.owner} gives them. Take one of the two away"
    if numbers.pattern is None:
        return
    try:
        re.compile(numbers.pattern)
    except re.error as error:
        yield f"the number pattern {numbers.pattern!r} is no regular expression: {error}"
