"""The app that is to collect is asked before anything is issued, under its own name, where it is another one than issues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from provider_of_contract_1_0 import KeptProvider

from billhook.contract import Batch, Done, MoneyRules, PaymentResult, PaymentStatus, Severity, ValidationIssue

OpenShop = Callable[..., Shop]
COMPONENT = "app.bank.collectPayments.validate_invoice"


def collect(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("collect", batch, "collect", recover=(repeat(),))
    return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, f"pay-{batch.only.id}"))}


def complains(*issues: ValidationIssue) -> Any:
    def validate_invoice(self: Any, invoice: Any, lines: Sequence[Any], settings: Any) -> Any:
        assert lines == ()
        return issues

    return validate_invoice


def an_issue(severity: Severity = Severity.CRITICAL) -> ValidationIssue:
    return ValidationIssue(severity=severity, code="mandate_missing", message="There is no mandate.", path="/customer")


def two_apps(open_one: OpenShop, **bank: Any) -> Shop:
    workflow = bank.pop("workflow", None)
    shop = open_one(a_provider(sync_draft=careful_draft), a_provider("bank", collect_payment=collect, **bank))
    changes = {"workflow": workflow} if workflow else {}
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id, **changes)
    return shop


def found(shop: Shop, id: str) -> list[tuple[str, str]]:
    return [(issue.code, issue.component) for issue in shop.get(id).issues]


def test_what_the_collector_would_refuse_stops_the_invoice_before_anything_is_sent(a_shop_anywhere: OpenShop):
    shop = two_apps(a_shop_anywhere, validate_invoice=complains(an_issue()))
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.wire.sent) == ("draft.invalid", [])
    assert found(shop, id) == [("mandate_missing", COMPONENT)]


@pytest.mark.parametrize(
    "money, code",
    [
        (MoneyRules(currencies=frozenset({"GBP"})), "currency_not_supported"),
        (MoneyRules(max_amount="9.99"), "amount_too_large"),
        (MoneyRules(max_lines=0), None),
    ],
)
def test_the_collectors_currencies_and_amounts_count_and_its_rules_for_lines_do_not(
    a_shop: OpenShop, money: MoneyRules, code: str | None
):
    shop = two_apps(a_shop, money=money)
    id = shop.submit()
    shop.run()
    expected = ("paid", []) if code is None else ("draft.invalid", [(code, COMPONENT)])
    assert (shop.status(id), found(shop, id)) == expected


def test_a_warning_of_the_collector_is_shown_and_stops_nothing(a_shop: OpenShop):
    shop = two_apps(a_shop, validate_invoice=complains(an_issue(Severity.WARNING)))
    id = shop.submit()
    shop.run()
    assert (shop.status(id), found(shop, id)) == ("paid", [("mandate_missing", COMPONENT)])


def test_a_collector_that_fails_stops_this_invoice_alone(a_shop: OpenShop):
    def breaks(self: Any, invoice: Any, lines: Any, settings: Any) -> Any:
        if invoice.total > 10:
            raise RuntimeError("a bug")
        return ()

    shop = two_apps(a_shop, validate_invoice=breaks)
    good = shop.submit()
    line = {"name": "Work", "quantity": "2", "price": {"type": "unit", "amount": "10.00"}}
    bad = shop.submit(lines=[line])
    shop.run()
    assert (shop.status(good), shop.status(bad)) == ("paid", "draft.invalid")
    assert found(shop, bad)[0][0] == "provider_fault"


def test_nobody_is_asked_who_does_not_collect(a_shop: OpenShop):
    shop = two_apps(a_shop, validate_invoice=complains(an_issue()), workflow={"collection_method": "send_invoice"})
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


def test_nobody_is_asked_where_nothing_is_owed(a_shop: OpenShop):
    shop = two_apps(a_shop, validate_invoice=complains(an_issue()))
    id = shop.submit(lines=[{"name": "Gift", "price": {"type": "flat", "amount": "0"}}])
    shop.run()
    assert shop.status(id) == "paid"


def test_what_is_mended_is_no_longer_shown(a_shop: OpenShop):
    answers = [[an_issue()], []]

    def validate_invoice(self: Any, invoice: Any, lines: Any, settings: Any) -> Any:
        return answers.pop(0)

    shop = two_apps(a_shop, validate_invoice=validate_invoice)
    id = shop.submit()
    shop.run()
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), found(shop, id)) == ("paid", [])


def test_a_preview_tells_what_the_collector_would_refuse(a_shop: OpenShop):
    shop = two_apps(a_shop, validate_invoice=complains(an_issue()))
    preview = shop.ns.invoices.preview(shop.submit())
    assert (preview.steps, "There is no mandate." in preview.notes[-1]) == ((), True)


def test_a_collector_written_for_contract_1_0_is_asked_only_by_its_declaration(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft), KeptProvider)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("kept").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "paid"


def test_a_draft_edited_below_what_was_received_is_refused_before_it_is_sent(a_shop: OpenShop):
    shop = a_shop(workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.record_payment(id, "8")
    sent = len(shop.wire.sent)
    line = {"name": "Work", "quantity": "1", "price": {"type": "unit", "amount": "5.00"}}
    shop.ns.invoices.update(id, {"lines": [line]})
    shop.run()
    assert (shop.status(id), len(shop.wire.sent)) == ("draft.invalid", sent)
    (issue,) = shop.get(id).issues
    assert (issue.code, issue.path) == ("total_below_paid", "/totals/total")
    assert "8 EUR were received for this invoice already, and its total is 5.00" in issue.message
    shop.ns.invoices.update(id, {"lines": [{**line, "quantity": "2"}]})
    shop.run()
    assert shop.status(id) == "draft.manual_approval_needed"
    assert shop.get(id).invoice.amount_due == Decimal(2)
