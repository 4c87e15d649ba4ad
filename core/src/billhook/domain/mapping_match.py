"""The compiled form of a mapping rule: a list of checks, so that mapping a line is reading and comparing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from functools import partial
from string import Formatter
from typing import NamedTuple

from billhook.domain.mapped_line import MappableInvoice, MappableLine, MappedLine
from billhook.errors import InvalidInput

Read = Callable[[MappableLine, MappableInvoice], str | None]
Describe = Callable[[MappableLine, MappableInvoice], str]


class Check(NamedTuple):
    label: str
    read: Read
    accepts: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to be tried."""

    name: str
    checks: tuple[Check, ...]
    account: str | None
    item_code: str | None
    tax_code: str | None
    tracking: tuple[tuple[str, str], ...]
    describe: Describe

    def because(self, line: MappableLine, invoice: MappableInvoice) -> tuple[str, ...] | None:
        """The conditions that held, or None if one did not."""
        held = []
        for label, read, accepts in self.checks:
            value = read(line, invoice)
            if value is None or not accepts(value):
                return None
            held.append(f"{label} is {value}")
        return tuple(held)

    def mapped(self, line: MappableLine, invoice: MappableInvoice, because: tuple[str, ...]) -> MappedLine:
        return MappedLine(
            line.id,
            self.describe(line, invoice),
            self.name,
            because or ("every line",),
            self.account,
            self.item_code,
            self.tax_code,
            self.tracking,
        )


class CompiledRules:
    """Rules in the order they were added, filed by item code so that few are tried for a line."""

    def __init__(self) -> None:
        self._count = 0
        self._filed: dict[str, list[tuple[int, CompiledRule]]] = {}
        self._unfiled: list[tuple[int, CompiledRule]] = []
        self._candidates: dict[str | None, tuple[CompiledRule, ...]] = {}

    def add(self, rule: CompiledRule, item_codes: tuple[str, ...]) -> None:
        """Add a rule that speaks for these item codes alone, or, without any, must be tried for every line."""
        entry = (self._count, rule)
        self._count += 1
        for code in item_codes:
            self._filed.setdefault(code, []).append(entry)
        if not item_codes:
            self._unfiled.append(entry)

    def apply(self, line: MappableLine, invoice: MappableInvoice) -> MappedLine | None:
        """The line as the first matching rule maps it, or None where no rule speaks for it."""
        code = line.item_code if line.item_code in self._filed else None
        candidates = self._candidates.get(code)
        if candidates is None:
            candidates = self._candidates[code] = self._in_order(code)
        for rule in candidates:
            because = rule.because(line, invoice)
            if because is not None:
                return rule.mapped(line, invoice, because)
        return None

    def _in_order(self, item_code: str | None) -> tuple[CompiledRule, ...]:
        filed = self._filed[item_code] if item_code is not None else []
        return tuple(rule for _, rule in sorted(filed + self._unfiled, key=lambda entry: entry[0]))


_READS: dict[str, Read] = {
    "item_code": lambda line, _: line.item_code,
    "feature_key": lambda line, _: line.feature_key,
    "tax_code": lambda line, _: line.tax_config.code if line.tax_config else None,
    "currency": lambda _, invoice: invoice.currency,
    "customer_id": lambda _, invoice: invoice.customer.id,
    "customer_key": lambda _, invoice: invoice.customer.key,
}

CHECKED_FIELDS = tuple(_READS)

_TEMPLATE_READS: dict[str, Read] = {
    "name": lambda line, _: line.name,
    "description": lambda line, _: line.description,
    "item_code": _READS["item_code"],
    "feature_key": _READS["feature_key"],
    "currency": _READS["currency"],
    "customer_name": lambda _, invoice: invoice.customer.name,
    "customer_key": _READS["customer_key"],
}


def check_field(label: str, values: tuple[str, ...]) -> Check:
    """The line's or invoice's field has one of these values. Item codes may be patterns."""
    return Check(label, _READS[label], _pattern(values) if label == "item_code" else frozenset(values).__contains__)


def check_metadata(key: str, values: tuple[str, ...]) -> Check:
    """The line's metadata has one of these values at that key."""
    return Check(f"metadata {key}", partial(_read_metadata, key), frozenset(values).__contains__)


def describe_by(template: str | None) -> Describe:
    """What writes a line's description; without a template the line keeps its own."""
    return _own_description if template is None else _from_template(template)


def _read_metadata(key: str, line: MappableLine, invoice: MappableInvoice) -> str | None:
    return line.metadata.get(key)


def _pattern(codes: tuple[str, ...]) -> Callable[[str], object]:
    if not any(map(is_glob, codes)):
        return frozenset(codes).__contains__
    return re.compile("|".join(map(translate, codes))).match


def is_glob(code: str) -> bool:
    """Whether the item code is a pattern."""
    return any(sign in code for sign in "*?[")


def _own_description(line: MappableLine, invoice: MappableInvoice) -> str:
    return line.description or line.name


def _from_template(template: str) -> Describe:
    parts = template_parts(template)

    def described(line: MappableLine, invoice: MappableInvoice) -> str:
        text = "".join(part if isinstance(part, str) else part(line, invoice) or "" for part in parts)
        return text or line.name

    return described


def template_parts(template: str) -> tuple[str | Read, ...]:
    """Literal texts and readers in turn. Only whole known fields are allowed, so a template reaches nothing else."""
    parts: list[str | Read] = []
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise InvalidInput(
            "mapping_template_invalid", f"The description {template!r} cannot be read: {error}."
        ) from None
    for text, field, spec, conversion in pieces:
        parts.append(text)
        if field is None:
            continue
        if field not in _TEMPLATE_READS or spec or conversion:
            known = ", ".join(f"{{{name}}}" for name in _TEMPLATE_READS)
            raise InvalidInput("mapping_template_invalid", f"{{{field}}} is no field of a description. Use {known}.")
        parts.append(_TEMPLATE_READS[field])
    return tuple(parts)
