from __future__ import annotations

from decimal import Decimal

import pytest

from billhook.domain.calculation import InvoiceEdit, apply_taxes, as_draft, recalculate
from billhook.domain.checks import issues_of
from billhook.domain.discount import AmountDiscount, DiscountReason, PercentageDiscount, UsageDiscount
from billhook.domain.exchange import ExchangeRate
from billhook.domain.invoice import ExpectedTotals, details_of, discounts_of
from billhook.domain.price import FlatPrice, Tier, TieredPrice, UnitPrice
from billhook.domain.tax import TaxAmount, TaxBehavior, TaxConfig, TaxRate
from billhook.errors import InvalidInput
from billhook.testing.builders import a_content, a_line, a_supplier, a_workflow, an_id, an_invoice

VAT = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal(20)),))
TWO_TIERS = TieredPrice(
    mode="graduated",
    tiers=(Tier(up_to_amount=Decimal(10), unit_price=Decimal("0.55")), Tier(unit_price=Decimal("0.33"))),
)


def test_three_lines_of_yen_add_up_to_the_total():
    content = a_content(an_invoice(lines=3, currency="JPY"))
    assert [line.totals.total for line in content.lines] == [1037, 2148, 3333]
    assert content.totals.total == 6518


def test_a_plain_line_stores_no_details_and_still_has_one():
    (line,) = a_content(an_invoice(lines=1)).lines
    (detail,) = details_of(line)
    assert line.detailed_lines == ()
    assert (detail.quantity, detail.per_unit_amount, detail.totals) == (1, Decimal("10.37"), line.totals)
    assert detail.id != line.id


def test_a_flat_line_is_made_of_itself():
    draft = an_invoice(lines=1).model_copy(
        update={"lines": (a_line(quantity=None, price=FlatPrice(amount=Decimal(5))),)}
    )
    (detail,) = details_of(a_content(draft).lines[0])
    assert (detail.name, detail.quantity, detail.per_unit_amount) == ("Line 1", 1, 5)


def test_a_plain_line_of_nothing_is_made_of_nothing():
    draft = an_invoice().model_copy(update={"lines": (a_line(quantity=Decimal(0)),)})
    assert details_of(a_content(draft).lines[0]) == ()


def test_a_tiered_line_is_the_sum_of_its_details_taxes_included():
    line = a_line(quantity=Decimal(25), price=TWO_TIERS, tax_config=VAT)
    (line,) = a_content(an_invoice().model_copy(update={"lines": (line,)})).lines
    assert [detail.totals.total for detail in line.detailed_lines] == [Decimal("6.60"), Decimal("5.94")]
    assert line.totals.total == Decimal("12.54")
    assert line.taxes[0].amount == Decimal("2.09")


def test_discounts_and_free_usage_stand_on_the_line_with_ids_of_their_own():
    discounts = (
        UsageDiscount(quantity=Decimal(2), correlation_id="free-tier"),
        PercentageDiscount(percentage=Decimal(10)),
    )
    line = a_line(quantity=Decimal(12), price=UnitPrice(amount=Decimal("1.00")), discounts=discounts)
    (line,) = a_content(an_invoice().model_copy(update={"lines": (line,)})).lines
    free, off = discounts_of(line)
    assert (line.quantity, line.metered_quantity) == (10, 12)
    assert (free.reason, free.quantity, free.amount, free.correlation_id) == (DiscountReason.USAGE, 2, 0, "free-tier")
    assert (off.reason, off.amount, line.totals.total) == (DiscountReason.PERCENTAGE, 1, 9)
    assert len({line.id, free.id, off.id}) == 3


def test_exclusive_tax_comes_on_top_and_inclusive_tax_is_inside():
    inside = VAT.model_copy(update={"behavior": TaxBehavior.INCLUSIVE})
    lines = (
        a_line(1, price=UnitPrice(amount=Decimal("12.00")), tax_config=VAT),
        a_line(2, quantity=Decimal(1), price=UnitPrice(amount=Decimal("12.00")), tax_config=inside),
    )
    totals = a_content(an_invoice().model_copy(update={"lines": lines})).totals
    assert (totals.taxes_exclusive_total, totals.taxes_inclusive_total, totals.taxes_total) == (
        Decimal("2.40"),
        Decimal("2.00"),
        Decimal("4.40"),
    )
    assert (totals.total, totals.net) == (Decimal("26.40"), Decimal("22.00"))


def test_lines_without_a_tax_of_their_own_get_the_profiles():
    content = a_content(workflow=a_workflow(default_tax_config=VAT))
    assert all(line.taxes[0].name == "VAT" for line in content.lines)
    assert content.totals.taxes_total == Decimal("13.04")


def test_a_profile_with_tax_off_computes_none():
    content = a_content(workflow=a_workflow(default_tax_config=VAT, tax_enabled=False))
    assert content.totals.taxes_total == 0


def test_taxes_that_the_sender_computed_are_kept_to_the_cent():
    stated = TaxAmount(
        name="Sales tax",
        percentage=Decimal("8.875"),
        behavior=TaxBehavior.EXCLUSIVE,
        taxable_amount=Decimal("10.37"),
        amount=Decimal("0.99"),
    )
    content = a_content(an_invoice().model_copy(update={"lines": (a_line(taxes=(stated,), tax_config=VAT),)}))
    assert content.totals.total == Decimal("11.36")
    assert recalculate(content, InvoiceEdit(description="x")).totals == content.totals


def test_a_stated_tax_finer_than_a_cent_is_refused_with_its_place():
    stated = TaxAmount(
        name="T",
        percentage=Decimal(1),
        behavior=TaxBehavior.EXCLUSIVE,
        taxable_amount=Decimal(1),
        amount=Decimal("0.001"),
    )
    with pytest.raises(InvalidInput) as refused:
        a_content(an_invoice().model_copy(update={"lines": (a_line(), a_line(taxes=(stated,)))}))
    assert (refused.value.code, refused.value.path) == ("amount_inexact", "/lines/1/taxes/0/amount")


def test_a_tax_providers_answer_goes_onto_its_line_alone():
    content = a_content()
    answer = TaxAmount(
        name="VAT",
        percentage=Decimal(20),
        behavior=TaxBehavior.EXCLUSIVE,
        taxable_amount=content.lines[0].totals.total,
        amount=Decimal("2.07"),
    )
    taxed = apply_taxes(content, {content.lines[0].id: (answer,)})
    assert taxed.totals.total == content.totals.total + Decimal("2.07")
    assert taxed.lines[1:] == content.lines[1:]


def test_an_edit_forgets_what_the_tax_provider_said():
    content = a_content()
    answer = TaxAmount(
        name="VAT", percentage=Decimal(20), behavior=TaxBehavior.EXCLUSIVE, taxable_amount=Decimal(1), amount=Decimal(1)
    )
    taxed = apply_taxes(content, {content.lines[0].id: (answer,)})
    assert recalculate(taxed, InvoiceEdit(description="New")).totals == content.totals


def test_metered_lines_take_their_quantity_from_the_usage():
    draft = an_invoice().model_copy(update={"lines": (a_line(id=an_id(7), quantity=None, feature_key="api"),)})
    content = a_content(draft, quantities={an_id(7): Decimal(3)})
    assert content.lines[0].quantity == 3


def test_every_line_that_cannot_be_calculated_is_named():
    lines = (a_line(quantity=None), a_line(), a_line(quantity=Decimal(-1), price=TWO_TIERS))
    with pytest.raises(InvalidInput) as refused:
        a_content(an_invoice().model_copy(update={"lines": lines}))
    assert [(problem.code, problem.path) for problem in refused.value.problems] == [
        ("quantity_missing", "/lines/0/quantity"),
        ("quantity_negative", "/lines/2/quantity"),
    ]


def test_a_period_billed_in_part_before_is_refused():
    with pytest.raises(InvalidInput) as refused:
        a_content(an_invoice().model_copy(update={"lines": (a_line(pre_line_period_quantity=Decimal(5)),)}))
    assert refused.value.code == "progressive_billing_not_supported"
    assert refused.value.path == "/lines/0/pre_line_period_quantity"


def test_sums_beyond_any_amount_are_refused():
    huge = UnitPrice(amount=Decimal(9999999999999999))
    with pytest.raises(InvalidInput) as refused:
        a_content(an_invoice().model_copy(update={"lines": (a_line(1, price=huge), a_line(1, price=huge))}))
    assert refused.value.code == "amount_out_of_bounds"
    with pytest.raises(InvalidInput) as refused:
        a_content(an_invoice().model_copy(update={"lines": (a_line(2, price=huge),)}))
    assert (refused.value.code, refused.value.path) == ("amount_out_of_bounds", "/lines/0")


def test_an_edit_keeps_what_it_does_not_state():
    content = a_content(an_invoice(description="January", metadata={"po": "7"}))
    edited = recalculate(content, InvoiceEdit(supplier=a_supplier(name="New Inc")))
    assert edited.supplier.name == "New Inc"
    assert (edited.description, edited.metadata, edited.lines) == ("January", {"po": "7"}, content.lines)


def test_an_edit_can_clear_a_description():
    content = a_content(an_invoice(description="January"))
    assert recalculate(content, InvoiceEdit(description=None)).description is None


def test_an_edit_replaces_the_lines_and_knows_the_ones_that_stay():
    content = a_content()
    stays = as_draft(content.lines[1]).model_copy(update={"quantity": None, "name": "Renamed"})
    edited = recalculate(content, InvoiceEdit(lines=(stays, a_line(9))), line_ids=[an_id(8), an_id(9)])
    assert [line.id for line in edited.lines] == [content.lines[1].id, an_id(9)]
    assert (edited.lines[0].name, edited.lines[0].quantity) == ("Renamed", 2)
    assert edited.totals.total == edited.lines[0].totals.total + edited.lines[1].totals.total


def test_a_negative_total_stops_the_invoice():
    content = a_content(an_invoice().model_copy(update={"lines": (a_line(quantity=Decimal(-1)),)}))
    assert [(issue.code, issue.severity, issue.path) for issue in issues_of(content)] == [
        ("total_negative", "critical", "/totals/total")
    ]


def test_enforced_tax_stops_the_invoice_at_the_line_without_it():
    lines = (a_line(1, tax_config=VAT), a_line(2))
    content = a_content(an_invoice().model_copy(update={"lines": lines}), workflow=a_workflow(tax_enforced=True))
    assert [(issue.code, issue.path) for issue in issues_of(content)] == [("tax_missing", "/lines/1/taxes")]


def test_an_ordinary_invoice_has_no_issues():
    assert issues_of(a_content()) == ()


def test_an_amount_off_takes_the_line_to_zero_at_most():
    content = a_content(
        an_invoice().model_copy(update={"lines": (a_line(discounts=(AmountDiscount(amount=Decimal(99)),)),)})
    )
    assert (content.totals.discounts_total, content.totals.total) == (Decimal("10.37"), 0)


def test_a_drafts_own_workflow_values_win_and_the_profiles_others_stay():
    draft = an_invoice(workflow=a_workflow(auto_advance=False))
    workflow = a_content(draft, workflow=a_workflow(tax_enabled=False)).workflow
    assert (workflow.auto_advance, workflow.tax_enabled) == (False, False)


def test_an_exchange_rate_travels_with_the_invoice():
    rate = ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.0812"))
    assert a_content(an_invoice(exchange_rate=rate)).exchange_rate == rate


# What the sender's system came to.


SEVENS = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal(7)),))


def three_times_half_a_euro(expected, **changes):
    lines = [a_line(quantity=Decimal(1), price=UnitPrice(amount=Decimal("0.50")), tax_config=SEVENS) for _ in range(3)]
    return a_content(an_invoice().model_copy(update={"lines": tuple(lines), "expected_totals": expected, **changes}))


def test_an_invoice_that_comes_to_what_is_expected_has_no_issue():
    expected = ExpectedTotals(net=Decimal("1.5"), taxes_total=Decimal("0.12"), total=Decimal("1.620"))
    assert issues_of(three_times_half_a_euro(expected)) == ()


def test_a_cent_more_than_expected_names_both_figures_and_the_rounding_that_comes_to_it():
    expected = ExpectedTotals(net=Decimal("1.50"), taxes_total=Decimal("0.11"), total=Decimal("1.61"))
    content = three_times_half_a_euro(expected)
    (issue,) = issues_of(content)
    assert (issue.severity, issue.code, issue.path) == ("critical", "totals_unexpected", "/expected_totals")
    assert issue.message == (
        "The lines come to other amounts than expected: the tax is 0.12 and 0.11 was expected; the total is 1.62 and 1.61 was expected. "
        "Rounded otherwise they come to it: billhook invoices update INVOICE --workflow tax_rounding=on_total"
    )
    rounded = recalculate(content, InvoiceEdit(workflow=a_workflow(tax_rounding="on_total")))
    assert issues_of(rounded) == ()


def test_a_sender_who_rounds_halves_down_is_found_too():
    (issue,) = issues_of(three_times_half_a_euro(ExpectedTotals(total=Decimal("1.59"))))
    assert issue.message.endswith("billhook invoices update INVOICE --workflow rounding=half_down")


def test_what_no_rounding_explains_is_to_be_corrected():
    (issue,) = issues_of(three_times_half_a_euro(ExpectedTotals(total=Decimal("16.20"))))
    assert "billhook invoices update INVOICE --file EDIT.json" in issue.message


def test_tax_that_no_rounding_comes_to_is_to_be_stated():
    expected = ExpectedTotals(net=Decimal("1.50"), taxes_total=Decimal("0.20"), total=Decimal("1.70"))
    (issue,) = issues_of(three_times_half_a_euro(expected))
    assert "computed the tax another way, state it: each line's taxes. Correct the lines" in issue.message


def test_a_total_that_is_what_was_left_to_pay_is_told_as_such():
    expected = ExpectedTotals(net=Decimal("1.50"), taxes_total=Decimal("0.12"), total=Decimal("0.62"))
    (issue,) = issues_of(three_times_half_a_euro(expected))
    assert "the net amount and the tax make 1.62. The total is the whole document's" in issue.message
    assert "state it" not in issue.message


def test_a_credit_note_of_another_total_is_given_up():
    expected = ExpectedTotals(total=Decimal("1.61"))
    (issue,) = issues_of(three_times_half_a_euro(expected, type="credit_note"))
    assert issue.message.endswith(
        "Give it up with billhook credit-notes void CREDIT_NOTE, and submit it with the workflow tax_rounding=on_total under a new key."
    )


def test_an_edit_keeps_what_is_expected_until_it_says_otherwise():
    expected = ExpectedTotals(total=Decimal("1.62"))
    before = three_times_half_a_euro(expected)
    lines = (as_draft(before.lines[0]),)
    edited = recalculate(before, InvoiceEdit(lines=lines), line_ids=[before.lines[0].id])
    assert [issue.code for issue in issues_of(edited)] == ["totals_unexpected"]
    assert issues_of(recalculate(edited, InvoiceEdit(expected_totals=None))) == ()
    restated = InvoiceEdit(expected_totals=ExpectedTotals(total=Decimal("0.54")))
    assert issues_of(recalculate(edited, restated)) == ()


def test_taxes_of_an_app_are_compared_as_well():
    before = three_times_half_a_euro(ExpectedTotals(total=Decimal("1.62")))
    line = before.lines[0]
    (tax,) = line.taxes
    taxed = apply_taxes(before, {line.id: (tax.model_copy(update={"amount": Decimal("0.03")}),)})
    assert [issue.code for issue in issues_of(taxed)] == ["totals_unexpected"]


def test_nothing_expected_is_refused():
    with pytest.raises(ValueError, match="State net, taxes_total, total"):
        ExpectedTotals()
