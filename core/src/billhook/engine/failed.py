"""Which invoices failed: those that stand still, and those of which the books refused something."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.domain.lifecycle import State, is_failed
from billhook.engine.invoice_filter import NOT_DELETED
from billhook.engine.not_in_books import payment_refused, void_refused
from billhook.store import schema

_invoice = schema.invoice

_STATES = tuple(state.value for state in State if is_failed(state) or state is State.DRAFT_INVALID)


def stands_still() -> sa.ColumnElement[bool]:
    """The invoice is in a failed state or invalid, and goes on only once it is retried."""
    return sa.and_(_invoice.c.state.in_(_STATES), NOT_DELETED)


def is_to_be_retried() -> sa.ColumnElement[bool]:
    """A retry has something to ask for again."""
    return sa.or_(stands_still(), payment_refused(), void_refused())
