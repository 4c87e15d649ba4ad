from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import billhook_quickbooks.simulator as package
from billhook.contract import (
    Answered,
    OutcomeUnknown,
    Refusal,
    Reply,
    Request,
    Throttled,
    Unauthorized,
)
from billhook_quickbooks.refusals import refused, verdict_of
from billhook_quickbooks.webhooks import read_events

ASKED = Request("invoices", "POST", "http://quickbooks.test/v3/company/1/batch")


def fault(code, kind="ValidationFault", status=400, message="No."):
    error = {"Message": message, "Detail": "Why.", "code": code, "element": ""}
    return Reply.of({"Fault": {"Error": [error], "type": kind}, "time": "now"}, status=status)


def html(status):
    return Reply(status, (("content-type", "text/html"),), b"<html>Bad gateway</html>")


@pytest.mark.parametrize(
    "reply, verdict",
    [
        (Reply.of({"Invoice": {"Id": "1"}}), Answered()),
        (fault("6140"), Answered()),
        (fault("6140", status=200), Answered()),
        (fault("5010"), Answered()),
        (fault("120", "AuthorizationFault", 403), Answered()),
        (fault("003001", "SystemFault", 429), Throttled(after=timedelta(seconds=60))),
        (fault("3001", "SystemFault", 200), Throttled(after=timedelta(seconds=60))),
        (Reply(429, (("Retry-After", "7"),)), Throttled(after=timedelta(seconds=7))),
    ],
)
def test_an_answer_says_whether_it_was_executed(reply, verdict):
    assert verdict_of(ASKED, reply) == verdict


@pytest.mark.parametrize(
    "reply",
    [fault("3200", "AuthenticationFault", 401), fault("003200", "AuthenticationFault", 200), html(401), html(403)],
)
def test_a_token_that_is_not_let_in_is_told(reply):
    assert isinstance(verdict_of(ASKED, reply), Unauthorized)


@pytest.mark.parametrize(
    "reply",
    [
        html(200),
        html(502),
        html(504),
        fault("006002", "SystemFault", 200),
        fault("10000", "SystemFault", 500),
        Reply(200),
    ],
)
def test_what_a_gateway_says_proves_nothing(reply):
    assert isinstance(verdict_of(ASKED, reply), OutcomeUnknown)


@pytest.mark.parametrize(
    "code, message, ours",
    [
        ("6240", "Duplicate Name", "name_taken"),
        ("610", "Not Found", "not_found_or_inactive"),
        ("6210", "Account Period Closed, Cannot Update", "period_closed"),
        ("6000", "The customer's currency is not the transaction's", "currency_of_customer"),
        ("6000", "Transaction amount must be 0 or greater", "business_rule"),
        ("6210", "Duplicate Document Number", "number_taken"),
        ("2050", "Too long", "value_too_long"),
        ("9999", "Something new", "refused"),
    ],
)
def test_a_refusal_has_a_code_of_ours_and_their_words(code, message, ours):
    issue = refused(fault(code, message=message)).issues[0]
    assert issue.code == ours
    assert message in issue.message
    assert issue.metadata["quickbooks_code"] == code


def test_their_words_and_the_way_out_are_sentences_of_their_own():
    error = {"code": "2500", "Message": "Invalid Reference Id", "Detail": "Items element id 9 not found."}
    reply = Reply.of({"Fault": {"Error": [error], "type": "ValidationFault"}}, status=400)
    assert (
        refused(reply)
        .issues[0]
        .message.startswith("QuickBooks refuses it (2500): Invalid Reference Id. Items element id 9 not found. An item")
    )


def test_a_fault_of_a_gateway_in_lower_case_is_read():
    reply = Reply.of({"fault": {"error": [{"message": "x", "code": "2020"}], "type": "ValidationFault"}}, status=400)
    assert refused(reply).issues[0].code == "value_missing"


# Webhooks.

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
REALM = "1"


def signed(body, token="simulated-verifier"):
    return {"intuit-signature": base64.b64encode(hmac.new(token.encode(), body, hashlib.sha256).digest()).decode()}


@pytest.mark.parametrize("form", ["cloud_events", "notifications"])
def test_a_webhook_of_the_company_is_read_in_both_forms(a_company, a_desk, scene, form):
    company = a_company(webhook_form=form)
    desk = a_desk(company)
    item = desk.issued(1)
    told = []
    for headers, body in company.pending_webhooks():
        lowered = {name.lower(): value for name, value in headers}
        told += desk.handle.read_webhook(lowered, body, scene.credentials, NOW, desk.settings)
    assert [(each.kind, each.external_id) for each in told] == [("document", item.external_id)]
    assert told[-1].details == {"realm": company.rules.realm}
    assert told[-1].occurred_at == NOW


def test_a_webhook_with_another_signature_is_refused():
    body = b"[]"
    assert isinstance(read_events(signed(body, "another"), body, "simulated-verifier", REALM), Refusal)
    assert isinstance(read_events({}, body, "simulated-verifier", REALM), Refusal)
    assert isinstance(read_events(signed(body), body + b" ", "simulated-verifier", REALM), Refusal)


def test_without_a_verifier_token_every_webhook_is_refused(desk):
    assert isinstance(read_events(signed(b"[]"), b"[]", None, REALM), Refusal)
    assert isinstance(desk.handle.read_webhook(signed(b"[]"), b"[]", None, NOW, desk.settings), Refusal)


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b'[{"type": "qbo"}]', b'"text"', b"[1]"])
def test_a_signed_body_that_is_no_event_is_refused(body):
    assert isinstance(read_events(signed(body), body, "simulated-verifier", REALM), Refusal)


@pytest.mark.parametrize("form", ["cloud_events", "notifications"])
def test_events_of_another_company_are_left_out(a_company, a_desk, scene, form):
    company = a_company(webhook_form=form)
    desk = a_desk(company)
    desk.issued(1)
    another = desk.settings.model_copy(update={"account": "99"})
    for headers, body in company.pending_webhooks():
        lowered = {name.lower(): value for name, value in headers}
        assert desk.handle.read_webhook(lowered, body, scene.credentials, NOW, another) == ()


def test_an_old_copy_has_the_same_id_and_so_counts_once():
    event = {
        "id": "evt-1",
        "type": "qbo.invoice.updated.v1",
        "time": "2026-01-01T00:00:00Z",
        "intuitentityid": "7",
        "intuitaccountid": "1",
    }
    body = json.dumps([event]).encode()
    first, copy = (
        read_events(signed(body), body, "simulated-verifier", REALM),
        read_events(signed(body), body, "simulated-verifier", REALM),
    )
    assert first == copy
    assert first[0].id == "evt-1"


def test_kinds_that_mean_nothing_here_are_left_out():
    event = {
        "id": "1",
        "type": "qbo.payment.created.v1",
        "time": "2026-01-01T00:00:00Z",
        "intuitentityid": "7",
        "intuitaccountid": "1",
    }
    body = json.dumps([event]).encode()
    assert read_events(signed(body), body, "simulated-verifier", REALM) == []


# Nothing heavy on load.


def test_describing_the_provider_imports_no_client_and_no_simulator():
    code = (
        "import sys, billhook_quickbooks as q; q.provider.declaration.describe();"
        "print([n for n in ('httpx', 'requests', 'jsonschema', 'sqlite3', 'billhook_quickbooks.simulator', 'sqlalchemy') if n in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"


def test_the_simulator_shares_no_code_with_the_provider():
    ours = "from billhook_quickbooks.simulator"
    for path in Path(package.__file__ or "").parent.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip().startswith(("from billhook_quickbooks", "import billhook_quickbooks")):
                assert line.strip().startswith(ours), f"{path.name}: {line}"
