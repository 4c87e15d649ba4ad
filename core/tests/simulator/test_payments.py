from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

STEERING = "openmeter.io/sandbox/target-payment-status"


def status_of(shop, payment_id):
    return shop.http.get(f"/v1/payments/{payment_id}").json()["status"]


def test_a_payment_in_full_pays_the_invoice(shop):
    invoice = shop.issued()
    shop.pay(amount="10.00", invoice=invoice["id"])
    assert shop.sandbox.documents()[0].status == "issued"
    shop.pay("REST", amount="0.01", invoice=invoice["id"])
    assert shop.sandbox.documents()[0].status == "paid"
    assert [payment.amount for payment in shop.sandbox.payments()] == [Decimal("10.00"), Decimal("0.01")]


@pytest.mark.parametrize("status", ["paid", "failed", "uncollectible", "action_required", "processing"])
def test_metadata_steer_the_outcome(shop, status):
    answer = shop.pay(customer=shop.customer, metadata={STEERING: status}).json()
    assert answer["status"] == status
    assert bool(answer["failure"]) == (status in {"failed", "uncollectible"})
    assert bool(answer["action"]) == (status == "action_required")


def test_the_metadata_of_the_invoice_steer_its_payments(shop):
    invoice = shop.issued(metadata={STEERING: "failed"})
    assert shop.pay(invoice=invoice["id"]).json()["status"] == "failed"
    assert shop.sandbox.documents()[0].status == "issued"


def test_a_processing_payment_settles_by_the_clock(shop, clock):
    invoice = shop.issued()
    payment = shop.pay(invoice=invoice["id"], metadata={STEERING: "processing"}).json()
    clock.advance(timedelta(seconds=59))
    assert status_of(shop, payment["id"]) == "processing"
    clock.advance(timedelta(seconds=1))
    assert status_of(shop, payment["id"]) == "paid"
    assert shop.sandbox.documents()[0].status == "paid"


def test_a_required_action_waits_for_the_customer(shop, clock):
    payment = shop.pay(metadata={STEERING: "action_required"}).json()
    clock.advance(timedelta(days=30))
    assert status_of(shop, payment["id"]) == "action_required"
    shop.sandbox.finish_payment(payment["id"])
    assert status_of(shop, payment["id"]) == "paid"


def test_a_lost_answer_sent_again_without_a_key_charges_twice_and_is_seen(shop):
    for _ in range(2):
        shop.pay("PAY-1")
    shop.pay("PAY-2", metadata={STEERING: "failed"})
    shop.pay("PAY-2")
    assert [(each.kind, each.reference) for each in shop.sandbox.duplicates()] == [("payment", "PAY-1")]


def test_money_that_came_another_way_is_recorded(shop):
    invoice = shop.issued()
    sent = {"reference": "BANK", "invoice": invoice["id"], "amount": "10.01", "currency": "EUR", "method": "transfer"}
    answer = shop.http.post("/v1/payments/record", json={**sent, "received_at": "2026-03-01T00:00:00Z"}).json()
    assert (answer["status"], answer["origin"], answer["method"]) == ("paid", "recorded", "transfer")
    assert shop.sandbox.documents()[0].status == "paid"


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"invoice": "inv_000099"}, "invoice_unknown"),
        ({"currency": "USD"}, "currency_differs"),
        ({"amount": "0.00"}, "amount_not_positive"),
        ({"amount": "1.001"}, "amount_has_too_many_decimals"),
        ({"capture": "later"}, "capture_invalid"),
        ({"metadata": {STEERING: "lost"}}, "payment_status_unknown"),
    ],
)
def test_a_payment_that_can_not_be_is_refused(shop, changes, code):
    sent = {"invoice": shop.issued()["id"], **changes}
    answer = shop.pay(**sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert shop.sandbox.payments() == ()


def test_money_that_is_not_captured_waits_authorized(shop):
    invoice = shop.issued()
    payment = shop.pay(invoice=invoice["id"], capture=False).json()
    assert (payment["status"], shop.sandbox.documents()[0].status) == ("authorized", "issued")
    sent = {"amount": payment["amount"]}
    captured = shop.http.post(f"/v1/payments/{payment['id']}/capture", json=sent).json()
    assert (captured["status"], shop.sandbox.documents()[0].status) == ("paid", "paid")


def test_a_draft_takes_no_money(shop):
    draft = shop.create(shop.item()).json()["items"][0]
    assert shop.pay(invoice=draft["id"]).json()["error"]["code"] == "invoice_not_issued"


def test_refunds_end_where_the_payment_ends(shop):
    payment = shop.pay(amount="10.00").json()

    def refund(reference, amount):
        sent = {"reference": reference, "payment": payment["id"], "amount": amount}
        return shop.http.post("/v1/refunds", json=sent)

    assert refund("R1", "4.00").json()["status"] == "succeeded"
    assert refund("R2", "6.01").json()["error"]["code"] == "refund_exceeds_payment"
    assert refund("R3", "6.00").status_code == 200
    assert [found["amount"] for found in shop.http.get("/v1/refunds?reference=R1,R3").json()["items"]] == [
        "4.00",
        "6.00",
    ]
    assert sum(each.amount for each in shop.sandbox.refunds()) == Decimal("10.00")


def test_payments_are_found_by_our_reference(shop):
    shop.pay("A")
    shop.pay("B")
    assert [each["reference"] for each in shop.http.get("/v1/payments?reference=B").json()["items"]] == ["B"]
