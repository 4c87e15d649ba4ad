from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from billhook.errors import InvalidInput
from billhook.testing.sandbox.desk import SandboxRules
from billhook.testing.sandbox.sums import sums_of


def line(reference="line-1", **changes):
    return {"reference": reference, "description": "Tokens", "quantity": "3", "unit_price": "3.335", **changes}


def errors_of(answer):
    (item,) = answer.json()["items"]
    assert item["ok"] is False
    return [(error["code"], error["path"]) for error in item["errors"]]


def test_a_batch_is_not_atomic_and_says_which_items_failed_and_why(shop):
    bad = shop.item("B", customer="cus_nobody")
    answer = shop.create(shop.item("A"), bad, shop.item("C"))
    told = {item["reference"]: item for item in answer.json()["items"]}
    assert answer.status_code == 200
    assert [told[reference]["ok"] for reference in "ABC"] == [True, False, True]
    assert told["B"]["id"] is None
    assert told["B"]["errors"][0]["code"] == "customer_unknown"
    assert [document.reference for document in shop.sandbox.documents()] == ["A", "C"]


def test_the_sandbox_computes_its_own_totals_half_up(shop):
    discounted = line(discounts=[{"reference": "d1", "amount": "1.00"}], tax_amount="1.80")
    shop.create(shop.item(lines=[discounted], discount={"reference": "d2", "amount": "0.01"}))
    (document,) = shop.sandbox.documents()
    assert document.amount == Decimal("10.01")  # 3 x 3.335 = 10.005
    assert (document.discounted, document.tax, document.total) == (Decimal("1.01"), Decimal("1.80"), Decimal("10.80"))
    assert [(each.reference, each.line) for each in document.discounts] == [("d1", "line-1"), ("d2", None)]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"total": "10.00"}, [("total_differs", "/total")]),
        ({"lines": [line(amount="10.00")]}, [("amount_differs", "/lines/0/amount")]),
        ({"lines": [line(quantity=3)]}, [("amount_not_decimal_text", "/lines/0/quantity")]),
        ({"lines": [line(tax_amount="0.001")]}, [("amount_has_too_many_decimals", "/lines/0/tax_amount")]),
        ({"lines": [line(), line()]}, [("line_reference_repeated", "/lines/1/reference")]),
        ({"lines": [line("a", quantity="x"), line("b", unit_price="NaN")]}, [
            ("amount_not_decimal_text", "/lines/0/quantity"),
            ("amount_not_decimal_text", "/lines/1/unit_price"),
        ]),
        ({"currency": "XXX"}, [("currency_unknown", "/currency")]),
        ({"discount": "1.00"}, [("discount_invalid", "/discount")]),
    ],
)  # fmt: skip
def test_an_item_that_does_not_add_up_is_refused_with_its_place(shop, changes, expected):
    assert errors_of(shop.create(shop.item(**changes))) == expected
    assert shop.sandbox.documents() == ()


def test_line_ids_come_back_by_our_reference_and_stay_when_the_draft_is_replaced(shop):
    created = shop.create(shop.item(lines=[line("a"), line("b")])).json()["items"][0]
    replaced = shop.http.put(f"/v1/invoices/{created['id']}", json=shop.item(lines=[line("b"), line("c")])).json()
    before = {each["reference"]: each["id"] for each in created["lines"]}
    after = {each["reference"]: each["id"] for each in replaced["lines"]}
    assert before["b"] == after["b"]
    assert [each.reference for each in shop.sandbox.documents()[0].lines] == ["b", "c"]


def test_a_number_can_be_used_once(shop):
    shop.issued("A", number="2026-1")
    assert errors_of(shop.create(shop.item("B", number="2026-1"))) == [("number_taken", "/number")]


def test_the_number_of_a_deleted_draft_is_free_again(shop):
    draft = shop.create(shop.item("A", number="2026-1")).json()["items"][0]
    assert shop.http.delete(f"/v1/invoices/{draft['id']}").status_code == 200
    assert shop.http.delete(f"/v1/invoices/{draft['id']}").status_code == 404
    assert shop.issued("B", number="2026-1")["number"] == "2026-1"


def test_invoices_and_credit_notes_count_their_numbers_apart(shop):
    shop.issued("A", number="1")
    credit = shop.create(shop.item("C", number="1"), status="issued", kind="credit_notes").json()["items"][0]
    assert credit["number"] == "1"


class TestWithoutUniqueNumbers:
    @pytest.fixture
    def rules(self):
        return SandboxRules(unique_numbers=False)

    def test_a_number_may_repeat(self, shop):
        assert shop.issued("A", number="1")["number"] == shop.issued("B", number="1")["number"]


class TestWithUniqueReferences:
    @pytest.fixture
    def rules(self):
        return SandboxRules(unique_references=True)

    def test_a_second_document_of_ours_is_refused(self, shop):
        shop.issued("A")
        assert errors_of(shop.create(shop.item("A"))) == [("reference_taken", "/reference")]


class TestWithShuffledAnswers:
    @pytest.fixture
    def rules(self):
        return SandboxRules(shuffle=True, seed=7)

    def test_position_means_nothing(self, shop):
        sent = [f"INV-{n:02}" for n in range(20)]
        answered = [item["reference"] for item in shop.create(*map(shop.item, sent)).json()["items"]]
        assert answered != sent
        assert sorted(answered) == sent


def test_issuing_is_a_batch_that_may_be_repeated(shop):
    first, second = (shop.create(shop.item(reference)).json()["items"][0] for reference in "AB")
    asked = {"items": [{"id": first["id"], "reference": "A", "number": "1"}, {"id": second["id"], "number": "2"}]}
    for _ in range(2):
        answer = shop.http.post("/v1/invoices/issue", json=asked).json()["items"]
        assert [(item["ok"], item["status"], item["number"]) for item in answer] == [
            (True, "issued", "1"),
            (True, "issued", "2"),
        ]


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"number": "2"}, "not_a_draft"),
        ({"reference": "other"}, "reference_differs"),
        ({"id": "inv_999999"}, "not_found"),
    ],
)
def test_issuing_something_else_under_that_id_is_refused(shop, changes, code):
    issued = shop.issued("A", number="1")
    asked = {"items": [{"id": issued["id"], "reference": "A", "number": "1", **changes}]}
    assert errors_of(shop.http.post("/v1/invoices/issue", json=asked))[0][0] == code


def test_a_document_issued_without_a_number_gets_one_of_the_provider(shop):
    assert shop.issued("A")["number"].startswith("SBX-")


def test_what_was_issued_can_be_sent_and_voided_but_not_replaced_or_deleted(shop):
    place = f"/v1/invoices/{shop.issued()['id']}"
    assert shop.http.put(place, json=shop.item()).json()["error"]["code"] == "not_a_draft"
    assert shop.http.delete(place).status_code == 422
    assert shop.http.post(f"{place}/send").json()["sent_count"] == 1
    assert [shop.http.post(f"{place}/void").json()["status"] for _ in range(2)] == ["void", "void"]
    assert shop.http.post(f"{place}/send").json()["error"]["code"] == "not_issued"


def test_totals_are_decimals_net_of_credit_notes_and_without_drafts(shop):
    shop.issued("A")
    shop.issued("B", currency="JPY", lines=[line(quantity="1", unit_price="300")])
    void = shop.issued("V")
    shop.http.post(f"/v1/invoices/{void['id']}/void")
    shop.create(shop.item("D"))
    shop.create(shop.item("C", lines=[line(quantity="1", unit_price="0.01")]), status="issued", kind="credit_notes")
    assert shop.sandbox.totals() == {"EUR": Decimal("10.00"), "JPY": Decimal(300)}


def test_documents_are_found_by_our_reference_their_id_and_their_number(shop):
    made = [shop.issued(reference, number=f"N-{reference}") for reference in "ABC"]

    def found(**query):
        return [item["reference"] for item in shop.http.get("/v1/invoices", params=query).json()["items"]]

    assert found(reference="A,C") == ["A", "C"]
    assert found(number="N-B") == ["B"]
    assert found(id=made[2]["id"]) == ["C"]
    assert found(reference="nobody") == []
    assert shop.http.get("/v1/credit_notes").json()["items"] == []


def test_a_whole_document_can_be_read(shop):
    issued = shop.issued(exchange_rate="1.1", due_date="2026-04-01", metadata={"a": "b"})
    whole = shop.http.get(f"/v1/invoices/{issued['id']}").json()
    assert whole["totals"] == issued["totals"]
    assert (whole["exchange_rate"], whole["due_date"], whole["metadata"]) == ("1.1", "2026-04-01", {"a": "b"})
    assert whole["lines"][0]["unit_price"] == "3.335"


@pytest.mark.parametrize("step, status", [("draft", "draft"), ("issue", "issued")])
def test_a_document_steered_to_pend_settles_by_the_clock(shop, clock, step, status):
    answer = shop.create(shop.item(metadata={f"sandbox/{step}": "pending"}), status=status).json()["items"][0]
    assert (answer["ok"], answer["status"]) == (True, f"{step}_pending")
    clock.advance(timedelta(seconds=60))
    assert shop.http.get(f"/v1/invoices/{answer['id']}").json()["status"] == status


def test_a_document_steered_to_be_rejected_leaves_nothing(shop):
    assert errors_of(shop.create(shop.item(metadata={"sandbox/draft": "reject"})))[0][0] == "rejected"
    assert shop.sandbox.documents() == ()


def test_an_issue_steered_to_be_rejected_leaves_the_draft(shop):
    draft = shop.create(shop.item(metadata={"sandbox/issue": "reject"})).json()["items"][0]
    assert errors_of(shop.http.post("/v1/invoices/issue", json={"items": [{"id": draft["id"]}]}))[0][0] == "rejected"
    assert [document.status for document in shop.sandbox.documents()] == ["draft"]


def test_an_omitted_item_is_applied_and_can_be_looked_up(shop):
    answer = shop.create(shop.item("A"), shop.item("B", metadata={"sandbox/omit": "true"}))
    assert [item["reference"] for item in answer.json()["items"]] == ["A"]
    assert len(shop.http.get("/v1/invoices?reference=B").json()["items"]) == 1


def test_a_credit_note_may_name_the_invoice_that_it_credits(shop):
    invoice = shop.issued("A")
    shop.create(shop.item("C", invoice=invoice["id"]), status="issued", kind="credit_notes")
    unknown = shop.create(shop.item("D", invoice="inv_000404"), status="issued", kind="credit_notes")
    assert errors_of(unknown) == [("invoice_unknown", "/invoice")]
    assert shop.sandbox.documents()[-1].invoice == invoice["id"]


def test_discounts_come_back_with_ids_of_their_own(shop):
    sent = line(discounts=[{"reference": "d1", "amount": "1.00"}])
    issued = shop.issued(lines=[sent])
    (shown,) = shop.http.get(f"/v1/invoices/{issued['id']}").json()["discounts"]
    assert issued["discounts"] == [{"reference": "d1", "id": shown["id"]}]
    assert (shown["amount"], shown["line"]) == ("1.00", "line-1")


def test_a_batch_that_is_too_long_is_refused_whole(shop):
    answer = shop.create(*(shop.item(f"INV-{n}") for n in range(51)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "too_many_items")
    assert shop.sandbox.documents() == ()


def test_a_customer_can_be_made_changed_and_found(shop):
    sent = {"reference": "c2", "name": "Bob", "address": {"city": "Oslo"}}
    (made,) = shop.http.post("/v1/customers", json={"items": [sent]}).json()["items"]
    shop.http.put(f"/v1/customers/{made['id']}", json={**sent, "name": "Robert"})
    (found,) = shop.http.get("/v1/customers?reference=c2").json()["items"]
    assert (found["id"], found["name"], found["address"]) == (made["id"], "Robert", {"city": "Oslo"})
    assert [customer.name for customer in shop.sandbox.customers()] == ["Ada", "Robert"]
    assert shop.http.put("/v1/customers/cus_000404", json=sent).status_code == 404


def test_two_customers_for_one_of_ours_are_seen_as_duplicates(shop):
    shop.http.post("/v1/customers", json={"items": [{"reference": "our-customer", "name": "Ada"}]})
    assert [(each.kind, each.reference) for each in shop.sandbox.duplicates()] == [("customer", "our-customer")]


def test_tax_is_answered_line_by_line(shop):
    lines = [{"reference": "a", "amount": "10.02", "tax_code": "reduced"}]
    unknown = [{"reference": "a", "amount": "1.00", "tax_code": "moon"}]
    asked = {"items": [{"reference": "A", "lines": lines}, {"reference": "B", "lines": unknown}]}
    good, bad = shop.http.post("/v1/tax", json=asked).json()["items"]
    assert good["lines"] == [{"reference": "a", "tax_code": "reduced", "rate": "0.05", "tax_amount": "0.50"}]
    assert bad["errors"][0]["code"] == "tax_code_unknown"


amounts = st.decimals("-99999", "99999", places=6, allow_nan=False).map(lambda amount: format(amount, "f"))


@given(st.lists(st.tuples(amounts, amounts), max_size=8), st.sampled_from([("JPY", 0), ("EUR", 2), ("KWD", 3)]))
def test_the_total_is_the_sum_of_lines_rounded_half_away_from_zero(pairs, currency):
    code, exponent = currency
    lines = [line(f"l{n}", quantity=quantity, unit_price=price) for n, (quantity, price) in enumerate(pairs)]
    scale = 10**exponent

    def minor(quantity, price):
        exact = Fraction(quantity) * Fraction(price) * scale
        magnitude = int(abs(exact) + Fraction(1, 2))
        return magnitude if exact >= 0 else -magnitude

    expected = sum(minor(*pair) for pair in pairs)
    item = {"currency": code, "lines": lines}
    total = sums_of(item, "inv_1").total
    assert Fraction(total) * scale == expected
    wrong = Decimal(expected + 1).scaleb(-exponent)
    with pytest.raises(InvalidInput, match="total was stated as"):
        sums_of({**item, "total": format(wrong, "f")}, "inv_1")
