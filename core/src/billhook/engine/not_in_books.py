"""What the books do not show as it is here: payments and voids that they refused, money that they show no more, money that stands in them and
was taken or given back, and documents that somebody changed there."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine.open_issues import has_open_issue
from billhook.store import schema

TAKEN_BACK, GIVEN_BACK, NOT_CREDITED = "recorded_payment_taken_back", "refund_not_in_books", "credit_not_in_books"
"""The findings that tell of what a person has to undo or to enter in the books. They end once the books show it, or a person says so."""

MISSING = "less_in_books"
"""The finding that the books show less than is known of them. It ends once they show it, or something explains it."""

GONE, VOIDED, CHANGED = "gone_from_books", "voided_in_books", "changed_in_books"
LESS_DUE, MORE_DUE = "less_due_in_books", "more_due_in_books"
"""The findings that a document stands there otherwise than it was issued. They end once it stands as it was, or a person says so."""

_invoice, _issue = schema.invoice, schema.validation_issue


def payment_refused() -> sa.ColumnElement[bool]:
    """The books refuse to note money of the invoice, such as more than is due."""
    return has_open_issue(_issue.c.component.contains(f".{Capability.RECORD_PAYMENT}."))


def void_refused() -> sa.ColumnElement[bool]:
    """The invoice is void here, and stands there: the void was refused."""
    refused = has_open_issue(_issue.c.component.endswith(f".{Capability.VOID}"))
    return sa.and_(_invoice.c.state == State.VOIDED.value, _invoice.c.void_confirmed == 0, refused)


def shows_too_much() -> sa.ColumnElement[bool]:
    """The books still show money that was taken or given back, which nothing but a person takes out of them."""
    return has_open_issue(_issue.c.code.in_((TAKEN_BACK, GIVEN_BACK, NOT_CREDITED)))


def shows_too_little() -> sa.ColumnElement[bool]:
    """The books show less than they did, and nothing that is known here explains it."""
    return has_open_issue(_issue.c.code == MISSING)


def stands_otherwise() -> sa.ColumnElement[bool]:
    """The invoice is void there, gone or changed, or asks for another amount, and nobody asked for that here."""
    return has_open_issue(_issue.c.code.in_((GONE, VOIDED, CHANGED, LESS_DUE, MORE_DUE)))


def is_not_in_books() -> sa.ColumnElement[bool]:
    """Any of these."""
    return sa.or_(payment_refused(), void_refused(), shows_too_much(), shows_too_little(), stands_otherwise())
