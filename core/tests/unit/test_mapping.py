from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from billhook.domain.mapping import MappedLine, MappingRules, parse_mapping_rules
from billhook.errors import InvalidInput


@dataclass(frozen=True)
class ATaxConfig:
    code: str | None = None


@dataclass(frozen=True)
class ALine:
    id: str = "line-1"
    name: str = "Seats in May"
    description: str | None = None
    item_code: str | None = None
    feature_key: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tax_config: ATaxConfig | None = None


@dataclass(frozen=True)
class ACustomer:
    id: str = "01HZX3V5R8Q4ZB1T2N6M7K9PWD"
    key: str | None = "acme"
    name: str = "Acme Ltd"


@dataclass(frozen=True)
class AnInvoice:
    currency: str = "EUR"
    customer: ACustomer = ACustomer()


def rules(*each: dict) -> MappingRules:
    return parse_mapping_rules({"rules": list(each)})


def a_rule(name: str = "a", when: dict | None = None, **then: object) -> dict:
    return {"name": name, "when": when or {}, "then": then or {"account": "200"}}


def mapped_by(book: MappingRules, line: ALine, invoice: AnInvoice | None = None) -> str | None:
    mapped = book.apply(line, invoice or AnInvoice())
    return mapped and mapped.rule


def test_the_first_rule_that_matches_wins_and_explains_itself():
    book = rules(
        a_rule("licences", {"item_code": "licence"}, account="100"),
        a_rule("seats", {"item_code": "seat", "currency": ["GBP", "EUR"]}, account="200", tax_code="OUTPUT2"),
        a_rule("the rest", account="260"),
    )
    mapped = book.apply(ALine(item_code="seat"), AnInvoice())
    assert mapped == MappedLine(
        line_id="line-1",
        description="Seats in May",
        rule="seats",
        because=("item_code is seat", "currency is EUR"),
        account="200",
        tax_code="OUTPUT2",
    )
    assert book.apply(ALine(item_code="other"), AnInvoice()).because == ("every line",)


def test_a_line_that_no_rule_speaks_for_is_reported_not_guessed():
    assert rules(a_rule(when={"item_code": "seat"})).apply(ALine(item_code="licence"), AnInvoice()) is None
    assert rules(a_rule(when={"item_code": "*"})).apply(ALine(item_code=None), AnInvoice()) is None
    assert MappingRules().apply(ALine(), AnInvoice()) is None


@pytest.mark.parametrize(
    "when,line,matches",
    [
        ({"item_code": "seat"}, ALine(item_code="seat"), True),
        ({"item_code": "seat"}, ALine(item_code="SEAT"), False),
        ({"item_code": ["a", "seat"]}, ALine(item_code="seat"), True),
        ({"item_code": "seat-*"}, ALine(item_code="seat-pro"), True),
        ({"item_code": "seat-*"}, ALine(item_code="my-seat-pro"), False),
        ({"item_code": ["a-?", "b-[12]"]}, ALine(item_code="b-2"), True),
        ({"item_code": ["a-?", "b-[12]"]}, ALine(item_code="b-3"), False),
        ({"feature_key": "api"}, ALine(feature_key="api"), True),
        ({"feature_key": "ap*"}, ALine(feature_key="api"), False),
        ({"metadata": {"plan": ["pro", "max"]}}, ALine(metadata={"plan": "max"}), True),
        ({"metadata": {"plan": "pro"}}, ALine(metadata={"team": "pro"}), False),
        ({"metadata": {"plan": "pro", "team": "x"}}, ALine(metadata={"plan": "pro"}), False),
        ({"tax_code": "reduced"}, ALine(tax_config=ATaxConfig("reduced")), True),
        ({"tax_code": "reduced"}, ALine(tax_config=ATaxConfig()), False),
        ({"tax_code": "reduced"}, ALine(), False),
        ({"currency": "EUR"}, ALine(), True),
        ({"currency": "USD"}, ALine(), False),
        ({"customer_id": ACustomer().id}, ALine(), True),
        ({"customer_key": ["acme", "b"]}, ALine(), True),
        ({"customer_key": "b"}, ALine(), False),
        ({"customer_key": "acme", "feature_key": "api"}, ALine(), False),
    ],
)
def test_a_condition_holds_only_if_everything_it_states_does(when, line, matches):
    assert (rules(a_rule(when=when)).apply(line, AnInvoice()) is not None) is matches


def test_the_order_is_kept_between_exact_patterns_and_general_rules():
    book = rules(
        a_rule("exact in GBP", {"item_code": "seat-pro", "currency": "GBP"}),
        a_rule("pattern", {"item_code": "seat-*"}),
        a_rule("exact", {"item_code": ["seat-pro", "other"]}),
        a_rule("everything"),
        a_rule("never", {"item_code": "other"}),
    )
    assert mapped_by(book, ALine(item_code="seat-pro")) == "pattern"
    assert mapped_by(book, ALine(item_code="seat-pro"), AnInvoice("GBP")) == "exact in GBP"
    assert mapped_by(book, ALine(item_code="seat-basic")) == "pattern"
    assert mapped_by(book, ALine(item_code="other")) == "exact"
    assert mapped_by(book, ALine(item_code="unheard of")) == "everything"
    assert mapped_by(book, ALine()) == "everything"


def test_the_description_follows_its_template():
    line = ALine(name="Seats", description="12 seats", item_code="seat")
    template = "{customer_name} ({customer_key}): {description} {{{item_code}}} in {currency}{feature_key}"
    mapped = rules(a_rule(description=template)).apply(line, AnInvoice())
    assert mapped.description == "Acme Ltd (acme): 12 seats {seat} in EUR"


def test_without_a_template_the_line_keeps_its_own_description_or_name():
    book = rules(a_rule())
    assert book.apply(ALine(description="12 seats"), AnInvoice()).description == "12 seats"
    assert book.apply(ALine(), AnInvoice()).description == "Seats in May"
    assert rules(a_rule(description="{description}")).apply(ALine(), AnInvoice()).description == "Seats in May"


def test_a_mapped_line_survives_json():
    mapped = rules(a_rule(account="200", tracking={"Team": "Sales", "Region": "North"})).apply(ALine(), AnInvoice())
    assert mapped.tracking == (("Team", "Sales"), ("Region", "North"))
    assert MappedLine.from_json(json.loads(json.dumps(mapped.to_json()))) == mapped


def test_rules_survive_json():
    book = rules(a_rule(when={"item_code": "seat-*", "metadata": {"plan": "pro"}}, account="1", tracking={"T": "S"}))
    assert parse_mapping_rules(book.model_dump_json()) == book
    again = parse_mapping_rules(book.model_dump_json(exclude_defaults=True).encode())
    assert mapped_by(again, ALine(item_code="seat-1", metadata={"plan": "pro"})) == "a"


@pytest.mark.parametrize(
    "broken,path,words",
    [
        (a_rule("seats", {"item_cod": "x"}), "/rules/1/when/item_cod", ["'seats'", "item_cod"]),
        (a_rule("seats", {"item_code": []}), "/rules/1/when/item_code", ["'seats'", "item_code"]),
        (a_rule("seats", {"currency": "XXY"}), "/rules/1/when/currency/0", ["'seats'", "XXY"]),
        (a_rule("seats", {"metadata": {"a/b": 1}}), "/rules/1/when/metadata/a~1b", ["'seats'"]),
        (a_rule("seats", description="{line}"), "/rules/1/then/description", ["'seats'", "{line}", "{customer_name}"]),
        (a_rule("seats", description="{name.__class__}"), "/rules/1/then/description", ["name.__class__"]),
        (a_rule("seats", description="{name!r}"), "/rules/1/then/description", ["{name}"]),
        (a_rule("seats", description="{name"), "/rules/1/then/description", ["{name"]),
        ({"name": "seats", "then": {}}, "/rules/1/then", ["'seats'", "at least one"]),
        ({"name": "seats"}, "/rules/1/then", ["'seats'"]),
        ({"then": {"account": "1"}}, "/rules/1/name", ["number 2"]),
        ("no rule", "/rules/1", ["number 2"]),
        (a_rule("fine"), "", ["'fine'", "Rename"]),
    ],
)
def test_an_error_names_the_rule(broken, path, words):
    with pytest.raises(InvalidInput) as refused:
        rules(a_rule("fine"), broken)
    assert refused.value.path == path
    assert [word for word in words if word not in refused.value.message] == []
    assert refused.value.code in {"mapping_rule_invalid", "mapping_rules_invalid"}


def test_every_problem_is_listed():
    with pytest.raises(InvalidInput) as refused:
        rules(a_rule("a", {"x": 1}), a_rule("b", {"y": 1}))
    assert [problem.path for problem in refused.value.problems] == ["/rules/0/when/x", "/rules/1/when/y"]


@pytest.mark.parametrize("text", ["{", b"\xff", "[" * 100_000])
def test_rules_that_are_no_json_are_refused(text):
    with pytest.raises(InvalidInput) as refused:
        parse_mapping_rules(text)
    assert refused.value.code == "mapping_rules_not_json"


@pytest.mark.parametrize("document", ["[]", "null", '{"rules": {}}', '{"rule": []}'])
def test_json_of_another_shape_is_refused(document):
    with pytest.raises(InvalidInput) as refused:
        parse_mapping_rules(document)
    assert refused.value.code == "mapping_rules_invalid"
