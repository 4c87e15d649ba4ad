"""Work: what is to be done next, and when. A row exists only while something is due."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import sqlalchemy as sa

from billhook.contract.declaration import Capability

ADVANCE = "advance"
"""Not a provider's operation: time has come for an invoice to go on by itself."""
EVERYTHING = "*"
"""Whatever an app may have to do."""

READY, CLAIMED, WAITING = 0, 1, 2


def until_customer(customer_id: str, app_id: str) -> str:
    """What work waits for until the customer stands at the app."""
    return f"customer:{customer_id}@{app_id}"


def until_customer_of(work: sa.FromClause) -> sa.ColumnElement[str]:
    """The same in SQL, of the customer that this work brings to its app."""
    return "customer:" + work.c.item_id + "@" + work.c.app_id


def until_issued(document_id: str, app_id: str) -> str:
    """What work waits for until the document was issued at the app."""
    return f"issued:{document_id}@{app_id}"


def until_told(document_id: str, app_id: str) -> str:
    """What work waits for until the app's own books know all that was paid or credited on the document elsewhere."""
    return f"told:{document_id}@{app_id}"


class Lane(IntEnum):
    """Who goes first at an app. ``UNASKED`` are looks at invoices that nobody asked for."""

    INTERACTIVE = 0
    WEBHOOK = 1
    BULK = 2
    UNASKED = 3


class WorkRow(NamedTuple):
    """One thing to do for one item at one app.

    ``subject_id`` is the invoice, credit note or customer that it is about; ``version`` is the subject's version when it was asked for.
    ``due`` is in microseconds. ``alone`` keeps a suspected troublemaker out of batches.
    """

    item_id: str
    operation: str
    app_id: str
    subject_id: str
    state: int = READY
    lane: int = Lane.BULK
    due: int = 0
    version: int = 0
    attempts: int = 0
    alone: int = 0
    waits_for: str | None = None
    operation_id: str | None = None
    give_up_at: int | None = None

    @classmethod
    def unasked_look(cls, invoice_id: str, app_id: str, due: int) -> WorkRow:
        """A look at an invoice that nobody asked for."""
        return cls(invoice_id, Capability.FETCH, app_id, invoice_id, lane=Lane.UNASKED, due=due)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one row."""
        return (self.item_id, self.operation, self.app_id)

    @property
    def is_ready(self) -> bool:
        """It can be taken when due."""
        return self.state == READY

    @property
    def is_waiting(self) -> bool:
        """What it waits for is still to come."""
        return self.state == WAITING

    @property
    def is_claimed(self) -> bool:
        """An operation holds it."""
        return self.state == CLAIMED
