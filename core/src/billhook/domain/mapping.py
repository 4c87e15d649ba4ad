"""Mapping rules: which account, item and tax code of the outside system a line gets, and which rule said so.

rules = parse_mapping_rules({"rules": [
    {"name": "seats", "when": {"item_code": "seat-*"}, "then": {"account": "200", "tracking": {"Team": "Sales"}}},
    {"name": "the rest", "then": {"account": "260"}},
]})
rules.apply(line, invoice)      # MappedLine, or None where no rule speaks for the line
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Code, Description, Key, MetadataKey, MetadataValue, Name, Value, inside_model
from billhook.domain.currency import CurrencyCode
from billhook.domain.ids import Ulid
from billhook.domain.mapped_line import MappableInvoice, MappableLine, MappedLine
from billhook.domain.mapping_match import (
    CHECKED_FIELDS,
    Check,
    CompiledRule,
    CompiledRules,
    check_field,
    check_metadata,
    describe_by,
    is_glob,
    template_parts,
)
from billhook.domain.parsing import in_words_of_json
from billhook.errors import InvalidInput, Problem

__all__ = [
    "MappedLine",
    "MappingCondition",
    "MappingRule",
    "MappingRules",
    "MappingTarget",
    "parse_mapping_rules",
]

MAX_RULES = 1_000


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _checked_template(template: str) -> str:
    template_parts(template)
    return template


_Alternatives = Field(min_length=1, max_length=1000)
Codes = Annotated[tuple[Code, ...], BeforeValidator(_one_or_more), _Alternatives]
Keys = Annotated[tuple[Key, ...], BeforeValidator(_one_or_more), _Alternatives]
Ids = Annotated[tuple[Ulid, ...], BeforeValidator(_one_or_more), _Alternatives]
Currencies = Annotated[tuple[CurrencyCode, ...], BeforeValidator(_one_or_more), _Alternatives]
MetadataValues = Annotated[tuple[MetadataValue, ...], BeforeValidator(_one_or_more), _Alternatives]
DescriptionTemplate = Annotated[Description, AfterValidator(inside_model(_checked_template))]


class MappingCondition(Value):
    """All that is stated must hold; of several values, any. An item code may be a pattern with `*`, `?` and `[...]`."""

    item_code: Codes | None = None
    feature_key: Codes | None = None
    metadata: Mapping[MetadataKey, MetadataValues] = Field(default_factory=dict)
    tax_code: Codes | None = None
    currency: Currencies | None = None
    customer_id: Ids | None = None
    customer_key: Keys | None = None


class MappingTarget(Value):
    """What a line gets. The description may use {name}, {description}, {item_code}, {feature_key}, {currency},
    {customer_name}, {customer_key}; without one the line keeps its own.
    """

    account: Code | None = None
    item_code: Code | None = None
    tax_code: Code | None = None
    tracking: Mapping[Name, Name] = Field(default_factory=dict)
    description: DescriptionTemplate | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.account or self.item_code or self.tax_code or self.tracking or self.description:
            return self
        raise PydanticCustomError("mapping_target_empty", "State at least one of account, item_code, tax_code, ...")


class MappingRule(Value):
    """One rule. Without conditions it speaks for every line."""

    name: Name
    when: MappingCondition = Field(default_factory=MappingCondition)
    then: MappingTarget


class MappingRules(Value):
    """Rules in order: the first whose conditions hold wins."""

    rules: Annotated[tuple[MappingRule, ...], Field(max_length=MAX_RULES)] = ()

    @model_validator(mode="after")
    def _names_each_rule_once(self) -> Self:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.name in seen:
                raise PydanticCustomError(
                    "mapping_rule_repeated", "Two rules are named {name}. Rename one.", {"name": repr(rule.name)}
                )
            seen.add(rule.name)
        return self

    @cached_property
    def compiled(self) -> CompiledRules:
        """The rules ready for use, made once."""
        compiled = CompiledRules()
        for rule in self.rules:
            compiled.add(_compiled(rule), _exact_codes(rule))
        return compiled

    def apply(self, line: MappableLine, invoice: MappableInvoice) -> MappedLine | None:
        """The line as the first matching rule maps it, or None where no rule speaks for it."""
        return self.compiled.apply(line, invoice)


def parse_mapping_rules(source: bytes | str | Mapping[str, Any]) -> MappingRules:
    """The rules from JSON or its parsed form. Raises InvalidInput listing every problem by the name of its rule."""
    document = _json(source) if isinstance(source, bytes | str) else source
    try:
        return MappingRules.model_validate(document)
    except ValidationError as error:
        problems = [
            _problem(found["loc"], in_words_of_json(found["type"], found["msg"]), document)
            for found in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidInput(problems[0].code, problems[0].message, problems[0].path, problems=problems) from None


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            "mapping_rules_not_json", f"The mapping rules are no JSON: {error}. Correct the text."
        ) from None


def _problem(location: tuple[int | str, ...], message: str, document: Any) -> Problem:
    path = "".join(f"/{_escaped(step)}" for step in location)
    match location:
        case ("rules", int(index), *_, str(field)):
            return Problem("mapping_rule_invalid", f"{_rule_title(document, index)}, {field}: {message}", path)
        case ("rules", int(index), *_):
            return Problem("mapping_rule_invalid", f"{_rule_title(document, index)}: {message}", path)
        case _:
            return Problem("mapping_rules_invalid", f"Mapping rules: {message}", path)


def _escaped(step: int | str) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _rule_title(document: Any, index: int) -> str:
    rule = document["rules"][index]
    name = rule.get("name") if isinstance(rule, Mapping) else None
    return f"Mapping rule {name!r}" if isinstance(name, str) else f"Mapping rule number {index + 1}, which has no name"


def _compiled(rule: MappingRule) -> CompiledRule:
    then = rule.then
    return CompiledRule(
        name=rule.name,
        checks=tuple(_checks(rule.when)),
        account=then.account,
        item_code=then.item_code,
        tax_code=then.tax_code,
        tracking=tuple(then.tracking.items()),
        describe=describe_by(then.description),
    )


def _checks(when: MappingCondition) -> Iterator[Check]:
    for label in CHECKED_FIELDS:
        values = getattr(when, label)
        if values is not None:
            yield check_field(label, values)
    for key, values in when.metadata.items():
        yield check_metadata(key, values)


def _exact_codes(rule: MappingRule) -> tuple[str, ...]:
    """The item codes that the rule is filed under; none where it must be tried for every line."""
    codes = rule.when.item_code or ()
    return () if any(map(is_glob, codes)) else tuple(dict.fromkeys(codes))
