"""Webhooks of providers over HTTP: verified over the bytes as they came, and nothing stored of what is not."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import a_provider, careful_draft
from server_kit import Served

from billhook.contract import Refusal, WebhookEvent
from billhook.server.limits import LARGEST_BODY
from billhook.store import schema
from billhook.testing.builders import an_id

Serve = Callable[..., Served]


def read_webhook(self: Any, headers: Any, body: bytes, secrets: Any, settings: Any, now: Any) -> Any:
    wanted = hmac.new(secrets.token.get_secret_value().encode(), body, "sha256").hexdigest()
    if not hmac.compare_digest(headers.get("x-signature", ""), wanted):
        return Refusal("the signature is wrong")
    return [WebhookEvent(*line.split(":")) for line in body.decode().split()]


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve(a_provider(sync_draft=careful_draft, read_webhook=read_webhook, credentials=True))


def signed(body: bytes, secret: str = "old") -> dict[str, str]:
    return {"X-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest()}


def deliver(served: Served, body: bytes, headers: dict[str, str], app_id: str | None = None) -> Any:
    return served.http(None).post(f"/webhooks/{app_id or served.shop.app.id}", content=body, headers=headers)


def test_a_good_signature_is_answered_200_with_nothing(served):
    body = b"e1:document:drafts-1:paid e2:document:drafts-2:paid"
    answer = deliver(served, body, {**signed(body), "content-type": "text/plain"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert [row["event_id"] for row in served.shop.rows(schema.inbox)] == ["e1", "e2"]
    assert deliver(served, body, signed(body)).status_code == 200
    assert len(served.shop.rows(schema.inbox)) == 2


def test_a_handshake_without_events_is_answered_by_its_signature(served):
    answer = deliver(served, b"", signed(b""))
    assert (answer.status_code, answer.content) == (200, b"")
    assert deliver(served, b"", {"X-Signature": "guess"}).status_code == 401


def test_a_bad_signature_is_401_and_nothing_is_stored(served, caplog):
    body = b"e1:document:drafts-1:paid"
    before = served.shop.counts()
    for headers in ({}, signed(body, "guess"), signed(body + b" "), {"X-Signature": "é".encode()}):
        answer = deliver(served, body, headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    assert served.shop.counts() == before
    assert "drafts-1" not in caplog.text


def test_an_unknown_app_is_404(served):
    for app_id in (an_id(9), "nonsense", "%00", "a" * 5000):
        assert deliver(served, b"x", signed(b"x"), app_id).status_code == 404


def test_an_oversized_body_is_413(served):
    body = b"x" * (LARGEST_BODY + 1)
    before = served.shop.counts()
    assert deliver(served, body, signed(body)).status_code == 413
    chunks = (b"x" * 65_536 for _ in range(LARGEST_BODY // 65_536 + 1))
    answer = served.http(None).post(f"/webhooks/{served.shop.app.id}", content=chunks)
    assert answer.status_code == 413
    assert served.shop.counts() == before


def test_an_app_whose_provider_sends_no_webhooks_takes_none(serve):
    served = serve(a_provider(sync_draft=careful_draft))
    assert deliver(served, b"{}", {}).status_code == 400


def test_json_that_a_provider_signed_is_not_looked_into_before_its_signature(served):
    body = b'{"a": NaN, "a": ' + b"[" * 100 + b"]" * 100 + b"}"
    assert deliver(served, body, {**signed(body, "guess"), "content-type": "application/json"}).status_code == 401
