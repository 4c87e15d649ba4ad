"""The contract as data, and as it was when it was last agreed: an accidental change shows, with the version that it needs.

    python -m billhook.contract.frozen --diff   what changed since the contract that was published, and the version that it needs
    python -m billhook.contract.frozen          write the present contract over the agreed one, where its version is right

When a minor is published, what is agreed is kept as ``contract-MAJOR.MINOR.json``, and later changes are measured against it.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from billhook import contract
from billhook.contract.deprecation import DEPRECATED
from billhook.contract.entry_points import GROUPS
from billhook.contract.evolution import Change, compare, version_after
from billhook.contract.hooks import ObserverSpec
from billhook.contract.operations import OPERATIONS
from billhook.contract.provider import Provider
from billhook.contract.table import HOOKS, PROVIDER_HOOKS
from billhook.contract.version import CURRENT, ContractVersion

Described = dict[str, Any]

_TOLD = frozenset(
    {"gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "max_digits", "decimal_places"}
)

AGREED = Path(__file__).with_name(f"contract-{CURRENT.major}.json")
PUBLISHED = max(
    Path(__file__).parent.glob("contract-*.*.json"),
    key=lambda path: ContractVersion.parse(path.stem.removeprefix("contract-")),
)


def agreed_contract() -> Described:
    """The contract as it was agreed."""
    described: Described = json.loads(AGREED.read_text(encoding="utf-8"))
    return described


def published_contract() -> Described:
    """The contract that plugins out there were written for at the latest."""
    described: Described = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return described


def describe_contract() -> Described:
    """The contract as the code has it: everything that a plugin or its tests can depend on."""
    types_found = _reachable_types()
    return {
        "version": str(CURRENT),
        "deprecated": {each.what: {"since": each.since, "removed_in": each.removed_in} for each in DEPRECATED},
        "entry_points": dict.fromkeys(GROUPS, "group"),
        "hooks": {name: _describe_hook(name) for name in sorted(HOOKS)},
        "operations": {name: _describe_operation(name) for name in sorted(OPERATIONS)},
        "names": {name: _describe_name(getattr(contract, name)) for name in sorted(contract.__all__)},
        "types": {cls.__name__: _describe_type(cls) for cls in sorted(types_found, key=lambda cls: cls.__name__)},
    }


def _describe_hook(name: str) -> Described:
    hook = HOOKS[name]
    owner = Provider if name in PROVIDER_HOOKS else ObserverSpec
    hints = get_type_hints(getattr(owner, name))
    return {
        "topic": hook.topic,
        "kind": hook.kind.value,
        "arguments": {argument: spell(hints[argument]) for argument in hook.arguments},
        "returns": spell(hints["return"]),
    }


def _describe_operation(name: str) -> Described:
    row = OPERATIONS[contract.Capability(name)]
    return {
        "family": row.family.value,
        "item": row.item.__name__,
        "result": row.result.__name__,
        "maps_lines": row.maps_lines,
        "secret": row.secret,
    }


def _describe_name(value: Any) -> str:
    if isinstance(value, type):
        return "type"
    if inspect.isfunction(value):
        return f"function{_signature(value)}"
    return f"alias of {spell(value)}" if get_origin(value) else type(value).__name__


def _reachable_types() -> set[type]:
    """The public types, and every type of ours that their fields mention."""
    waiting = [value for value in vars(contract).values() if isinstance(value, type) and _is_ours(value)]
    waiting += [part for name in contract.__all__ for part in _types_in(getattr(contract, name))]
    found: set[type] = set()
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            waiting += [part for field in _field_types(cls).values() for part in _types_in(field)]
    return found


def _is_ours(value: Any) -> bool:
    return isinstance(value, type) and value.__module__.startswith("billhook.")


def _types_in(annotation: Any) -> Iterator[type]:
    if _is_ours(annotation):
        yield annotation
    parts = get_args(annotation)
    for part in parts[:1] if get_origin(annotation) is Annotated else parts:
        yield from _types_in(part)


def _field_types(cls: type) -> dict[str, Any]:
    if issubclass(cls, BaseModel):
        return {name: field.annotation for name, field in cls.model_fields.items()}
    if dataclasses.is_dataclass(cls):
        hints = get_type_hints(cls)
        return {field.name: hints[field.name] for field in dataclasses.fields(cls)}
    return {}


def _describe_type(cls: type) -> Described:
    if issubclass(cls, Enum):
        return {"kind": "enum", "members": {member.name: member.value for member in cls}}
    kind = "model" if issubclass(cls, BaseModel) else "dataclass" if dataclasses.is_dataclass(cls) else "class"
    return {"kind": kind, "fields": dict(_fields(cls)), "methods": dict(_methods(cls))}


def _fields(cls: type) -> Iterator[tuple[str, Described]]:
    annotations = _field_types(cls)
    if issubclass(cls, BaseModel):
        for name, info in cls.model_fields.items():
            yield name, _describe_field(annotations[name], info.default, info.default_factory) | _constraints(info)
    elif dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            yield field.name, _describe_field(annotations[field.name], field.default, field.default_factory)
    elif cls is Provider:
        yield "declaration", {"type": "Declaration", "required": True}


def _describe_field(annotation: Any, default: Any, factory: Any) -> Described:
    described = {"type": spell(annotation), "required": False}
    if factory is not None and factory is not dataclasses.MISSING:
        return described | {"default": "computed" if _takes_arguments(factory) else _spell_value(factory())}
    if default is PydanticUndefined or default is dataclasses.MISSING:
        return described | {"required": True}
    if default == str(CURRENT):
        return described | {"default": "the version of the contract"}
    return described | {"default": _spell_value(default)}


def _takes_arguments(factory: Any) -> bool:
    return inspect.isfunction(factory) and bool(inspect.signature(factory).parameters)


def _spell_value(value: Any) -> str:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, BaseModel):
        return f"{type(value).__name__}()"
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spell_value, value))}]"
    return repr(value)


def _constraints(info: FieldInfo) -> Described:
    """Bounds, lengths and patterns of a field; what a function checks can't be told as data."""
    told: Described = {}
    for constraint in info.metadata:
        names = getattr(constraint, "__slots__", None) or vars(constraint)
        told |= {name: bound for name in names if name in _TOLD and (bound := getattr(constraint, name)) is not None}
    return {"constraints": told} if told else {}


def _methods(cls: type) -> Iterator[tuple[str, str]]:
    for name, member in sorted(vars(cls).items()):
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if name.startswith("_") or not inspect.isfunction(function) or (cls is Provider and name in HOOKS):
            continue
        yield name, "property" if isinstance(member, property) else _signature(function)


def _signature(function: Callable[..., Any]) -> str:
    return str(inspect.signature(function)).replace("'", "")


def spell(annotation: Any) -> str:
    """A type as text that is the same under every Python: no modules, unions with bars."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is types.NoneType:
        return "None"
    if annotation is ...:
        return "..."
    if origin is Annotated:
        return spell(parts[0])
    if origin is Literal:
        return f"Literal[{', '.join(repr(getattr(part, 'value', part)) for part in parts)}]"
    if origin in {Union, types.UnionType}:
        return " | ".join(map(spell, parts))
    if isinstance(annotation, list):
        return f"[{', '.join(map(spell, annotation))}]"
    if origin is not None:
        return f"{_bare_name(origin)}[{', '.join(map(spell, parts))}]"
    return _bare_name(annotation)


def _bare_name(annotation: Any) -> str:
    if isinstance(annotation, TypeVar):
        return annotation.__name__
    name: str | None = getattr(annotation, "__name__", None)
    return name or str(annotation).removeprefix("typing.")


def changes_since_published() -> list[Change]:
    """What the contract of the code has otherwise than the published one."""
    return compare(published_contract(), describe_contract())


def version_problem(
    changes: list[Change], published: ContractVersion, current: ContractVersion = CURRENT
) -> str | None:
    """Why that version does not fit the changes; None where it does."""
    needed = version_after(published, changes)
    if current == needed:
        return None
    return f"What changed since contract {published} needs {needed}, and CURRENT in version.py is {current}. Set it to {needed}."


def main(arguments: list[str]) -> int:
    """Show the changes, or agree to them; the exit status."""
    published, changes = ContractVersion.parse(published_contract()["version"]), changes_since_published()
    problem = version_problem(changes, published)
    if arguments == ["--diff"]:
        told = [*map(str, changes), problem or f"Since contract {published} that is {CURRENT}."]
        sys.stdout.write("\n".join(told) + "\n")
        return 0 if problem is None else 1
    if problem is not None:
        sys.exit(problem)
    AGREED.write_text(json.dumps(describe_contract(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
