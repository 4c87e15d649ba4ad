from __future__ import annotations

import json

import pytest

from billhook.domain.invoice import InvoiceContent, InvoiceDraft, content_json, parse_content
from billhook.domain.parsing import parse_draft
from billhook.errors import InvalidInput
from billhook.testing.builders import a_content, an_id, an_invoice


def document(**changes):
    line = {"name": "Seats", "quantity": "3", "price": {"type": "unit", "amount": "9.99"}}
    return {"customer_key": "acme", "currency": "EUR", "lines": [line], **changes}


def with_line(**changes):
    return document(lines=[document()["lines"][0], {**document()["lines"][0], **changes}])


def problems(data):
    with pytest.raises(InvalidInput) as refused:
        parse_draft(data)
    found = [(problem.code, problem.path) for problem in refused.value.problems]
    assert (refused.value.code, refused.value.path) == found[0]
    assert all(problem.message for problem in refused.value.problems)
    return found


def test_bytes_and_mappings_mean_the_same():
    assert parse_draft(json.dumps(document()).encode()) == parse_draft(document())


@pytest.mark.parametrize(
    "changes, code, path",
    [
        ({"name": ""}, "string_too_short", "/lines/1/name"),
        ({"name": "x" * 10_000_000}, "string_too_long", "/lines/1/name"),
        ({"name": "a\x00b"}, "string_pattern_mismatch", "/lines/1/name"),
        ({"description": "x" * 10_000_000}, "string_too_long", "/lines/1/description"),
        ({"quantity": 1.5}, "amount_is_float", "/lines/1/quantity"),
        ({"quantity": "NaN"}, "amount_not_finite", "/lines/1/quantity"),
        ({"price": {"type": "unit"}}, "missing", "/lines/1/price/amount"),
        ({"price": {"type": "unit", "amount": "1e5"}}, "amount_invalid", "/lines/1/price/amount"),
        ({"price": {"type": "barter", "amount": "1"}}, "union_tag_invalid", "/lines/1/price"),
        ({"price": {"type": "flat", "amount": "1"}}, "quantity_on_flat_price", "/lines/1"),
        (
            {"price": {"type": "tiered", "mode": "volume", "tiers": [{"unit_price": "-1"}]}},
            "greater_than_equal",
            "/lines/1/price/tiers/0/unit_price",
        ),
        (
            {"discounts": [{"type": "percentage", "percentage": "101"}]},
            "less_than_equal",
            "/lines/1/discounts/0/percentage",
        ),
        ({"discounts": [{"type": "amount", "amount": "-1"}]}, "greater_than_equal", "/lines/1/discounts/0/amount"),
        ({"metadata": {"a/b": "x" * 1025}}, "string_too_long", "/lines/1/metadata/a~1b"),
        ({"metadata": {f"k{n}": "" for n in range(65)}}, "too_long", "/lines/1/metadata"),
        (
            {"period": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
            "period_empty",
            "/lines/1/period",
        ),
        ({"invoice_at": "2026-01-01T00:00:00"}, "datetime_naive", "/lines/1/invoice_at"),
        ({"colour": "red"}, "extra_forbidden", "/lines/1/colour"),
        ({"id": "not-a-ulid"}, "string_pattern_mismatch", "/lines/1/id"),
    ],
)
def test_a_wrong_line_is_named_with_a_code_and_its_place(changes, code, path):
    assert problems(with_line(**changes)) == [(code, path)]


@pytest.mark.parametrize(
    "changes, code, path",
    [
        ({"lines": []}, "too_short", "/lines"),
        ({"currency": "EURO"}, "currency_unknown", "/currency"),
        ({"customer_key": None}, "customer_missing", ""),
        ({"customer_id": an_id()}, "customer_missing", ""),
        ({"lines": document()["lines"] * 10_001}, "too_long", "/lines"),
        (
            {"exchange_rate": {"from_currency": "EUR", "to_currency": "USD", "rate": "1"}},
            "exchange_rate_of_one",
            "/exchange_rate",
        ),
        (
            {"exchange_rate": {"from_currency": "EUR", "to_currency": "EUR", "rate": "2"}},
            "exchange_rate_same_currency",
            "/exchange_rate",
        ),
        (
            {"exchange_rate": {"from_currency": "EUR", "to_currency": "USD", "rate": "0"}},
            "exchange_rate_not_positive",
            "/exchange_rate",
        ),
        (
            {"exchange_rate": {"from_currency": "GBP", "to_currency": "USD", "rate": "1.2"}},
            "exchange_rate_currency_mismatch",
            "",
        ),
        ({"lines": [{**document()["lines"][0], "id": an_id()}] * 2}, "line_id_repeated", ""),
    ],
)
def test_a_wrong_invoice_is_named_with_a_code_and_its_place(changes, code, path):
    assert problems(document(**changes)) == [(code, path)]


@pytest.mark.parametrize(
    "wrong, said",
    [
        (b"[]", "The document: This has to be an object."),
        (document(lines="none"), "/lines: This has to be an array."),
        (document(lines=["Seats"]), "/lines/0: This has to be an object."),
        (document(metadata=[]), "/metadata: This has to be an object."),
    ],
)
def test_what_has_the_wrong_shape_is_told_in_the_words_of_json(wrong, said):
    with pytest.raises(InvalidInput) as refused:
        parse_draft(wrong)
    assert str(refused.value) == said


def test_every_problem_is_listed_at_once():
    wrong = document(currency="nope", lines=[{"name": "", "price": {"type": "unit", "amount": 1.0}}])
    assert problems(wrong) == [
        ("currency_unknown", "/currency"),
        ("string_too_short", "/lines/0/name"),
        ("amount_is_float", "/lines/0/price/amount"),
    ]


def test_the_list_of_problems_ends_at_a_hundred():
    assert len(problems(document(lines=[{}] * 200))) == 100


def test_json_nested_without_end_is_refused():
    assert problems(b"[" * 100_000) == [("json_invalid", "")]
    deep = b'{"metadata": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    assert problems(deep) == [("json_invalid", "")]


def test_a_document_beyond_the_limit_is_not_read_at_all():
    assert problems(b" " * (32 * 1024 * 1024 + 1)) == [("body_too_large", "")]


def test_what_is_no_utf8_is_refused():
    assert problems(b'{"currency": "\xff"}') == [("json_invalid", "")]


def test_the_senders_text_is_not_repeated_in_the_error():
    with pytest.raises(InvalidInput) as refused:
        parse_draft(document(customer_key="secret-customer" * 100))
    assert "secret-customer" not in str(refused.value)


def test_a_plain_line_stays_small_in_storage():
    body = content_json(a_content(an_invoice(lines=1, currency="JPY")))
    line = json.loads(body)["lines"][0]
    assert set(line) == {"id", "name", "item_code", "price", "totals"}
    assert line["price"] == {"type": "unit", "amount": "1037"}
    assert line["totals"] == {"amount": "1037"}


def test_stored_content_comes_back_the_same_and_is_written_the_same():
    content = a_content(an_invoice(metadata={"b": "2", "a": "1"}, description="Größe ✓"))
    body = content_json(content)
    assert parse_content(body) == content
    assert content_json(parse_content(body)) == body


def test_metadata_in_another_order_gives_the_same_bytes():
    one, other = (
        a_content(an_invoice(metadata=dict(pairs))) for pairs in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")])
    )
    assert content_json(one) == content_json(other)


@pytest.mark.parametrize("kind", [InvoiceDraft, InvoiceContent])
def test_the_schema_of_an_invoice_has_amounts_as_decimal_strings(kind):
    schema = kind.model_json_schema()
    assert schema["$defs"]["UnitPrice"]["properties"]["amount"]["type"] == "string"
    assert json.dumps(schema)
