from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from billhook.clock import TurnedClock
from billhook.testing.sandbox import simulator
from billhook.testing.sandbox.desk import SandboxRules
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.simulator import SimReply, SimRequest

BEARER = {"Authorization": "Bearer sandbox-token"}


def a_line(reference: str = "line-1", **changes: Any) -> dict[str, Any]:
    return {"reference": reference, "description": "Tokens", "quantity": "3", "unit_price": "3.335", **changes}


class Shop:
    """A client of the sandbox, over HTTP, with a customer to bill."""

    def __init__(self, sandbox: SandboxSimulator, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self.http = http
        answer = http.post("/v1/customers", json={"items": [{"reference": "our-customer", "name": "Ada"}]})
        self.customer: str = answer.json()["items"][0]["id"]

    def item(self, reference: str = "INV", **changes: Any) -> dict[str, Any]:
        return {"reference": reference, "customer": self.customer, "currency": "EUR", "lines": [a_line()], **changes}

    def create(
        self, *items: dict[str, Any], status: str = "draft", kind: str = "invoices", key: str | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post(f"/v1/{kind}", json={"status": status, "items": list(items)}, headers=headers)

    def issued(self, reference: str = "INV", **changes: Any) -> dict[str, Any]:
        """An issued invoice, as the batch answered it."""
        found: dict[str, Any] = self.create(self.item(reference, **changes), status="issued").json()["items"][0]
        assert found["ok"], found
        return found

    def pay(self, reference: str = "PAY", amount: str = "10.01", **changes: Any) -> httpx.Response:
        return self.http.post(
            "/v1/payments", json={"reference": reference, "amount": amount, "currency": "EUR", **changes}
        )


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def rules() -> SandboxRules:
    return SandboxRules()


@pytest.fixture
def sandbox(tmp_path, clock, rules) -> Iterator[SandboxSimulator]:
    books = simulator(tmp_path / "sandbox.db", clock=clock, rules=rules)
    yield books
    books.close()


@pytest.fixture
def shop(sandbox) -> Iterator[Shop]:
    with sandbox.serve() as served, httpx.Client(base_url=served.url, headers=BEARER, timeout=30) as http:
        yield Shop(sandbox, http)


@pytest.fixture
def ask(sandbox):
    """Put a request to the sandbox in-process."""

    def send(method: str, path: str, body: Any = None, **headers: str) -> SimReply:
        sent = tuple({**BEARER, **headers}.items())
        return sandbox.handle(
            SimRequest.from_url(method, path, sent, b"" if body is None else json.dumps(body).encode())
        )

    return send
