"""Reading invoices: one with everything about it, or pages of many."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.domain.ids import Ulid
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import ValidationIssue
from billhook.domain.lifecycle import Action, State, is_failed, is_mutable
from billhook.domain.period import UtcDatetime
from billhook.engine.after_failing import way_out
from billhook.engine.annotations import annotations_of
from billhook.engine.foretelling import Foretelling
from billhook.engine.invoice_filter import InvoiceFilter, invoices_where
from billhook.engine.invoice_row import COLUMNS, InvoiceRow, invoice_view
from billhook.engine.moments import from_micros, maybe_from_micros
from billhook.engine.paging import check_page
from billhook.engine.records import Page
from billhook.engine.unit import Unit
from billhook.engine.waits import Waits
from billhook.errors import NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_invoice, _issue, _command = schema.invoice, schema.validation_issue, schema.pending_command


class ReportedIssue(ValidationIssue):
    """An open issue as it is kept: with an id of its own, and when it was found."""

    id: Ulid
    created_at: UtcDatetime


@dataclass(frozen=True, slots=True)
class PaymentView:
    """One payment of an invoice. Amounts in major units; ``key`` is the one that it was noted under."""

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
    key: str | None = None


@dataclass(frozen=True, slots=True)
class RefundView:
    """One refund of a payment. Amounts in major units; ``message`` says why it failed, ``key`` is the one that it was asked for under.

    Its ``origin`` is ``requested``, or ``outside`` where others made it at the provider, or ``recorded`` where it was paid back another way.
    """

    id: str
    payment_id: str
    invoice_id: str
    status: str
    origin: str
    amount: Decimal
    currency: str
    reason: str | None
    message: str | None
    external_id: str | None
    created_at: datetime
    key: str | None = None


@dataclass(frozen=True, slots=True)
class InvoiceDetails:
    """An invoice with what can be done now and what stands in the way.

    ``pending_command`` waits until the operation under way ends. ``in_doubt`` says what nobody knows, and a person must settle;
    ``waiting_for`` why an operation under way does not go on, ``waiting_since`` since when, and ``gives_up_at`` how long at most.
    ``way_out`` says what can be done where the payment failed.
    """

    invoice: InvoiceView
    available_actions: Mapping[Action, State]
    immutable: bool
    failed: bool
    profile_id: str
    issues: tuple[ReportedIssue, ...] = ()
    payments: tuple[PaymentView, ...] = ()
    pending_command: str | None = None
    in_doubt: str | None = None
    waiting_for: str | None = None
    waiting_since: datetime | None = None
    gives_up_at: datetime | None = None
    way_out: str | None = None
    quantity_snapshotted_at: datetime | None = None
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
    link = unit.links.of(row.id, row.values["invoicing_app_id"])
    return invoice_view(row.values, unit.revisions.content(row.id, row.revision), known_by(link))


def details(unit: Unit, namespace: str, invoice_id: str) -> InvoiceDetails:
    """Everything about one invoice. Raises NotFound."""
    return details_of(unit, [unit.invoice(invoice_id, namespace)])[0]


def details_of(unit: Unit, rows: Sequence[InvoiceRow]) -> tuple[InvoiceDetails, ...]:
    """Everything about these invoices, in their order."""
    ids = [row.id for row in rows]
    _load(unit, rows)
    unit.money.load_payments_of(ids)
    around, foretelling = _Around(unit.tx, ids), Foretelling(unit)
    return tuple(_details(unit, row, around, foretelling) for row in rows)


def _details(unit: Unit, row: InvoiceRow, around: _Around, foretelling: Foretelling) -> InvoiceDetails:
    return InvoiceDetails(
        invoice=view_of(unit, row),
        available_actions=foretelling.actions(row),
        immutable=not is_mutable(row.state),
        failed=is_failed(row.state),
        profile_id=row.values["profile_id"],
        issues=tuple(around.issues[row.id]),
        payments=tuple(
            payment_view(payment)
            for payment in sorted(unit.money.payments_of(row.id), key=lambda payment: str(payment["id"]))
        ),
        pending_command=around.commands.get(row.id),
        in_doubt=around.waits.in_doubt(row.id),
        waiting_for=around.waits.reason(unit, row),
        waiting_since=around.waits.since(row.id),
        gives_up_at=around.waits.given_up_at(row.id),
        way_out=way_out(unit, row),
        quantity_snapshotted_at=maybe_from_micros(row.values["quantity_snapshotted_at"]),
        apps={role: row.values[f"{role}_app_id"] for role in ("tax", "invoicing", "payment")},
        annotations=around.annotations.get(row.id, {}),
    )


class _Around:
    """What stands around some invoices in other tables, by invoice id; one statement for each table."""

    def __init__(self, tx: Transaction, ids: Sequence[str]) -> None:
        self.issues = _issues(tx, ids)
        self.commands = _first_commands(tx, ids)
        self.waits = Waits(tx, ids)
        self.annotations = annotations_of(tx, ids)


def issues_of(tx: Transaction, document_id: str) -> tuple[ReportedIssue, ...]:
    """The open issues of a document."""
    return issues_of_each(tx, [document_id])[document_id]


def issues_of_each(tx: Transaction, document_ids: Sequence[str]) -> dict[str, tuple[ReportedIssue, ...]]:
    """The open issues of each of these documents."""
    found = _issues(tx, document_ids)
    return {id: tuple(found[id]) for id in document_ids}


def _issues(tx: Transaction, document_ids: Sequence[str]) -> dict[str, list[ReportedIssue]]:
    rows = tx.all(
        sa.select(_issue)
        .where(_issue.c.document_id.in_(document_ids), _issue.c.superseded_at.is_(None))
        .order_by(_issue.c.id)
    )
    issues: dict[str, list[ReportedIssue]] = defaultdict(list)
    for row in rows:
        issues[row.document_id].append(read_issue(row))
    return issues


def read_issue(row: Any) -> ReportedIssue:
    """The issue of a row."""
    return ReportedIssue(
        id=row.id,
        severity=row.severity,
        code=row.code,
        message=row.message,
        component=row.component,
        path=row.path or "",
        metadata=json.loads(row.metadata),
        created_at=from_micros(row.created_at),
    )


def refund_view(row: Mapping[str, Any]) -> RefundView:
    """A refund row as hosts read it."""
    return RefundView(
        id=row["id"],
        payment_id=row["payment_id"],
        invoice_id=row["invoice_id"],
        status=row["state"],
        origin=row["origin"],
        amount=Decimal(row["amount"]),
        currency=row["currency"],
        reason=row["reason"],
        message=row["message"],
        external_id=row["external_id"],
        created_at=from_micros(row["created_at"]),
        key=row["client_key"],
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
        key=row["client_key"],
    )


def id_of_key(tx: Transaction, namespace: str, key: str) -> str | None:
    """The invoice that was submitted under that key."""
    found = tx.scalar(sa.select(_invoice.c.id).where(_invoice.c.namespace == namespace, _invoice.c.client_key == key))
    return None if found is None else str(found)


def page_of(unit: Unit, namespace: str, wanted: InvoiceFilter, page: int, page_size: int) -> Page[InvoiceView]:
    """Invoices, the newest first. Raises InvalidInput for a page that can't be."""
    check_page(page, page_size)
    where = invoices_where(namespace, wanted)
    total = unit.tx.scalar(sa.select(sa.func.count()).select_from(_invoice).where(where))
    columns = [_invoice.c[name] for name in COLUMNS]
    rows = unit.tx.all(
        sa.select(*columns).where(where).order_by(_invoice.c.id.desc()).limit(page_size).offset((page - 1) * page_size)
    )
    found = [InvoiceRow(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    _load(unit, found)
    return Page(tuple(view_of(unit, row) for row in found), int(total), page, page_size)


def _load(unit: Unit, rows: Sequence[InvoiceRow]) -> None:
    unit.revisions.load([(row.id, row.revision) for row in rows])
    unit.links.load((row.id, row.values["invoicing_app_id"]) for row in rows)


def known_by(link: Mapping[str, Any]) -> dict[str, Any]:
    """The ids that an app gave to an invoice and its parts."""
    external_ids = {"invoicing": link["external_id"], "payment": link["payment_external_id"]}
    return {
        "external_ids": {role: id for role, id in external_ids.items() if id},
        "line_ids": link["line_ids"],
        "discount_ids": link["discount_ids"],
    }


def _first_commands(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    waiting = sa.select(_command.c.invoice_id, _command.c.command).where(_command.c.invoice_id.in_(ids))
    # The first is written last.
    return {row.invoice_id: row.command for row in tx.all(waiting.order_by(_command.c.id.desc()))}


def require_invoice(tx: Transaction, namespace: str, invoice_id: str) -> None:
    """Raise NotFound unless the namespace has that invoice."""
    found = tx.scalar(sa.select(_invoice.c.id).where(_invoice.c.namespace == namespace, _invoice.c.id == invoice_id))
    if found is None:
        raise NotFound("invoice", invoice_id, namespace)
