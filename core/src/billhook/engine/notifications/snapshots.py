"""Invoices as they were: from their events, which never change, their revisions, and what a notification kept of its moment."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from billhook.domain.invoice import InvoiceView
from billhook.domain.lifecycle import State, Trigger, available_actions, is_failed, is_mutable, retrace
from billhook.engine.context import Context
from billhook.engine.invoice_row import COLUMNS, InvoiceRow, fold, invoice_view
from billhook.engine.moments import from_micros, maybe_from_micros
from billhook.engine.notifications.records import InvoiceSnapshot
from billhook.engine.queries import InvoiceDetails, PaymentView, ReportedIssue, known_by, payment_view, read_issue
from billhook.engine.records import App
from billhook.engine.stored import read_app
from billhook.engine.tables import new_link, read_payments_of
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _issue = schema.app, schema.validation_issue
_EVENT = ("document_id", "version", "at", "hops", "changes")
ROLES = ("tax", "invoicing", "payment")


class Moment(NamedTuple):
    """A point in an invoice's life: after which hop of which version, and what its app knew it as (JSON text)."""

    namespace: str
    document_id: str
    version: int
    hop: int
    link: str | None


class Around(NamedTuple):
    """What stood around an invoice."""

    issues: Sequence[ReportedIssue] = ()
    payments: Sequence[PaymentView] = ()


NOTHING = Around()


@dataclass(frozen=True, slots=True)
class _Event:
    at: int
    hops: str | None
    changes: str


def snapshots(context: Context, tx: Transaction, moments: Iterable[Moment]) -> dict[Moment, InvoiceSnapshot]:
    """The invoices at these moments."""
    wanted = list(dict.fromkeys(moments))
    histories = _histories(tx, {moment.document_id for moment in wanted})
    rows = {moment: _row_at(moment, histories[moment.document_id]) for moment in wanted}
    contents = context.documents.contents(tx, [(row.id, row.revision) for row in rows.values()])
    issues = _issues(tx, {moment.document_id for moment in wanted})
    payments = _payments(tx, {moment.document_id for moment in wanted})
    apps = apps_of(tx, {row.values[f"{role}_app_id"] for row in rows.values() for role in ROLES})
    found = {}
    for moment, row in rows.items():
        at = histories[moment.document_id][moment.version - 1].at
        link = new_link(row.id, row.values["invoicing_app_id"]) | json.loads(moment.link or "{}")
        view = invoice_view(row.values, contents[row.id, row.revision], known_by(link))
        around = Around(
            [read_issue(issue) for issue in issues[row.id] if _is_open(issue, at)],
            [payment_view(payment) for payment in payments[row.id] if payment["created_at"] <= at],
        )
        details = details_at(row, view, at, around)
        found[moment] = InvoiceSnapshot(details, {id: apps[id] for id in set(details.apps.values())})
    return found


def details_at(row: InvoiceRow, view: InvoiceView, at: int, around: Around = NOTHING) -> InvoiceDetails:
    """What a reader of that moment would have got, but for what was waited for."""
    return InvoiceDetails(
        invoice=view,
        available_actions=available_actions(row.facts, from_micros(at)),
        immutable=not is_mutable(row.state),
        failed=is_failed(row.state),
        profile_id=row.values["profile_id"],
        issues=tuple(around.issues),
        payments=tuple(around.payments),
        quantity_snapshotted_at=maybe_from_micros(row.values["quantity_snapshotted_at"]),
        apps={role: row.values[f"{role}_app_id"] for role in ROLES},
    )


def apps_of(tx: Transaction, ids: Iterable[str]) -> Mapping[str, App]:
    """These apps as they are now, uninstalled ones too."""
    rows = tx.all(sa.select(_app).where(_app.c.id.in_(sorted(ids))))
    return {row.id: read_app(row) for row in rows}


def _histories(tx: Transaction, document_ids: Iterable[str]) -> Mapping[str, Sequence[_Event]]:
    """Every event of these invoices; that of version n at place n - 1."""
    histories: dict[str, list[_Event]] = defaultdict(list)
    for document_id, _, at, hops, changes in sorted(
        tx.select_in(schema.event, _EVENT, "document_id", sorted(document_ids)), key=lambda event: event[:2]
    ):
        histories[document_id].append(_Event(at, hops, changes))
    return histories


def _row_at(moment: Moment, history: Sequence[_Event]) -> InvoiceRow:
    event = history[moment.version - 1]
    row = InvoiceRow(_values(moment, history[: moment.version]))
    before = InvoiceRow(_values(moment, history[: moment.version - 1] or history[:1])).facts
    if moment.version == 1:
        before = before.replace(state=State.DRAFT_CREATED)
    hops = [(Trigger(trigger), State(state)) for trigger, state in json.loads(event.hops or "[]")]
    times = ("draft_until", "due_at", "issued_at", "overdue_at")
    began = row.facts.replace(
        state=before.state, revision=before.revision, **{name: getattr(before, name) for name in times}
    )
    row.take(list(retrace(began, hops[: moment.hop + 1], from_micros(event.at)))[-1])
    return row


def _values(moment: Moment, history: Sequence[_Event]) -> dict[str, Any]:
    return {
        **dict.fromkeys(COLUMNS),
        **fold([event.changes for event in history]),
        "id": moment.document_id,
        "namespace": moment.namespace,
        "version": len(history),
    }


def _issues(tx: Transaction, document_ids: Iterable[str]) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in tx.all(sa.select(_issue).where(_issue.c.document_id.in_(sorted(document_ids))).order_by(_issue.c.id)):
        found[row.document_id].append(row)
    return found


def _payments(tx: Transaction, document_ids: Iterable[str]) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in sorted(read_payments_of(tx, sorted(document_ids)), key=lambda payment: str(payment["id"])):
        found[row["invoice_id"]].append(row)
    return found


def _is_open(issue: Any, at: int) -> bool:
    return bool(issue.created_at <= at and (issue.superseded_at is None or issue.superseded_at > at))
