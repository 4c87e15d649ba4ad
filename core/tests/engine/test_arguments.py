"""Amounts and times of the wrong type: refused by the name of the argument, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, careful_draft, put

from billhook.contract import Batch, DocumentResult, Done, PaymentResult, PaymentStatus
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.errors import InvalidInput
from billhook.providers.custom_invoicing import provider as custom_invoicing

OpenShop = Callable[..., Shop]
NOT_AMOUNTS = [
    1.5,
    float("nan"),
    True,
    None,
    "ten",
    "",
    "NaN",
    "1E+400",
    "9" * 400,
    10**400,
    b"1",
    ["1"],
    Decimal("sNaN"),
]
NAIVE = datetime(2026, 5, 1, 12)
NOT_TIMES = [NAIVE, "tomorrow", "2026-05-01T12:00:00", 1777636800, 1.5, True, ["2026-05-01T12:00:00Z"]]


def refused(shop: Shop, act: Callable[[], Any]) -> InvalidInput:
    before = shop.counts()
    with pytest.raises(InvalidInput) as refusal:
        act()
    assert shop.counts() == before
    return refusal.value


@pytest.mark.parametrize("value", NOT_AMOUNTS, ids=repr)
def test_a_payment_of_what_is_no_amount_names_the_argument(a_shop: OpenShop, value: Any):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    error = refused(shop, lambda: shop.ns.invoices.record_payment(id, value))
    assert error.path == "/amount_received"
    assert len(str(error)) < 300


@pytest.mark.parametrize("value", NOT_TIMES, ids=repr)
def test_a_payment_at_what_is_no_time_names_the_argument(a_shop: OpenShop, value: Any):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    error = refused(shop, lambda: shop.ns.invoices.record_payment(id, "1.00", received_at=value))
    assert error.path == "/received_at"


@pytest.mark.parametrize("name", ["method", "external_id", "key"])
@pytest.mark.parametrize("value", [1, b"x", ["x"], "", "a\0", "x" * 10_000])
def test_a_note_on_a_payment_that_is_no_text_names_the_argument(a_shop: OpenShop, name: str, value: Any):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    assert refused(shop, lambda: shop.ns.invoices.record_payment(id, "1.00", **{name: value})).path == f"/{name}"


def refundable() -> Any:
    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "payments")
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, external_id="pay-1"))}

    def refund(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("refund", batch, "refunds")
        return {}

    return a_provider(sync_draft=careful_draft, collect_payment=collect, refund=refund)


def test_a_refund_of_what_is_no_amount_names_the_argument(a_shop: OpenShop):
    shop = a_shop(refundable())
    id = shop.submit()
    shop.run()
    [payment] = shop.get(id).payments
    for value in NOT_AMOUNTS:
        error = refused(shop, lambda value=value: shop.ns.refunds.refund(payment.id, value))
        assert error.path == "/amount_to_refund"
    for notes in ({"reason": 1}, {"key": b"x"}, {"key": ""}, {"reason": "\0"}):
        error = refused(shop, lambda notes=notes: shop.ns.refunds.refund(payment.id, "1.00", **notes))
        assert error.path == f"/{next(iter(notes))}"


@pytest.mark.parametrize("value", NOT_TIMES, ids=repr)
def test_a_list_from_what_is_no_time_names_the_argument(value: Any):
    for name in ("created_from", "created_before"):
        with pytest.raises(InvalidInput) as refusal:
            InvoiceFilter(**{name: value})
        assert refusal.value.path == f"/{name}"


def test_lines_as_of_a_time_without_a_zone_are_refused(a_shop: OpenShop):
    shop = a_shop()
    jane = shop.ns.customers.get("jane").id
    assert refused(shop, lambda: shop.ns.gathering.invoice_now(jane, as_of=NAIVE)).path == "/as_of"


@pytest.mark.parametrize("value", [[], {}, None, 1, "refunded"], ids=repr)
def test_a_payment_status_that_is_none_is_refused(a_shop: OpenShop, value: Any):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    error = refused(shop, lambda: shop.ns.invoices.payment_status(id, value))
    assert (error.code, error.path) == ("trigger_unknown" if value == "refunded" else "argument_invalid", "/trigger")


NOT_RESULTS = [
    {"number": "INV-1"},
    DocumentResult(number=7),  # type: ignore[arg-type]
    DocumentResult(number="INV\0"),
    DocumentResult(line_ids={"a": 1}),  # type: ignore[dict-item]
    DocumentResult(sent_at=NAIVE),
]


@pytest.mark.parametrize("result", NOT_RESULTS, ids=repr)
def test_a_confirmation_that_is_none_is_refused(a_shop: OpenShop, result: Any):
    shop = a_shop(custom_invoicing)
    shop.ns.apps.update(shop.app.id, settings={"enable_draft_sync_hook": True})
    id = shop.submit()
    shop.run()
    error = refused(shop, lambda: shop.ns.invoices.draft_synchronized(id, result))
    assert error.code == ("argument_invalid" if isinstance(result, dict) else "confirmation_invalid")
    assert error.path == "/result"
    shop.ns.invoices.draft_synchronized(id, DocumentResult(number="INV-1", sent_at=NOON))
    assert shop.status(id) == "payment_processing.pending"
