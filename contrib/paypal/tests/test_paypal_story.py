"""A real engine bills through PayPal, with a database and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from billhook import Engine
from billhook.errors import NotAllowed, WebhookRefused
from billhook.testing.builders import CREDENTIAL_KEYS

VAT = {"rates": [{"name": "VAT", "percentage": "20"}]}
SEATS = {"name": "Seats", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}, "tax_config": VAT}


class Shop:
    def __init__(self, engine, books, url):
        self.engine, self.books, self.billing = engine, books, engine.namespace()
        connection = books.connection(url)
        # What a person has: an id and a secret. The token is got by itself.
        credentials = {name: told for name, told in connection.credentials.items() if name != "access_token"}
        self.app = self.billing.apps.install("paypal", settings=connection.settings, credentials=credentials)
        apps = {"tax_app_id": self.app.id, "invoicing_app_id": self.app.id, "payment_app_id": self.app.id}
        self.billing.profiles.create("PayPal", supplier={"name": "Acme Ltd"}, is_default=True, **apps)
        self.billing.customers.create("Jane Doe", key="jane", email="jane@customer.example")

    def bill(self, *lines, **more):
        lines = lines or (SEATS,)
        invoice = self.billing.invoices.submit({"customer_key": "jane", "currency": "EUR", "lines": lines, **more})
        self.engine.run_until_idle()
        return self.billing.invoices.get(invoice.id)

    def hear(self):
        told = [(dict(headers), body) for headers, body in self.books.pending_webhooks()]
        self.books.deliver_webhooks(lambda headers, body: 200)
        new = sum(self.engine.receive_webhook(self.app.id, headers, body) for headers, body in told)
        self.engine.run_until_idle()
        return new

    def hears_or_looks(self, told_by, clock):
        if told_by == "a webhook":
            self.hear()
        clock.advance(timedelta(hours=2))
        self.engine.run_until_idle()

    def again(self, details):
        return self.billing.invoices.get(details.invoice.id)


@pytest.fixture
def shop(tmp_path, books, clock) -> Iterator[Shop]:
    with (
        books.serve() as served,
        Engine.open(tmp_path / "billhook.db", clock=clock, credential_keys=CREDENTIAL_KEYS) as engine,
    ):
        yield Shop(engine, books, served.url)


def test_the_customer_pays_at_the_link_and_a_webhook_tells(shop):
    details = shop.bill()
    (document,) = shop.books.documents()
    assert details.status == "payment_processing.action_required"
    assert details.payments[0].action_url.endswith(document.id)
    shop.books.pay(document.id)
    shop.hear()
    assert (shop.again(details).status, shop.again(details).invoice.amount_paid) == ("paid", details.invoice.total)


def test_an_invoice_that_waits_for_its_payer_is_canceled_there_and_then_voided_here(shop):
    details = shop.bill()
    with pytest.raises(NotAllowed, match=r"PayPal \(the customer pays by himself.* end it there"):
        shop.billing.invoices.void(details.invoice.id)
    shop.books.cancel(shop.books.documents()[0].id)
    shop.hear()
    shop.billing.invoices.void(details.invoice.id)
    shop.engine.run_until_idle()
    assert shop.again(details).status == "voided"


def test_what_is_recorded_here_and_paid_there_adds_up(shop):
    details = shop.bill(workflow={"collection_method": "send_invoice"})
    shop.billing.invoices.record_payment(details.invoice.id, "5.00", method="bank_transfer", key="statement/4")
    shop.engine.run_until_idle()
    shop.books.pay(shop.books.documents()[0].id)
    shop.hear()
    assert [(payment.type, str(payment.amount)) for payment in shop.books.payments()] == [
        ("EXTERNAL", "5.00"),
        ("PAYPAL", "4.18"),
    ]
    assert shop.again(details).status == "paid"


@pytest.mark.parametrize("told_by", ["a webhook", "a look"])
def test_what_was_noted_here_is_not_counted_again_when_the_customer_pays_the_rest(shop, clock, told_by):
    details = shop.bill()
    shop.billing.invoices.record_payment(details.invoice.id, "5.00", method="bank_transfer", key="statement/4")
    shop.engine.run_until_idle()
    shop.books.pay(shop.books.documents()[0].id)
    shop.hears_or_looks(told_by, clock)
    assert (shop.again(details).status, str(shop.again(details).invoice.amount_paid)) == ("paid", "9.18")


@pytest.mark.parametrize("told_by", ["a webhook", "a look"])
def test_an_invoice_that_was_paid_another_way_is_not_paid_a_second_time_by_our_own_note(shop, clock, told_by):
    details = shop.bill()
    shop.billing.invoices.record_payment(details.invoice.id, "9.18", method="bank_transfer", key="statement/4")
    shop.engine.run_until_idle()
    shop.hears_or_looks(told_by, clock)
    after = shop.again(details)
    assert (after.status, str(after.invoice.amount_paid)) == ("paid", "9.18")
    assert sorted(str(payment.status) for payment in after.payments) == ["canceled", "succeeded"]


def test_money_that_was_given_back_at_paypal_is_noted_here(shop):
    invoice = shop.bill()
    shop.books.pay(invoice.invoice.external_ids["invoicing"])
    shop.hear()
    shop.books.give_back(invoice.invoice.external_ids["invoicing"], Decimal("2.55"))
    shop.hear()
    shown = shop.again(invoice)
    assert (shown.status, shown.invoice.amount_paid, shown.invoice.amount_refunded) == (
        "paid",
        Decimal("9.18"),
        Decimal("2.55"),
    )


def test_a_token_that_ran_out_is_renewed(shop, clock):
    shop.bill()
    clock.advance(timedelta(hours=10))
    assert shop.bill().status == "payment_processing.action_required"
    assert [call.path for call in shop.books.calls()].count("/v1/oauth2/token") == 2


def test_a_draft_whose_answer_is_lost_is_made_once(shop, clock):
    shop.bill()
    shop.books.fault("lost_response", matching="POST /v2/invoicing/invoices")
    details = shop.bill()
    assert (details.status, len(shop.books.documents())) == ("draft.syncing", 2)
    clock.advance(timedelta(minutes=1))
    shop.engine.run_until_idle()
    assert shop.again(details).status == "payment_processing.action_required"
    assert len(shop.books.documents()) == 2


def test_a_total_that_paypal_computes_another_way_is_never_sent_to_the_customer(shop, monkeypatch):
    monkeypatch.setattr("billhook_paypal.simulator.sums.ROUND_HALF_UP", "ROUND_HALF_DOWN")
    ten = {"name": "Ten", "quantity": "1", "price": {"type": "unit", "amount": "10"}}
    details = shop.bill({**ten, "tax_config": {"rates": [{"name": "VAT", "percentage": "7.25"}]}})
    assert [issue.code for issue in details.issues] == ["totals_differ"]
    assert [document.status for document in shop.books.documents()] == ["DRAFT"]


def test_a_webhook_that_paypal_did_not_sign_is_refused(shop):
    shop.bill()
    headers, body = shop.books.pending_webhooks()[0]
    with pytest.raises(WebhookRefused, match="webhook_certificates"):
        shop.engine.receive_webhook(shop.app.id, dict(headers), body.replace(b"CREATED", b"PAID"))


def test_a_signature_that_is_no_base64_and_certificates_that_are_none_are_named(shop):
    shop.bill()
    headers, body = shop.books.pending_webhooks()[0]
    lowered = {name.lower(): value for name, value in headers}
    with pytest.raises(WebhookRefused, match="no base64"):
        shop.engine.receive_webhook(shop.app.id, {**lowered, "paypal-transmission-sig": "\xe9"}, body)
    credentials = {**shop.books.connection("http://unused.test").credentials, "webhook_certificates": "BEGIN"}
    shop.billing.apps.set_credentials(shop.app.id, credentials)
    with pytest.raises(WebhookRefused, match="no certificates in PEM"):
        shop.engine.receive_webhook(shop.app.id, lowered, body)


def test_a_cancelled_invoice_is_gone_on_both_sides(shop):
    details = shop.bill(workflow={"collection_method": "send_invoice"})
    shop.billing.invoices.void(details.invoice.id)
    shop.engine.run_until_idle()
    shop.hear()
    assert (shop.again(details).status, shop.books.documents()[0].status) == ("voided", "CANCELLED")


def test_what_paypal_would_refuse_is_told_before_anything_is_sent(shop):
    details = shop.bill(
        {**SEATS, "tax_config": {"rates": [{"name": "A", "percentage": "5"}, {"name": "B", "percentage": "2"}]}}
    )
    assert (details.status, details.issues[0].code) == ("draft.invalid", "one_tax_per_line")
    assert shop.books.documents() == ()
