from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from billhook.contract import Absent, Capability, Found, PaymentStatus, Pending, Refusal, Reply, Unknown
from billhook.errors import ConfigError, Unsupported
from billhook.plugins import ProviderHandle
from billhook_paypal import PaypalProvider
from billhook_paypal.lookups import find_listed, find_new_refund
from billhook_paypal.reading import read_payment, refused
from billhook_paypal.simulator.signing import certificate

C = Capability
HANDLE = ProviderHandle(PaypalProvider)


def listed(*pairs, total=None):
    items = [{"detail": {"invoice_number": number, "memo": memo}} for number, memo in pairs]
    return Reply.of({"items": items, "total_items": len(items) if total is None else total})


def test_a_draft_has_our_number_and_paypals_totals(counter, books):
    result = counter.run(C.SYNC_DRAFT, counter.invoice_item()).result
    (document,) = books.documents()
    assert (document.number, document.status) == ("INV-1", "DRAFT")
    assert (result.number, result.totals.total) == ("INV-1", document.total)


def test_a_number_that_somebody_used_at_paypal_is_refused_in_paypals_words(counter, books):
    counter.run(C.SYNC_DRAFT, counter.invoice_item(1))
    outcome = counter.run(C.SYNC_DRAFT, counter.invoice_item(2, number="INV-1")).outcome
    assert [issue.code for issue in outcome.issues] == ["duplicate_invoice_number"]
    assert "debug id" in outcome.issues[0].message
    assert len(books.documents()) == 1


def test_issuing_mails_it_once_and_tells_when(counter, books, clock):
    draft = counter.drafted()
    result = counter.run(C.ISSUE, draft).result
    assert (books.documents()[0].status, result.sent_at) == ("SENT", clock.now())
    assert result.url.startswith("https://www.paypal.com/invoice/")


def test_nobody_is_mailed_where_that_is_switched_off(counter, books):
    quiet = replace(
        counter.batch(counter.drafted()), settings=counter.settings.model_copy(update={"email_recipient": False})
    )
    result = counter.drive(C.ISSUE, quiet).result
    assert (books.documents()[0].status, result.sent_at) == ("UNPAID", None)


def test_what_paypal_sends_later_is_pending(counter):
    answers = {"send": Reply.of({}, status=202), "look": Reply.of({"id": "INV2-1", "status": "SCHEDULED"})}
    outcome = counter.drive(C.ISSUE, counter.batch(counter.drafted()), answers).outcome
    assert isinstance(outcome, Pending)


def test_an_invoice_that_is_paid_can_t_be_voided(counter, books):
    invoice = counter.issued()
    books.pay(invoice.external_id)
    assert counter.run(C.VOID, invoice).codes == ["cannot_cancel_paid_invoice"]


def test_a_number_is_free_again_once_its_draft_is_deleted(counter, books):
    draft = counter.drafted()
    counter.run(C.DELETE, draft)
    counter.run(C.SYNC_DRAFT, counter.invoice_item(2, number="INV-1"))
    assert [document.number for document in books.documents()] == ["INV-1"]


def test_more_than_is_due_is_not_recorded(counter):
    item = counter.payment_item(counter.issued())
    outcome = counter.run(C.RECORD_PAYMENT, replace(item, amount=item.amount + 1)).outcome
    assert outcome.issues[0].code == "payment_amount_greater_than_amount_due"


@pytest.mark.parametrize("method, shown", [("bank_transfer", "BANK_TRANSFER"), ("iDEAL", "OTHER"), (None, "OTHER")])
def test_a_recorded_payment_says_how_it_came(counter, method, shown):
    request = counter.effect(
        C.RECORD_PAYMENT, counter.batch(replace(counter.payment_item(counter.issued()), method=method))
    )
    assert json.loads(request.body)["method"] == shown


def test_the_customer_is_asked_at_the_invoices_link_and_has_paid_when_paypal_says_so(counter, books):
    item = counter.payment_item(counter.issued())
    asked = counter.run(C.COLLECT_PAYMENT, item).result
    books.pay(asked.external_id)
    paid = counter.run(C.CHECK_PAYMENT, replace(item, external_id=asked.external_id)).result
    assert (asked.status, asked.amount, bool(asked.action_url)) == (PaymentStatus.ACTION_REQUIRED, Decimal(0), True)
    assert (paid.status, paid.amount) == (PaymentStatus.SUCCEEDED, item.amount)


def test_a_status_that_nobody_knows_is_neither_success_nor_failure():
    told = {"id": "INV2-1", "status": "ON_THE_MOON", "detail": {}}
    assert isinstance(read_payment(told), Pending)


def test_money_that_paypal_took_is_given_back_at_paypal(counter, books):
    invoice = counter.issued()
    books.pay(invoice.external_id)
    assert counter.run(C.REFUND, counter.refund_item(invoice.external_id)).codes == ["refund_at_paypal"]


def test_a_lost_refund_of_the_same_amount_as_an_earlier_one_is_told_apart(counter, books):
    invoice = counter.issued()
    books.act_as_payer(invoice.external_id)
    counter.run(C.REFUND, counter.refund_item(invoice.external_id))
    batch = counter.batch(counter.refund_item(invoice.external_id, number=701))
    request = counter.effect(C.REFUND, batch)
    assert list(counter.look_up(request).values()) == [Absent()]
    counter.lose(request)
    (finding,) = counter.look_up(request).values()
    assert isinstance(finding, Found)


def test_two_new_refunds_of_one_amount_leave_it_open():
    both = [{"refund_id": name, "amount": {"value": "1.00"}} for name in ("a", "b")]
    assert isinstance(find_new_refund(Reply.of({"refunds": {"transactions": both}}), [], Decimal(1)), Unknown)


@pytest.mark.parametrize(
    "reply, kind",
    [
        (listed(("INV-1", "ours/1")), Found),
        (listed(("INV-1", "another")), Absent),
        (listed(("INV-11", "ours/1")), Absent),
        (listed(("INV-11", "ours/1"), total=101), Unknown),
        (Reply.of({"name": "NOT_AUTHORIZED"}, status=403), Unknown),
    ],
)
def test_only_number_and_mark_together_are_ours(reply, kind):
    assert isinstance(find_listed(reply, "INV-1", "ours/1"), kind)


def test_every_fault_that_paypal_names_is_told():
    details = [{"issue": "A", "description": "a"}, {"issue": "B", "description": "b"}]
    reply = Reply.of({"name": "INVALID_REQUEST", "message": "m", "debug_id": "d1", "details": details}, status=400)
    assert [issue.code for issue in refused(reply).issues] == ["a", "b"]


def test_a_refusal_without_details_is_told_by_its_name():
    reply = Reply.of({"name": "NOT_AUTHORIZED", "message": "no"}, status=403)
    assert [issue.code for issue in refused(reply).issues] == ["not_authorized"]


def test_what_paypal_has_no_word_for_is_refused_with_the_reason():
    with pytest.raises(Unsupported, match="PayPal has no credit notes"):
        HANDLE.start(C.CREDIT, None)


@pytest.mark.parametrize("address", ["api-m.paypal.com", "https://id:secret@api-m.paypal.com"])
def test_a_wrong_address_is_refused_when_the_app_is_configured(address):
    with pytest.raises(ConfigError):
        HANDLE.settings({"base_url": address})


def told(counter, books):
    counter.issued()
    headers, body = books.pending_webhooks()[0]
    return {name.lower(): value for name, value in headers}, body


def read(counter, clock, headers, body, **changes):
    secrets = HANDLE.credentials({**dict(counter.credentials), **changes})
    return HANDLE.read_webhook(headers, body, secrets, clock.now(), counter.settings)


def test_a_webhook_is_believed_when_one_of_the_pinned_certificates_made_it(counter, books, clock):
    headers, body = told(counter, books)
    (event,) = read(counter, clock, headers, body, webhook_certificates=OTHER + certificate())
    assert (event.kind, event.external_id) == ("document", books.documents()[0].id)


@pytest.mark.parametrize(
    "headers, changes",
    [
        ({"paypal-transmission-sig": ""}, {}),
        ({"paypal-transmission-sig": "no base64!"}, {}),
        ({"paypal-transmission-id": "another"}, {}),
        ({"paypal-auth-algo": "none"}, {}),
        ({}, {"webhook_id": "another"}),
        ({}, {"webhook_id": None}),
        ({}, {"webhook_certificates": None}),
    ],
)
def test_anything_else_is_refused(counter, books, clock, headers, changes):
    sent, body = told(counter, books)
    assert isinstance(read(counter, clock, {**sent, **headers}, body, **changes), Refusal)


def test_a_certificate_that_ran_out_verifies_nothing(counter, books, clock):
    headers, body = told(counter, books)
    clock.advance(clock.now().replace(year=2201) - clock.now())
    assert "valid now" in read(counter, clock, headers, body).reason


OTHER = """\
-----BEGIN CERTIFICATE-----
MIIBHjCBxaADAgECAgECMAoGCCqGSM49BAMCMBgxFjAUBgNVBAMMDVNvbWVib2R5
IGVsc2UwIBcNMDAwMTAxMDAwMDAwWhgPMjIwMDAxMDEwMDAwMDBaMBgxFjAUBgNV
BAMMDVNvbWVib2R5IGVsc2UwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQkbv5D
afsOvPHky0qXkDkMzfjug9suC5pl2exjfRx6/dTicErS48DgHZzmspWp4/E8lDN7
7yQRGIgoNDgQn2xiMAoGCCqGSM49BAMCA0gAMEUCIQD2jHlaSNchELq8z2gseJOw
yJYyOXYi8cFisjWgBsmDGAIgDq90WDVb/PWFrC+4d3qHVIeJ+VdTlIU3vDJFESSz
bQo=
-----END CERTIFICATE-----
"""
"""A certificate of somebody else."""


@pytest.mark.parametrize("name", ["Not-Allowed", "X" * 200])
def test_a_refusal_is_told_whatever_its_name_looks_like(name):
    told = {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": name, "description": "w" * 5000}]}
    (issue,) = refused(Reply.of(told, status=422)).issues
    assert issue.code == "refused"
    assert issue.message.startswith("PayPal refused it: www")


def test_what_is_to_be_refused_by_paypals_id_is_refused_in_paypals_words(counter, books):
    draft = counter.drafted()
    books.refuse(draft.external_id)
    (issue,) = counter.run(C.ISSUE, draft).outcome.issues
    assert issue.code == "compliance_violation"
    assert [document.status for document in books.documents()] == ["DRAFT"]
