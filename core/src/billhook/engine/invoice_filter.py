"""Which invoices a list has, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from billhook.domain.lifecycle import State
from billhook.domain.parsing import argument
from billhook.domain.period import utc
from billhook.engine.arguments import checked
from billhook.engine.failed_refunds import has_failed_refund
from billhook.engine.moments import to_micros
from billhook.engine.not_in_books import is_not_in_books
from billhook.engine.open_issues import has_failed_payment, has_open_issue
from billhook.errors import InvalidInput
from billhook.store import schema

GATHERING = "gathering"
_TIMES = ("created", "issued", "period_start")

_invoice = schema.invoice

NOT_DELETED = sa.or_(_invoice.c.deleted_at.is_(None), _invoice.c.state == State.DELETE_FAILED.value)
"""Invoices that are there. Where the app refused to delete one it is."""


@checked
@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """Which invoices: those that everything stated here is true of.

    ``statuses`` match the whole state or its part before the dot, ``extended_statuses`` the whole state alone. ``gathering`` is the status of
    pending lines that are shown as an invoice. What is ``from`` a time includes it, what is ``before`` one does not. Those ``not_in_books``
    have a payment or a void that the books refused, or money in the books that was taken or given back; those with ``failed_refunds`` a refund
    that the customer does not have; those of ``issue_codes`` an open issue, or the payment that failed, with one of these codes.
    """

    statuses: tuple[str, ...] = ()
    customer_ids: tuple[str, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None
    include_deleted: bool = False
    extended_statuses: tuple[str, ...] = ()
    other_customers_than: tuple[str, ...] = ()
    issued_from: datetime | None = None
    issued_before: datetime | None = None
    period_start_from: datetime | None = None
    period_start_before: datetime | None = None
    not_in_books: bool = False
    failed_refunds: bool = False
    issue_codes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise InvalidInput for a status that no invoice can have, or a time without a zone."""
        for name in (f"{about}_{way}" for about in _TIMES for way in ("from", "before")):
            if getattr(self, name) is not None:
                argument(name, utc, getattr(self, name))
        _check_statuses("statuses", self.statuses, (name for state in State for name in (state.short, state.value)))
        _check_statuses("extended_statuses", self.extended_statuses, (state.value for state in State))

    @property
    def takes_gathering(self) -> bool:
        """Whether pending lines that are shown as an invoice are meant too: they are not issued, and of no period yet."""
        dates = (self.issued_from, self.issued_before, self.period_start_from, self.period_start_before)
        wanted = (not names or GATHERING in names for names in (self.statuses, self.extended_statuses))
        return all(wanted) and not any(dates) and not (self.not_in_books or self.failed_refunds or self.issue_codes)


def _check_statuses(name: str, stated: tuple[str, ...], possible: Iterable[str]) -> None:
    known = list(dict.fromkeys([GATHERING, *possible]))
    unknown = [status for status in stated if status not in known]
    if unknown:
        raise InvalidInput(
            "status_unknown", f"No invoice is ever {', '.join(unknown)}. Use one of {', '.join(known)}.", f"/{name}"
        )


class InvoiceOrder(StrEnum):
    """What a list of invoices is sorted by."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    ISSUED_AT = "issued_at"
    PERIOD_START = "period_start"
    STATUS = "status"
    CUSTOMER_NAME = "customer_name"


def invoices_where(namespace: str, wanted: InvoiceFilter) -> sa.ColumnElement[bool]:
    """The invoices of the namespace that the filter takes."""
    conditions = [_invoice.c.namespace == namespace]
    if wanted.statuses:
        states = [state.value for state in State if {state.value, state.short} & set(wanted.statuses)]
        conditions.append(_invoice.c.state.in_(states))
    if wanted.extended_statuses:
        conditions.append(_invoice.c.state.in_(wanted.extended_statuses))
    conditions += customers_where(_invoice.c.customer_id, wanted)
    for about in ("created_at", "issued_at", "period_start"):
        conditions += times_where(_invoice.c[about], wanted, about.removesuffix("_at"))
    if wanted.not_in_books:
        conditions.append(is_not_in_books())
    if wanted.failed_refunds:
        conditions.append(has_failed_refund())
    if wanted.issue_codes:
        issue, payment = schema.validation_issue.c.code, schema.payment.c.code
        by_code = (has_open_issue(issue.in_(wanted.issue_codes)), has_failed_payment(payment.in_(wanted.issue_codes)))
        conditions.append(sa.or_(*by_code))
    if not wanted.include_deleted:
        conditions.append(NOT_DELETED)
    return sa.and_(*conditions)


def customers_where(column: sa.ColumnElement[str], wanted: InvoiceFilter) -> Iterator[sa.ColumnElement[bool]]:
    """Which customers the filter takes."""
    if wanted.customer_ids:
        yield column.in_(wanted.customer_ids)
    if wanted.other_customers_than:
        yield column.not_in(wanted.other_customers_than)


def times_where(column: sa.ColumnElement[Any], wanted: InvoiceFilter, about: str) -> Iterator[sa.ColumnElement[bool]]:
    """Which of these times the filter takes."""
    start, end = getattr(wanted, f"{about}_from"), getattr(wanted, f"{about}_before")
    if start is not None:
        yield column >= to_micros(start)
    if end is not None:
        yield column < to_micros(end)
