"""The part of Intuit's query language that is simulated: select * from a kind, conditions joined by "and", startposition and maxresults.

There is no "or", and a property that is not filterable is refused (developer.intuit.com, "Query operations and syntax").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billhook_quickbooks.simulator.wire import Entity, Refused, ref

MOST_ROWS = 1000
_USUAL_ROWS = 100
_TOKEN = re.compile(r"\s*('(?:\\.|[^'\\])*'|[A-Za-z_][\w.]*|\d+|[<>]=|[=<>(),*])")

_FILTERABLE: Mapping[str, frozenset[str]] = {
    "Invoice": frozenset({"Id", "DocNumber", "CustomerRef", "TxnDate"}),
    "CreditMemo": frozenset({"Id", "DocNumber", "CustomerRef", "TxnDate"}),
    "Payment": frozenset({"Id", "CustomerRef", "TxnDate"}),
    "Customer": frozenset({"Id", "DisplayName", "Active"}),
    "Vendor": frozenset({"Id", "DisplayName", "Active"}),
    "Employee": frozenset({"Id", "DisplayName", "Active"}),
    "Item": frozenset({"Id", "Name", "Active"}),
    "TaxCode": frozenset({"Id", "Name", "Active"}),
    "CompanyInfo": frozenset({"Id"}),
    "Preferences": frozenset({"Id"}),
}
_COMPARE: Mapping[str, Callable[[str, list[str]], bool]] = {
    "=": lambda value, wanted: value == wanted[0],
    "in": lambda value, wanted: value in wanted,
    ">=": lambda value, wanted: value >= wanted[0],
    "<=": lambda value, wanted: value <= wanted[0],
    ">": lambda value, wanted: value > wanted[0],
    "<": lambda value, wanted: value < wanted[0],
}


@dataclass(frozen=True, slots=True)
class Condition:
    """``name operator values``."""

    name: str
    operator: str
    values: list[str]

    def holds(self, entity: Entity) -> bool:
        """Whether it holds for a thing. Names are compared without regard to case."""
        value = _value(entity, self.name)
        if self.name in {"DisplayName", "Name"}:
            return _COMPARE[self.operator](value.casefold(), [each.casefold() for each in self.values])
        return _COMPARE[self.operator](value, self.values)


@dataclass(frozen=True, slots=True)
class Query:
    """A query, read."""

    kind: str
    conditions: tuple[Condition, ...]
    start: int
    most: int

    def run(self, entities: list[Entity]) -> Entity:
        """Its answer. Inactive people and items are shown only where the query asks for them."""
        active = any(condition.name == "Active" for condition in self.conditions)
        shown = [
            each
            for each in entities
            if (active or each.get("Active", True)) and all(condition.holds(each) for condition in self.conditions)
        ]
        page = shown[self.start - 1 : self.start - 1 + self.most]
        return {self.kind: page, "startPosition": self.start, "maxResults": len(page)} if page else {}

    def values_of(self, name: str) -> list[str] | None:
        """The values that a condition of equality names."""
        found = (each.values for each in self.conditions if each.name == name and each.operator in {"=", "in"})
        return next(found, None)


def parse(text: str) -> Query:
    """Read a query. Refused with 4000 where it can't be."""
    tokens = _Tokens(_split(text))
    tokens.expect("select")
    tokens.expect("*")
    tokens.expect("from")
    kind = tokens.take()
    if kind not in _FILTERABLE:
        raise _invalid(f"Metadata not found for Entity: {kind}")
    conditions: list[Condition] = []
    while tokens.next_is("where" if not conditions else "and"):
        tokens.take()
        conditions.append(_condition(tokens, kind))
    start = _number(tokens, "startposition", 1)
    most = _number(tokens, "maxresults", _USUAL_ROWS)
    if not tokens.is_empty or not 0 < most <= MOST_ROWS:
        raise _invalid(f"Error parsing query: {text[:200]}")
    return Query(kind, tuple(conditions), start, most)


def _condition(tokens: _Tokens, kind: str) -> Condition:
    name, operator = tokens.take(), tokens.take().lower()
    if name not in _FILTERABLE[kind]:
        raise _invalid(f"Property {name} of Entity {kind} can't be filtered by")
    if operator not in _COMPARE:
        raise _invalid(f"Unknown operator {operator}")
    if operator != "in":
        return Condition(name, operator, [_literal(tokens.take())])
    tokens.expect("(")
    values = [_literal(tokens.take())]
    while tokens.next_is(","):
        tokens.take()
        values.append(_literal(tokens.take()))
    tokens.expect(")")
    return Condition(name, operator, values)


def _number(tokens: _Tokens, word: str, default: int) -> int:
    if not tokens.next_is(word):
        return default
    tokens.take()
    told = tokens.take()
    if not told.isdigit():
        raise _invalid(f"{word} takes a number")
    return int(told)


def _literal(token: str) -> str:
    if token.startswith("'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token in {"true", "false"}:
        return token
    raise _invalid(f"{token} is no value; texts stand in single quotes")


def _split(text: str) -> list[str]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _invalid(f"Error parsing query at {text[place : place + 20]!r}")
        tokens.append(found[1])
        place = found.end()
    return tokens


class _Tokens:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    @property
    def is_empty(self) -> bool:
        return not self._tokens

    def next_is(self, word: str) -> bool:
        return bool(self._tokens) and self._tokens[-1].lower() == word

    def take(self) -> str:
        if not self._tokens:
            raise _invalid("The query ends too early")
        return self._tokens.pop()

    def expect(self, word: str) -> None:
        if self.take().lower() != word:
            raise _invalid(f"{word} is missing")


def _value(entity: Entity, name: str) -> str:
    if name.endswith("Ref"):
        return ref(entity, name) or ""
    if name == "Active":
        return "true" if entity.get("Active", True) else "false"
    return str(entity.get(name, ""))


def _invalid(detail: str) -> Refused:
    return Refused("4000", "Error parsing query", f"QueryParserError: {detail}")
