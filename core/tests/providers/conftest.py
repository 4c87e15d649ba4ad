"""Drives the sandbox provider by hand against the sandbox in-process: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from billhook.clock import TurnedClock
from billhook.contract import CreditNoteItem
from billhook.testing.builders import an_invoice
from billhook.testing.desk import Desk
from billhook.testing.sandbox import provider, simulator
from billhook.testing.sandbox.config import SandboxCredentials, SandboxSettings
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.transport import SimulatorTransport

URL = "http://sandbox.example"
CREDENTIALS = SandboxCredentials(token="sandbox-token", webhook_secret="sandbox-webhook-secret")


class Counter(Desk):
    """The sandbox's counter, seen from our side."""

    def credit_item(self, number: int = 1, **changes: object) -> CreditNoteItem:
        return super().credit_item(number, an_invoice(), **changes)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: TurnedClock) -> Iterator[SandboxSimulator]:
    books = simulator(clock=clock)
    yield books
    books.close()


@pytest.fixture
def counter(sandbox: SandboxSimulator, clock: TurnedClock) -> Counter:
    return Counter(
        provider,
        SimulatorTransport({URL: sandbox}),
        settings=SandboxSettings(base_url=f"{URL}/"),
        credentials=CREDENTIALS,
        clock=clock,
        simulator=sandbox,
    )
