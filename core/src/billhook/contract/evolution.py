"""How the contract may change: what each kind of change costs, and the version that a set of changes needs.

The rules are data. A plugin that was written for an older minor has to go on as it did, so whatever could stop one is major.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import Any, Literal

from billhook.contract.version import ContractVersion


class Bump(IntEnum):
    """Which number of the version a change moves."""

    NONE = 0
    MINOR = 1
    MAJOR = 2

    def __str__(self) -> str:
        return self.name.lower()


Happened = Literal["added", "demanded", "gone", "relaxed", "changed"]
"""``demanded``: added, and must be given. ``relaxed``: it had to be given, and need not be any more."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happened to something, and what that costs. ``where`` is a pattern of its path, such as ``hooks.*.arguments.*``."""

    happened: Happened
    where: str
    bump: Bump
    because: str


RULES: tuple[Rule, ...] = (
    Rule("gone", "deprecated.*", Bump.NONE, "what it warned of is judged by itself"),
    Rule("added", "deprecated.*", Bump.MINOR, "plugins that use it are warned, and go on"),
    Rule("changed", "deprecated.*", Bump.MINOR, "plugins are told another way out, or another date"),
    Rule("gone", "*", Bump.MAJOR, "a plugin may use it"),
    Rule("demanded", "*", Bump.MAJOR, "whoever makes one does not give it yet"),
    Rule("added", "hooks.*.arguments.*", Bump.MINOR, "a hook gets the arguments that it names"),
    Rule("added", "*", Bump.MINOR, "no plugin knows of it, and none has to"),
    Rule("relaxed", "*", Bump.MINOR, "whoever gives it still may"),
    Rule("changed", "*", Bump.MAJOR, "what a plugin gives or is given means something else"),
)
"""The first that fits decides. Docstrings are no part of the description, so changing one is no change."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, and the rule that says what it costs."""

    what: str
    rule: Rule

    @property
    def bump(self) -> Bump:
        """Which number it moves."""
        return self.rule.bump

    def __str__(self) -> str:
        return f"{self.bump}: {self.what} ({self.rule.because})"


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What changed from ``old`` to ``new``, the costliest first. The version itself is no change."""
    found = _differences(_judged(old), _judged(new), "")
    return sorted(found, key=lambda change: (-change.bump, change.what))


def _judged(described: Mapping[str, Any]) -> dict[str, Any]:
    # What was described before anything was deprecated has no such part.
    return {"deprecated": {}, **{name: part for name, part in described.items() if name != "version"}}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        path = f"{above}.{name}" if above else name
        if name not in new:
            yield Change(f"{path} went away", _rule("gone", path))
        elif name not in old:
            yield Change(f"{path} was added", _rule("demanded" if _is_demanded(new[name]) else "added", path))
        elif isinstance(old[name], dict) and isinstance(new[name], dict):
            yield from _differences(old[name], new[name], path)
        elif old[name] != new[name]:
            happened: Happened = "relaxed" if name == "required" and old[name] is True else "changed"
            yield Change(f"{path} was {old[name]!r} and is {new[name]!r}", _rule(happened, path))


def _is_demanded(added: Any) -> bool:
    return isinstance(added, dict) and added.get("required") is True


def _rule(happened: Happened, path: str) -> Rule:
    return next(rule for rule in RULES if rule.happened == happened and fnmatchcase(path, rule.where))


def version_after(published: ContractVersion, changes: list[Change]) -> ContractVersion:
    """The version that these changes since ``published`` need, no lower and no higher."""
    match max((change.bump for change in changes), default=Bump.NONE):
        case Bump.MAJOR:
            return ContractVersion(published.major + 1, 0)
        case Bump.MINOR:
            return ContractVersion(published.major, published.minor + 1)
    return published
