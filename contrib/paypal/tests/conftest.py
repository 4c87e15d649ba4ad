"""Drives the provider by hand against the simulator: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.contract import InvoiceItem
from billhook.testing.builders import a_content, a_line, a_view, an_id, an_invoice
from billhook.testing.desk import Desk
from billhook.testing.transport import SimulatorTransport
from billhook_paypal import PaypalCredentials, PaypalProvider, PaypalSettings
from billhook_paypal.simulator import PaypalSimulator

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
URL = "http://paypal.test"


class Counter(Desk):
    """PayPal's counter, seen from our side."""

    def __init__(self, books: PaypalSimulator, clock: TurnedClock, **settings: Any) -> None:
        super().__init__(
            PaypalProvider,
            SimulatorTransport({URL: books}),
            settings=PaypalSettings(base_url=URL, **settings),
            credentials=PaypalCredentials.model_validate(books.connection(URL).credentials),
            clock=clock,
            simulator=books,
            currency="USD",
        )
        self.books = books

    def of_lines(self, *lines: dict[str, Any], place: int = 1, currency: str = "USD", **more: Any) -> InvoiceItem:
        """An invoice of these lines."""
        drafts = tuple(a_line(1, currency, **line) for line in lines)
        draft = an_invoice(len(lines), currency).model_copy(update={"lines": drafts})
        view = a_view(a_content(draft, invoice_id=an_id(place)), id=an_id(place))
        usual = {"id": view.id, "invoice": view, "customer": self.link(), "lines": self.mapped(view)}
        return InvoiceItem(**{**usual, "number": f"INV-{place}", **more})


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(BEGINS_AT)


@pytest.fixture
def books(clock: TurnedClock) -> Iterator[PaypalSimulator]:
    made = PaypalSimulator(clock=clock)
    yield made
    made.close()


@pytest.fixture
def counter(books: PaypalSimulator, clock: TurnedClock) -> Counter:
    return Counter(books, clock)
