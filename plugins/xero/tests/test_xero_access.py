"""Tokens, limits, refusals and webhooks: what stands between us and the books."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from xero_kit import CREDENTIALS, XeroDesk

from billhook.contract import (
    Answered,
    Capability,
    ConnectionItem,
    OutcomeUnknown,
    Refusal,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
)
from billhook_xero import XeroCredentials
from billhook_xero.config import Connection
from billhook_xero.simulator import simulator
from billhook_xero.simulator.rules import DEMO_CLIENT_SECRET, DEMO_TENANT, DEMO_WEBHOOK_KEY, XeroRules
from billhook_xero.simulator.webhooks import handshake

BACK = "http://127.0.0.1:8765/callback"


def a_request(desk):
    return desk.effect(Capability.SYNC_DRAFT, desk.batch(desk.invoice_item(1)))


def connecting(desk, capability, credentials, **parameters):
    """A connection operation, run to its end with these credentials."""
    steps = desk.handle.start(capability, desk.batch(ConnectionItem("app", parameters)))
    request = next(steps)
    try:
        while True:
            request = steps.send(desk.answer(request, credentials=credentials))
    except StopIteration as end:
        return end.value["app"]


def authorized(desk, **parameters):
    """The code that comes back when a person says yes."""
    batch = desk.batch(ConnectionItem("app", {"redirect_uri": BACK, "state": "s1", **parameters}))
    url = desk.handle.start(Capability.AUTHORIZE_URL, batch)["app"].result.url
    answer = httpx.get(url)
    came_back = urlsplit(answer.headers["location"])
    query = {name: values[0] for name, values in parse_qs(came_back.query).items()}
    assert query["state"] == "s1"
    return query["code"]


def connected(desk):
    """The credentials after a person said yes."""
    client = XeroCredentials(client_secret=DEMO_CLIENT_SECRET)
    outcome = connecting(desk, Capability.EXCHANGE_CODE, client, code=authorized(desk), redirect_uri=BACK)
    assert outcome.result.expires_at == desk.clock.now() + timedelta(minutes=30)
    return XeroCredentials(client_secret=DEMO_CLIENT_SECRET, **outcome.result.credentials)


def renewed(desk, credentials):
    return connecting(desk, Capability.REFRESH_CREDENTIALS, credentials)


@pytest.fixture(autouse=True)
def granted_by_a_person(desk):
    desk.settings = desk.settings.model_copy(update={"connection": Connection.OAUTH2})


def test_a_person_grants_access_and_the_organisations_are_listed(desk):
    credentials = connected(desk)
    (account,) = connecting(desk, Capability.LIST_ACCOUNTS, credentials).result.accounts
    assert account.id == DEMO_TENANT
    (found,) = connecting(desk, Capability.CHECK_CONNECTION, credentials).result.accounts
    assert found.id == DEMO_TENANT


def test_an_app_without_a_secret_proves_itself_by_pkce(desk):
    verifier = "a-long-and-random-verifier-of-forty-three-characters"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    code = authorized(desk, code_challenge=challenge)
    wrong = connecting(
        desk, Capability.EXCHANGE_CODE, XeroCredentials(), code=code, redirect_uri=BACK, code_verifier="wrong"
    )
    assert isinstance(wrong, Rejected)
    right = connecting(
        desk, Capability.EXCHANGE_CODE, XeroCredentials(), code=code, redirect_uri=BACK, code_verifier=verifier
    )
    assert right.result.credentials["access_token"]


def test_a_refresh_replaces_both_tokens_and_a_lost_answer_loses_nothing(desk):
    first = connected(desk)
    lost = renewed(desk, first)
    again = renewed(desk, first)
    assert lost.result.credentials["refresh_token"] != again.result.credentials["refresh_token"]
    desk.clock.advance(timedelta(minutes=31))
    assert isinstance(renewed(desk, first), Rejected)
    kept = XeroCredentials(client_secret=DEMO_CLIENT_SECRET, **again.result.credentials)
    assert renewed(desk, kept).result.credentials["access_token"]


def test_an_access_token_ends_after_half_an_hour(desk):
    credentials = connected(desk)
    request = a_request(desk)
    desk.clock.advance(timedelta(minutes=30))
    reply = desk.answer(request, credentials=credentials)
    assert isinstance(desk.handle.classify(request, reply), Unauthorized)


def test_a_grant_that_was_taken_back_is_told_as_such(desk):
    credentials = connected(desk)
    desk.xero.identity.revoke_all()
    outcome = renewed(desk, credentials)
    assert "invalid_grant" in outcome.issues[0].message


def test_a_custom_connection_asks_with_its_own_secret(desk):
    desk.settings = desk.settings.model_copy(update={"connection": Connection.CUSTOM})
    outcome = renewed(desk, XeroCredentials(client_secret=DEMO_CLIENT_SECRET))
    assert outcome.result.credentials.keys() == {"access_token"}


def test_no_secret_is_in_a_request_before_it_is_sent(desk):
    steps = desk.handle.start(Capability.REFRESH_CREDENTIALS, desk.batch(ConnectionItem("app")))
    request = next(steps)
    steps.close()
    assert request.body == b"grant_type=refresh_token&refresh_token=%7Brefresh_token%7D"
    assert "secret" not in repr(request)


def test_another_organisation_than_the_granted_one_is_unauthorized(desk):
    request = a_request(desk)
    other = replace(
        request, headers=tuple(pair if pair[0] != "xero-tenant-id" else (pair[0], "other") for pair in request.headers)
    )
    assert isinstance(desk.handle.classify(other, desk.answer(other)), Unauthorized)


@pytest.mark.parametrize(
    "status, headers, body, verdict",
    [
        (
            429,
            (("X-Rate-Limit-Problem", "minute"), ("Retry-After", "12")),
            b"",
            Throttled(timedelta(seconds=12), None, "minute"),
        ),
        (
            429,
            (("X-Rate-Limit-Problem", "Day"), ("Retry-After", "66975")),
            b"",
            Throttled(timedelta(seconds=66_975), None, "day"),
        ),
        (
            429,
            (("X-Rate-Limit-Problem", "appminute"), ("Retry-After", "3")),
            b"",
            Throttled(timedelta(seconds=3), None, "app_minute"),
        ),
        (429, (("X-Rate-Limit-Problem", "concurrent"),), b"", Throttled(timedelta(seconds=1))),
        (
            200,
            (("X-MinLimit-Remaining", "59"), ("X-DayLimit-Remaining", "4999")),
            b"{}x",
            OutcomeUnknown("the answer is no JSON"),
        ),
        (
            200,
            (("X-MinLimit-Remaining", "59"), ("X-DayLimit-Remaining", "7")),
            b'{"a":1}',
            Answered({"minute": 59, "day": 7}),
        ),
        (204, (), b"", Answered()),
        (400, (), b'{"Message":"no"}', Answered()),
        (500, (), b"", OutcomeUnknown("the provider answered 500")),
        (503, (), b"", OutcomeUnknown("the provider answered 503")),
    ],
)
def test_an_answer_is_believed_only_as_far_as_xero_documents_it(desk, status, headers, body, verdict):
    assert desk.handle.classify(a_request(desk), Reply(status, headers, body)) == verdict


def test_the_sixty_first_call_of_a_minute_is_refused_and_says_when_to_come_back(clock):
    books = simulator(clock=clock, rules=XeroRules(calls_a_minute=3))
    with books.serve() as served:
        desk = XeroDesk(books, served.url, clock)
        request = a_request(desk)
        assert desk.send(request).header("X-MinLimit-Remaining") == "0"
        refused = desk.answer(request)
        assert (refused.status, refused.header("X-Rate-Limit-Problem")) == (429, "minute")
        clock.advance(timedelta(seconds=int(refused.header("Retry-After") or 0)))
        assert desk.answer(request).status == 200
        desk.close()
    books.close()


def test_more_than_five_at_once_are_refused(xero, desk):
    request = a_request(desk)
    for _ in range(5):
        assert xero._limits.enter(DEMO_TENANT, xero.clock.now()) is None
    refused = desk.answer(request)
    assert (refused.status, refused.header("X-Rate-Limit-Problem"), refused.header("Retry-After")) == (
        429,
        "concurrent",
        None,
    )


def test_a_key_is_honoured_for_minutes_only(desk):
    request = a_request(desk)
    desk.send(request, "key-1")
    assert desk.answer(request, "key-1").header("Idempotent-Replayed") == "true"
    desk.clock.advance(timedelta(minutes=6))
    assert desk.answer(request, "key-1").header("Idempotent-Replayed") is None


def told(desk):
    """The webhook of the last thing that happened."""
    desk.drafted(1)
    return desk.xero.pending_webhooks()[-1]


def read(desk, headers, body, credentials=CREDENTIALS, settings=None):
    return desk.handle.read_webhook(
        {name.lower(): value for name, value in headers}, body, credentials, desk.clock.now(), settings or desk.settings
    )


def test_a_signed_webhook_is_a_hint_at_its_document(desk):
    (event,) = read(desk, *told(desk))
    (document,) = desk.xero.documents()
    assert (event.kind, event.type, event.external_id) == ("document", "INVOICE.CREATE", document.id)
    assert event.occurred_at == desk.clock.now()


@pytest.mark.parametrize("tenant, hints", [("", 1), (DEMO_TENANT, 1), ("another", 0)])
def test_what_another_organisation_is_told_is_left_out(desk, tenant, hints):
    settings = desk.settings.model_copy(update={"account": tenant})
    assert len(read(desk, *told(desk), settings=settings)) == hints


def test_a_copy_of_a_webhook_has_the_same_id_whenever_it_comes(desk):
    headers, body = told(desk)
    first = read(desk, headers, body)
    desk.clock.advance(timedelta(days=2))
    assert read(desk, headers, body) == first


@pytest.mark.parametrize(
    "spoil, credentials",
    [
        (lambda headers, body: (headers, body.replace(b"INVOICE", b"CONTACT")), CREDENTIALS),
        (lambda headers, body: (headers[:1], body), CREDENTIALS),
        (lambda headers, body: (headers, body), XeroCredentials(webhook_key="another")),
        (lambda headers, body: (headers, body), XeroCredentials()),
        (lambda headers, body: (headers, body), None),
    ],
)
def test_a_webhook_that_is_not_xeros_is_refused(desk, spoil, credentials):
    assert isinstance(read(desk, *spoil(*told(desk)), credentials), Refusal)


def test_the_intent_to_receive_is_answered_as_xero_wants_it(desk):
    def receive(headers, body):
        return 401 if isinstance(read(desk, headers, body), Refusal) else 200

    assert desk.xero.intends_to_receive(receive)
    assert not desk.xero.intends_to_receive(lambda _headers, _body: 200)
    assert read(desk, *handshake(DEMO_WEBHOOK_KEY, good=True)) == ()


def test_a_person_can_look_at_the_books(desk):
    item = desk.issued(1)
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(item))
    with desk.xero.ledger.transaction() as tx:
        tx.execute("UPDATE things SET content = replace(content, 'Customer 1', '<script>') WHERE kind = 'contact'")
    page = httpx.get(f"{desk.settings.api_url}/-/").text
    assert "INV-1" in page
    assert str(item.invoice.total) in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_batch_that_summarizes_errors_is_refused_as_a_whole(desk):
    good, bad = desk.invoice_item(1), desk.invoice_item(2)
    bad = replace(bad, lines=tuple(replace(line, account="999") for line in bad.lines))
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(good, bad))
    summarized = replace(request, url=request.url.replace("summarizeErrors=false", "summarizeErrors=true"))
    outcomes = desk.drive(Capability.SYNC_DRAFT, desk.batch(good, bad), {"drafts": desk.send(summarized)}).outcomes
    assert {outcome.issues[0].code for outcome in outcomes.values()} == {"account_unknown"}
    assert desk.xero.documents() == ()


def test_without_four_decimals_asked_for_xero_keeps_two_of_a_price(desk):
    from decimal import Decimal

    from billhook.testing.builders import a_line, an_invoice

    line = a_line(1, "GBP", quantity=Decimal(1000), price={"type": "unit", "amount": "0.1234"})
    item = desk.invoice_item(1, an_invoice(currency="GBP", lines=1).model_copy(update={"lines": (line,)}))
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(item))
    careless = replace(request, url=request.url.replace("&unitdp=4", ""))
    outcome = desk.drive(Capability.SYNC_DRAFT, desk.batch(item), {"drafts": desk.send(careless)}).outcomes[item.id]
    assert outcome.issues[0].code == "totals_differ"
