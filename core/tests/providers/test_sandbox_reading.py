from __future__ import annotations

import json
from datetime import timedelta

import pytest

from billhook.contract import (
    Answered,
    Busy,
    Capability,
    OutcomeUnknown,
    Outgoing,
    Pending,
    Refusal,
    Reply,
    Request,
    Throttled,
    Unauthorized,
)
from billhook.domain.tax import TaxConfig
from billhook.domain.workflow import WorkflowConfig
from billhook.errors import ConfigError
from billhook.plugins import ProviderHandle, imports_on_load
from billhook.testing.builders import a_content, a_line, an_id, an_invoice
from billhook.testing.sandbox import provider
from billhook.testing.sandbox.config import SandboxCredentials

HANDLE = ProviderHandle(provider)
POST = Request("drafts", "POST", "http://sandbox.example/v1/invoices/upsert")
JSON = (("content-type", "application/json"),)
SIGNED = SandboxCredentials(token="t", webhook_secret="sandbox-webhook-secret")


def test_describing_the_sandbox_loads_neither_its_server_nor_its_books():
    loaded = imports_on_load("billhook.testing.sandbox:provider")
    assert not loaded & {"sqlite3", "http", "httpx", "iso4217", "sqlalchemy"}


# What an answer means.


@pytest.mark.parametrize(
    "reply, verdict",
    [
        (Reply.of({"items": []}), Answered),
        (Reply.of({"error": {"code": "rejected", "message": "no"}}, status=422), Answered),
        (Reply.of({"error": {"code": "request_in_flight", "message": "wait"}}, status=409), Busy),
        (Reply.of({"error": {"code": "other", "message": "?"}}, status=409), OutcomeUnknown),
        (Reply(409, JSON, b"<html>"), OutcomeUnknown),
        (Reply(200, JSON, b"<html>"), OutcomeUnknown),
        (Reply(200, (("content-type", "text/html"),), b"<html>"), OutcomeUnknown),
        (Reply(200, JSON, b"[]"), OutcomeUnknown),
        (Reply(200, JSON, b'{"items": ['), OutcomeUnknown),
        (Reply(503), OutcomeUnknown),
        (Reply(429, (("retry-after", "7"),)), Throttled),
        (Reply(401), Unauthorized),
        (Reply(404, JSON, b"gone"), Answered),
    ],
)
def test_an_answer_is_classified_before_it_is_believed(reply, verdict):
    assert isinstance(HANDLE.classify(POST, reply), verdict)


def test_a_repeat_that_comes_while_the_first_is_in_flight_is_no_answer(counter, sandbox):
    batch = counter.batch(counter.invoice_item(1))
    request = counter.effect(Capability.SYNC_DRAFT, batch)
    sandbox.fault("slow", seconds=30)
    counter.send(request, "key-1")
    with pytest.raises(AssertionError, match="request_in_flight"):
        counter.send(request, "key-1")


@pytest.mark.parametrize("kind", ["garbage", "truncated", "5xx_after_commit", "throttle", "token_expired"])
def test_no_fault_of_the_sandbox_is_taken_for_an_answer(counter, sandbox, kind):
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(counter.invoice_item(1)))
    sandbox.fault(kind)
    with pytest.raises(AssertionError):
        counter.send(request)


@pytest.mark.parametrize(
    "capability, answer",
    [
        (Capability.SYNC_DRAFT, {"items": [{"ok": True, "status": "frozen"}]}),
        (Capability.ISSUE, {"items": [{"ok": True, "status": "frozen"}]}),
        (Capability.COLLECT_PAYMENT, {"status": "frozen", "amount": "1.00"}),
        (Capability.REFUND, {"status": "frozen", "amount": "1.00"}),
    ],
)
def test_a_status_that_is_not_known_is_pending_never_success_or_failure(counter, capability, answer):
    invoice = counter.drafted(1)
    item = {
        Capability.COLLECT_PAYMENT: lambda: counter.payment_item(invoice),
        Capability.REFUND: lambda: counter.refund_item("pay_1"),
    }.get(capability, lambda: invoice)()
    entries = answer.get("items", [answer])
    for entry in entries:
        entry.update(id="x_1", reference=item.id)
    batch = counter.batch(item)
    step = counter.effect(capability, batch).step
    outcome = counter.drive(capability, batch, {step: Reply.of(answer)}).outcomes[item.id]
    assert isinstance(outcome, Pending)
    assert "frozen" in outcome.reason
    assert (outcome.external_id, outcome.check_after is not None) == ("x_1", True)


# Settings and credentials.


def test_the_token_is_added_when_sending_and_never_before(counter):
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(counter.invoice_item(1)))
    assert "sandbox-token" not in repr(request)
    outgoing = Outgoing("GET", "http://sandbox.example/", (("authorization", "old"),), b"")
    signed = HANDLE.authenticate(outgoing, SIGNED, counter.clock.now())
    assert signed.headers == (("Authorization", "Bearer t"),)


def test_the_address_is_kept_without_its_last_slash():
    assert HANDLE.settings({"base_url": "https://sandbox.example/books/"}).base_url == "https://sandbox.example/books"


@pytest.mark.parametrize(
    "url", ["sandbox.example", "ftp://sandbox.example", "http://", "http://me:pw@host", "http://host?a=b"]
)
def test_an_address_that_can_t_be_used_is_refused(url):
    with pytest.raises(ConfigError, match="base_url"):
        HANDLE.settings({"base_url": url})


def test_a_misspelt_setting_is_an_error():
    with pytest.raises(ConfigError, match="base_uri"):
        HANDLE.settings({"base_url": "http://sandbox.example", "base_uri": "x"})


# Lines and invoices.


def test_a_line_goes_to_sales_under_its_own_codes_or_those_of_the_workflow(counter):
    lines = (a_line(1, tax_config=TaxConfig(code="reduced")), a_line(2))
    draft = an_invoice().model_copy(update={"lines": lines})
    content = a_content(draft, workflow=WorkflowConfig(default_tax_config=TaxConfig(code="standard")))
    mapped = counter.invoice_item(1, content=content).lines
    assert [(line.account, line.item_code, line.tax_code) for line in mapped] == [
        ("sales", "ITEM-1", "reduced"),
        ("sales", "ITEM-2", "standard"),
    ]
    assert {line.rule for line in mapped} == {"sandbox default"}


def test_a_payment_status_that_nobody_knows_is_found_before_anything_is_sent(counter):
    key = "openmeter.io/sandbox/target-payment-status"
    good = counter.invoice_item(1, an_invoice(metadata={key: "failed"}))
    bad = counter.invoice_item(2, an_invoice(metadata={key: "payed"}))
    assert HANDLE.validate_invoice(good.invoice, good.lines, None) == ()
    (issue,) = HANDLE.validate_invoice(bad.invoice, bad.lines, None)
    assert (issue.code, issue.path) == ("payment_status_unknown", "/metadata")


# Webhooks.


@pytest.fixture
def hooks(counter, sandbox):
    """Every webhook of an invoice that was issued and paid, with header names in lower case."""
    payment = counter.payment_item(counter.issued(1))
    counter.run(Capability.COLLECT_PAYMENT, payment)
    return [({name.lower(): value for name, value in headers}, body) for headers, body in sandbox.pending_webhooks()]


def test_every_webhook_of_the_sandbox_is_read_as_the_event_it_tells(hooks, clock, sandbox):
    events = [HANDLE.read_webhook(headers, body, SIGNED, clock.now(), None) for headers, body in hooks]
    told = [(event.kind, event.type, event.external_id) for (event,) in events]
    document, payment = sandbox.documents()[0].id, sandbox.payments()[0].id
    assert told == [
        ("document", "invoice.updated", document),
        ("document", "invoice.updated", document),
        ("payment", "payment.succeeded", payment),
        ("document", "invoice.updated", document),
    ]
    assert len({event.id for (event,) in events}) == len(events)
    assert events[0][0].details == {"reference": an_id(1)}
    assert events[0][0].occurred_at == clock.now()


def refusal_of(headers, body, secrets, now):
    refused = HANDLE.read_webhook(headers, body, secrets, now, None)
    assert isinstance(refused, Refusal), refused
    return refused.reason


def test_a_webhook_whose_body_was_changed_is_refused(hooks, clock):
    headers, body = hooks[0]
    assert "does not match" in refusal_of(headers, body + b" ", SIGNED, clock.now())


def test_a_webhook_of_another_secret_is_refused(hooks, clock):
    headers, body = hooks[0]
    other = SandboxCredentials(token="t", webhook_secret="other")
    assert "does not match" in refusal_of(headers, body, other, clock.now())


@pytest.mark.parametrize(
    "secrets", [None, SandboxCredentials(token="t"), SandboxCredentials(token="t", webhook_secret="")]
)
def test_without_a_secret_no_webhook_is_believed(hooks, clock, secrets):
    headers, body = hooks[0]
    assert "no webhook secret" in refusal_of(headers, body, secrets, clock.now())


@pytest.mark.parametrize(
    "signature", [None, "", "v1=00", "t=abc,v1=00", "t=99999999999999999999,v1=00", "t=²,v1=00", "nonsense"]
)
def test_a_webhook_without_a_readable_signature_is_refused(hooks, clock, signature):
    _, body = hooks[0]
    headers = {} if signature is None else {"sandbox-signature": signature}
    assert "no readable" in refusal_of(headers, body, SIGNED, clock.now())


def test_a_signature_that_is_no_hex_is_refused(hooks, clock):
    _, body = hooks[0]
    assert "does not match" in refusal_of({"sandbox-signature": "t=1,v1=ä"}, body, SIGNED, clock.now())


@pytest.mark.parametrize("age, is_taken", [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_webhook_is_taken_within_five_minutes_of_its_signing(hooks, clock, age, is_taken):
    headers, body = hooks[0]
    read = HANDLE.read_webhook(headers, body, SIGNED, clock.now() + timedelta(seconds=age), None)
    assert isinstance(read, tuple) == is_taken


@pytest.fixture
def signed(clock):
    from billhook.testing.sandbox.webhooks import signature_of

    def sign(body):
        at_seconds = int(clock.now().timestamp())
        signature = signature_of(body, at_seconds, "sandbox-webhook-secret")
        return {"sandbox-signature": f"t={at_seconds},v1={signature}"}

    return sign


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"type": 3}', b'{"type": "invoice.updated"}'])
def test_a_signed_body_that_is_no_event_is_refused(signed, clock, body):
    assert "no event" in refusal_of(signed(body), body, SIGNED, clock.now())


def test_an_event_of_a_kind_that_means_nothing_here_is_read_as_none(signed, clock):
    body = json.dumps({"id": "e", "type": "coupon.used", "reference": "r", "object_id": "o", "at": "x"}).encode()
    assert HANDLE.read_webhook(signed(body), body, SIGNED, clock.now(), None) == ()
