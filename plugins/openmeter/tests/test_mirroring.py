"""What OpenMeter computed is what stands here, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from stand_in import OpenMeterStandIn, a_line, totals

from billhook.domain.base import METADATA_ENTRIES
from billhook.domain.invoice import InvoiceDraft
from billhook_openmeter import wire
from billhook_openmeter.mirroring import DIGEST, NotMirrored, customer_of, draft_of

LINE = "01JANE00000000000000000001"


def shown(*lines: dict[str, Any], **facts: Any) -> wire.Invoice:
    upstream = OpenMeterStandIn()
    id = upstream.create(lines)
    return wire.Invoice.model_validate(upstream.shown(upstream.invoices[id]) | facts)


def a_child(**facts: Any) -> dict[str, Any]:
    line = a_line("Seats", "100.00", id=LINE)
    return {**line["children"][0], **facts}


def a_parent(*children: dict[str, Any], total: str) -> dict[str, Any]:
    return {**a_line("Seats", total, id=LINE), "children": list(children)}


def test_quantity_and_price_are_kept_where_they_make_the_amount():
    child = a_child(quantity="12.5", perUnitAmount="8")
    (line,) = draft_of(shown(a_parent(child, total="100.00")))["lines"]
    assert (line["quantity"], line["price"]) == ("12.5", {"type": "unit", "amount": "8"})


def test_where_they_do_not_the_amount_itself_counts():
    child = a_child(quantity="3", perUnitAmount="0.333333", totals=totals(Decimal("1.00")))
    (line,) = draft_of(shown(a_parent(child, total="1.00")))["lines"]
    assert (line.get("quantity"), line["price"]) == (None, {"type": "flat", "amount": "1.00"})


def test_a_discount_keeps_the_id_under_which_its_remote_id_goes_back():
    discount = {"id": "01JD0000000000000000000000", "amount": "10.00", "reason": {"type": "maximum_spend"}}
    stated = totals(Decimal("90.00"), amount="100.00", discountsTotal="10.00")
    child = a_child(discounts={"amount": [discount]}, totals=stated)
    (line,) = draft_of(shown(a_parent(child, total="90.00")))["lines"]
    assert line["discounts"] == [{"type": "amount", "amount": "10.00", "correlation_id": discount["id"]}]


def test_credits_and_unnamed_discounts_come_off_too():
    stated = totals(Decimal("85.00"), amount="100.00", discountsTotal="10.00", creditsTotal="5.00")
    (line,) = draft_of(shown(a_parent(a_child(totals=stated), total="85.00")))["lines"]
    assert [discount["amount"] for discount in line["discounts"]] == ["10.00", "5.00"]


def test_taxes_are_taken_as_they_were_computed():
    stated = totals(Decimal("119.00"), amount="100.00", taxesExclusiveTotal="19.00")
    child = a_child(totals=stated, taxes=[{"percent": "19", "behavior": "exclusive"}])
    (line,) = draft_of(shown(a_parent(child, total="119.00")))["lines"]
    (tax,) = line["taxes"]
    assert (tax["percentage"], tax["taxable_amount"], tax["amount"]) == ("19", "100.00", "19.00")


def test_the_draft_says_what_it_has_to_come_to_and_that_is_no_content_of_its_own():
    stated = totals(Decimal("119.00"), amount="100.00", taxesExclusiveTotal="19.00")
    upstream = shown(a_parent(a_child(totals=stated), total="119.00"))
    draft = draft_of(upstream)
    assert draft["expected_totals"] == {"total": "119.00"}
    assert InvoiceDraft.model_validate(draft).expected_totals.stated == {"total": Decimal("119.00")}


@pytest.mark.parametrize(
    "items, amount, percentage",
    [
        ([{"percent": "5", "behavior": "exclusive"}, {"percent": "7", "behavior": "exclusive"}], "12.00", "12"),
        ([{"percent": "19", "surcharge": "1", "behavior": "exclusive"}], "20.00", "20"),
        ([{"percent": "0", "behavior": "exclusive"}], "0", "0"),
        ([{"percent": "19"}], "19.00", "19.00"),
        ([], "19.00", "19.00"),
    ],
    ids=["several", "a surcharge", "nothing, stated", "of no kind", "not stated"],
)
def test_the_percentage_of_a_tax_is_stated_or_what_its_amount_comes_to(items, amount, percentage):
    total = Decimal(100) + Decimal(amount)
    stated = totals(total, amount="100.00", taxesExclusiveTotal=amount)
    (line,) = draft_of(shown(a_parent(a_child(totals=stated, taxes=items), total=str(total))))["lines"]
    (tax,) = line["taxes"]
    assert (tax["percentage"], tax["amount"]) == (percentage, amount)


def test_stripes_tax_codes_are_nobody_elses():
    config = {"behavior": "exclusive", "stripe": {"code": "txcd_10000000"}}
    (line,) = draft_of(shown(a_parent(a_child(taxConfig=config), total="100.00")))["lines"]
    assert line["tax_config"] == {"behavior": "exclusive"}


def test_what_is_null_or_empty_says_nothing():
    child = a_child(metadata=None, taxes=None, description="", totals=totals(Decimal("100.00"), creditsTotal=""))
    customer = {"id": "01JCVST0MER00000000000000A", "name": "Ada", "usageAttribution": {"subjectKeys": None}}
    invoice = shown(a_parent(child, total="100.00"), metadata=None, customer=customer, description="")
    assert draft_of(invoice)["lines"][0]["price"] == {"type": "flat", "amount": "100.00"}
    assert customer_of(invoice.customer, None)["subject_keys"] == ()


def test_of_metadata_as_much_is_kept_as_has_room():
    many = {f"key-{number:03}": "x" * 2000 for number in range(200)}
    kept = draft_of(shown(a_line("Seats", "100.00", id=LINE), metadata=many))["metadata"]
    assert (len(kept), len(kept["key-000"])) == (METADATA_ENTRIES, 1024)


def test_a_credit_note_is_no_invoice_to_pay():
    with pytest.raises(NotMirrored, match="credit_note"):
        draft_of(shown(a_line("Seats", "100.00", id=LINE), type="credit_note"))


def test_deleted_lines_are_no_lines():
    gone = {**a_line("Gone", "7.00", id="01JANE00000000000000000002"), "deletedAt": "2026-03-01T00:00:00Z"}
    upstream = shown(a_line("Seats", "100.00", id=LINE), gone, totals=totals(Decimal("100.00")))
    assert [line["name"] for line in draft_of(upstream)["lines"]] == ["Seats"]


@pytest.mark.parametrize(
    "facts, reason",
    [
        ({"totals": totals(Decimal("99.99"))}, "its lines come to 100.00, and its total says 99.99"),
        ({"lines": [], "totals": totals(Decimal(0))}, "it has no line"),
        ({"customer": {"name": "Ada"}}, "its customer has no id"),
    ],
)
def test_what_does_not_add_up_is_not_mirrored(facts, reason):
    with pytest.raises(NotMirrored, match=reason):
        draft_of(shown(a_line("Seats", "100.00", id=LINE), **facts))


def test_the_digest_changes_with_the_content_and_with_nothing_else():
    def digest(*lines: dict[str, Any], **facts: Any) -> str:
        return draft_of(shown(*lines, **facts))["metadata"][DIGEST]

    line = a_line("Seats", "100.00", id=LINE)
    assert digest(line) == digest(line, number="INV-7", updatedAt="2027-01-01T00:00:00Z")
    assert digest(line) != digest(a_line("Seats", "101.00", id=LINE))
    assert digest(line) != digest(line, description="Thank you")


def test_a_final_number_upstream_is_the_number_here():
    assert "number" not in draft_of(shown(a_line("Seats", "100.00", id=LINE)))
    assert draft_of(shown(a_line("Seats", "100.00", id=LINE), number="INV-7"))["number"] == "INV-7"


cents = st.decimals(min_value="0.01", max_value="100000", places=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(cents, st.decimals(min_value="0.001", max_value="1000", places=3)), min_size=1, max_size=8))
def test_any_lines_come_to_the_same_total_here(between_for_mirroring, rows):
    """Amounts that quantity times price does not make exactly included: upstream rounded them."""
    lines = []
    for number, (price, quantity) in enumerate(rows):
        amount = (price * quantity).quantize(Decimal("0.01"))
        id = f"01JANE{number:020d}"
        child = a_child(
            id=f"01JCH{number:021d}", quantity=str(quantity), perUnitAmount=str(price), totals=totals(amount)
        )
        lines.append({**a_line(f"Line {number}", str(amount), id=id), "children": [child]})
    id = between_for_mirroring.upstream.create(lines)
    assert between_for_mirroring.bridge.visit(id).stuck is None
    stated = between_for_mirroring.upstream.shown(between_for_mirroring.upstream.invoices[id])["totals"]["total"]
    assert between_for_mirroring.here(id).invoice.total == Decimal(stated)
