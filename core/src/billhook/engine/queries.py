"""Reading invoices: one with everything about it, or pages of many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import ValidationIssue
from billhook.domain.lifecycle import Action, State, available_actions, is_failed, is_mutable
from billhook.domain.parsing import argument
from billhook.domain.period import utc
from billhook.engine.annotations import annotations_of
from billhook.engine.invoice_row import COLUMNS, InvoiceRow, invoice_view
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.paging import check_page
from billhook.engine.records import Page
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_invoice, _issue, _command, _operation, _work = (
    schema.invoice,
    schema.validation_issue,
    schema.pending_command,
    schema.operation,
    schema.work,
)


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """Which invoices. ``statuses`` match the whole state or its part before the dot."""

    statuses: tuple[str, ...] = ()
    customer_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    include_deleted: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidInput for a status that no invoice can have, or a time without a zone."""
        for name in ("created_from", "created_before"):
            if getattr(self, name) is not None:
                argument(name, utc, getattr(self, name))
        known = list(dict.fromkeys(name for state in State for name in (state.short, state.value)))
        unknown = [name for name in self.statuses if name not in known]
        if unknown:
            raise InvalidInput(
                "status_unknown",
                f"No invoice is ever {', '.join(unknown)}. Use one of {', '.join(known)}.",
                "/statuses",
            )


@dataclass(frozen=True, slots=True)
class PaymentView:
    """One payment of an invoice. Amounts in major units."""

    id: str
    status: str
    amount: Decimal
    amount_received: Decimal
    currency: str
    origin: str
    app_id: str
    method: str | None
    external_id: str | None
    action_url: str | None
    code: str | None
    message: str | None
    received_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceDetails:
    """An invoice with what can be done now and what stands in the way.

    ``pending_command`` waits until the operation under way ends. ``in_doubt`` says what nobody knows, and a person must settle;
    ``waiting_for`` why an operation under way does not go on, ``waiting_since`` since when, and ``gives_up_at`` how long at most.
    """

    invoice: InvoiceView
    available_actions: Mapping[Action, State]
    immutable: bool
    failed: bool
    issues: tuple[ValidationIssue, ...] = ()
    payments: tuple[PaymentView, ...] = ()
    pending_command: str | None = None
    in_doubt: str | None = None
    waiting_for: str | None = None
    waiting_since: datetime | None = None
    gives_up_at: datetime | None = None
    apps: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The invoice's id."""
        return self.invoice.id

    @property
    def status(self) -> str:
        """Where the invoice stands."""
        return self.invoice.status


def view_of(unit: Unit, row: InvoiceRow) -> InvoiceView:
    """The invoice as it now stands, with the ids that its apps gave it."""
    return invoice_view(row.values, unit.content(row.id, row.revision), _known(unit, row))


def details(unit: Unit, namespace: str, invoice_id: str) -> InvoiceDetails:
    """Everything about one invoice. Raises NotFound."""
    row = unit.invoice(invoice_id, namespace)
    pause = _pause(unit.tx, row)
    return InvoiceDetails(
        invoice=view_of(unit, row),
        available_actions=available_actions(row.facts, unit.now),
        immutable=not is_mutable(row.state),
        failed=is_failed(row.state),
        issues=issues_of(unit.tx, invoice_id),
        payments=tuple(
            payment_view(payment)
            for payment in sorted(unit.payments_of(invoice_id), key=lambda payment: str(payment["id"]))
        ),
        pending_command=_pending_command(unit.tx, invoice_id),
        in_doubt=_reason(unit.tx, invoice_id, "in_doubt"),
        waiting_for=_reason(unit.tx, invoice_id, "open") or (pause.note if pause else None),
        waiting_since=from_micros(pause.at) if pause else None,
        gives_up_at=_gives_up_at(unit.tx, invoice_id) if pause else None,
        apps={role: row.values[f"{role}_app_id"] for role in ("tax", "invoicing", "payment")},
        annotations=annotations_of(unit.tx, invoice_id),
    )


def issues_of(tx: Transaction, document_id: str) -> tuple[ValidationIssue, ...]:
    """The open issues of a document."""
    rows = tx.all(
        sa.select(_issue)
        .where(_issue.c.document_id == document_id, _issue.c.superseded_at.is_(None))
        .order_by(_issue.c.id)
    )
    return tuple(
        ValidationIssue(
            severity=row.severity,
            code=row.code,
            message=row.message,
            component=row.component,
            path=row.path or "",
            metadata=json.loads(row.metadata),
        )
        for row in rows
    )


def payment_view(row: Mapping[str, Any]) -> PaymentView:
    """A payment row as hosts read it."""
    return PaymentView(
        id=row["id"],
        status=row["state"],
        amount=Decimal(row["amount"]),
        amount_received=Decimal(row["amount_received"]),
        currency=row["currency"],
        origin=row["origin"],
        app_id=row["app_id"],
        method=row["method"],
        external_id=row["external_id"],
        action_url=row["action_url"],
        code=row["code"],
        message=row["message"],
        received_at=maybe_from_micros(row["received_at"]),
        created_at=from_micros(row["created_at"]),
    )


def id_of_key(tx: Transaction, namespace: str, key: str) -> str | None:
    """The invoice that was submitted under that key."""
    found = tx.scalar(sa.select(_invoice.c.id).where(_invoice.c.namespace == namespace, _invoice.c.client_key == key))
    return None if found is None else str(found)


def page_of(unit: Unit, namespace: str, wanted: InvoiceFilter, page: int, page_size: int) -> Page[InvoiceView]:
    """Invoices, the newest first. Raises InvalidInput for a page that can't be."""
    check_page(page, page_size)
    where = _where(namespace, wanted)
    total = unit.tx.scalar(sa.select(sa.func.count()).select_from(_invoice).where(where))
    columns = [_invoice.c[name] for name in COLUMNS]
    rows = unit.tx.all(
        sa.select(*columns).where(where).order_by(_invoice.c.id.desc()).limit(page_size).offset((page - 1) * page_size)
    )
    found = [InvoiceRow(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    unit.load_contents([(row.id, row.revision) for row in found])
    unit.load_links((row.id, row.values["invoicing_app_id"]) for row in found)
    return Page(tuple(view_of(unit, row) for row in found), int(total), page, page_size)


def _where(namespace: str, wanted: InvoiceFilter) -> sa.ColumnElement[bool]:
    conditions = [_invoice.c.namespace == namespace]
    if wanted.statuses:
        states = [state.value for state in State for name in wanted.statuses if name in (state.value, state.short)]
        conditions.append(_invoice.c.state.in_(states))
    if wanted.customer_id is not None:
        conditions.append(_invoice.c.customer_id == wanted.customer_id)
    if wanted.created_from is not None:
        conditions.append(_invoice.c.created_at >= to_micros(wanted.created_from))
    if wanted.created_before is not None:
        conditions.append(_invoice.c.created_at < to_micros(wanted.created_before))
    if not wanted.include_deleted:
        conditions.append(_invoice.c.deleted_at.is_(None))
    return sa.and_(*conditions)


def _known(unit: Unit, row: InvoiceRow) -> dict[str, Any]:
    link = unit.link(row.id, row.values["invoicing_app_id"])
    external_ids = {"invoicing": link["external_id"]} if link["external_id"] else {}
    return {"external_ids": external_ids, "line_ids": link["line_ids"], "discount_ids": link["discount_ids"]}


def _pending_command(tx: Transaction, invoice_id: str) -> str | None:
    name = tx.scalar(
        sa.select(_command.c.command).where(_command.c.invoice_id == invoice_id).order_by(_command.c.id).limit(1)
    )
    return None if name is None else str(name)


def _reason(tx: Transaction, invoice_id: str, status: str) -> str | None:
    reason = tx.scalar(
        sa.select(_operation.c.reason)
        .join(_work, _work.c.operation_id == _operation.c.id)
        .where(_work.c.subject_id == invoice_id, _operation.c.status == status)
        .limit(1)
    )
    return None if reason is None else str(reason)


def _pause(tx: Transaction, row: InvoiceRow) -> Any:
    """The last thing that happened, where it was a wait: for the provider, or for a caller."""
    event = schema.event
    last = tx.first(
        sa.select(event.c.cause, event.c.note, event.c.at).where(
            event.c.document_id == row.id, event.c.version == row.values["version"]
        )
    )
    return last if last is not None and last.note and last.cause.endswith(".pending") else None


def _gives_up_at(tx: Transaction, invoice_id: str) -> datetime | None:
    return maybe_from_micros(
        tx.scalar(sa.select(sa.func.min(_work.c.give_up_at)).where(_work.c.subject_id == invoice_id))
    )


def require_invoice(tx: Transaction, namespace: str, invoice_id: str) -> None:
    """Raise NotFound unless the namespace has that invoice."""
    found = tx.scalar(sa.select(_invoice.c.id).where(_invoice.c.namespace == namespace, _invoice.c.id == invoice_id))
    if found is None:
        raise NotFound("invoice", invoice_id, namespace)
