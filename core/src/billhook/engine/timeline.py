"""One timeline per invoice: its events, the requests that were sent for it, its money, and answers that came too late.

The events alone rebuild the invoice's row; everything else explains them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from billhook.domain.payment import RefundOrigin
from billhook.engine.context import Context
from billhook.engine.invoice_row import fold
from billhook.engine.moments import from_micros
from billhook.engine.phrases import phrase_of
from billhook.engine.queries import require_invoice
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = Mapping[str, Any]
Kind = Literal["transition", "note", "request", "late_reply", "payment", "refund", "credit"]

_event, _work, _payment, _refund = schema.event, schema.work, schema.payment, schema.refund

_ATTEMPT = (
    "id",
    "operation_id",
    "ordinal",
    "step",
    "status",
    "key",
    "digest",
    "request",
    "sends",
    "unknown",
    "first_sent_at",
    "verdict",
    "reply_status",
    "reply_source",
    "packed",
)
_LAST = 1 << 62


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened. ``summary`` is a sentence for a person; ``details`` are for whoever looks closer."""

    at: datetime
    kind: Kind
    summary: str
    details: Mapping[str, str] = field(default_factory=dict)
    operation_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Placed:
    """An entry and where it belongs among those of the same moment: by version, a request before the event that it led to.

    ``not_before``: an event comes after those before it, whatever the clock said by then.
    """

    entry: TimelineEntry
    version: int = _LAST
    rank: int = 0
    not_before: datetime | None = None

    @property
    def moment(self) -> datetime:
        """When it comes."""
        return self.entry.at if self.not_before is None else max(self.entry.at, self.not_before)


def timeline(context: Context, tx: Transaction, namespace: str, invoice_id: str) -> tuple[TimelineEntry, ...]:
    """Everything that happened to an invoice, the oldest first. Raises NotFound."""
    require_invoice(tx, namespace, invoice_id)
    events = _events(tx, invoice_id)
    versions = _versions_of_operations(events)
    operations = _operations(tx, invoice_id, versions)
    attempts = _attempts(tx, list(operations))
    placed = [
        *_of_events(events),
        *(_of_attempt(attempt, operations[attempt["operation_id"]], versions) for attempt in attempts),
        *_of_late_replies(tx, attempts),
        *_of_payments(tx, invoice_id),
        *_of_refunds(tx, invoice_id),
        *_of_credits(tx, invoice_id),
    ]
    placed.sort(key=lambda one: (one.moment, one.version, one.rank))
    return tuple(one.entry for one in placed)


def rebuilt_state(context: Context, tx: Transaction, namespace: str, invoice_id: str) -> dict[str, Any]:
    """The invoice's row as its events alone lead to it, to be compared with the stored one.

    Columns that never had a value are absent, and so are id, namespace and version. Raises NotFound.
    """
    require_invoice(tx, namespace, invoice_id)
    return fold([event["changes"] for event in _events(tx, invoice_id)])


# What is read.


def _events(tx: Transaction, invoice_id: str) -> list[Row]:
    return _mappings(tx, sa.select(_event).where(_event.c.document_id == invoice_id).order_by(_event.c.version))


def _versions_of_operations(events: Iterable[Row]) -> dict[str, int]:
    """The first event that each operation led to."""
    found: dict[str, int] = {}
    for event in events:
        if event["operation_id"] is not None:
            found.setdefault(event["operation_id"], event["version"])
    return found


def _operations(tx: Transaction, invoice_id: str, versions: Iterable[str]) -> dict[str, Row]:
    holding = sa.select(_work.c.operation_id).where(_work.c.subject_id == invoice_id, _work.c.operation_id.is_not(None))
    ids = [*versions, *(row.operation_id for row in tx.all(holding))]
    columns = ("id", "app_id", "name", "created_at")
    return {row[0]: dict(zip(columns, row, strict=True)) for row in tx.select_in(schema.operation, columns, "id", ids)}


def _attempts(tx: Transaction, operation_ids: list[str]) -> list[Row]:
    rows = tx.select_in(schema.attempt, _ATTEMPT, "operation_id", operation_ids)
    found = [dict(zip(_ATTEMPT, row, strict=True)) for row in rows]
    return sorted(found, key=lambda attempt: (attempt["operation_id"], attempt["ordinal"]))


def _mappings(tx: Transaction, select: sa.Select[Any]) -> list[Row]:
    return [dict(row._mapping) for row in tx.all(select)]


# What is told.


def _of_events(events: Iterable[Row]) -> Iterator[_Placed]:
    latest = None
    for event in events:
        placed = _of_event(event, latest)
        latest = placed.moment
        yield placed


def _of_event(event: Row, not_before: datetime | None) -> _Placed:
    hops = json.loads(event["hops"]) if event["hops"] else []
    rests = f"; now {hops[-1][1]}" if hops else ""
    said = f" {event['note']}" if event["note"] else ""
    details = _stated(
        cause=event["cause"],
        path=", ".join(f"{trigger} -> {state}" for trigger, state in hops),
        changed=", ".join(sorted(json.loads(event["changes"]).keys() - {"updated_at"})),
        note=event["note"],
        version=event["version"],
    )
    kind: Kind = "transition" if hops else "note"
    entry = TimelineEntry(
        from_micros(event["at"]), kind, f"{phrase_of(event['cause'])}{rests}.{said}", details, event["operation_id"]
    )
    return _Placed(entry, event["version"], 1, not_before)


def _of_attempt(attempt: Row, operation: Row, versions: Mapping[str, int]) -> _Placed:
    request = _request(attempt)
    details = _stated(
        operation=operation["name"],
        step=attempt["step"],
        app_id=operation["app_id"],
        method=request.get("method"),
        url=request.get("url"),
        call=(request.get("function") or {}).get("name"),
        key=attempt["key"],
        digest=attempt["digest"],
        sends=attempt["sends"],
        verdict=attempt["verdict"],
        reply_status=attempt["reply_status"],
        reply_source=attempt["reply_source"],
    )
    at = from_micros(attempt["first_sent_at"] or operation["created_at"])
    summary = f"{operation['name']}, step {attempt['step']}: {_sent(attempt['sends'])}, {_standing(attempt)}."
    entry = TimelineEntry(at, "request", summary, details, operation["id"])
    return _Placed(entry, versions.get(operation["id"], _LAST), 0)


def _request(attempt: Row) -> Mapping[str, Any]:
    # A pruned attempt has nothing left of its request but the digest.
    if not attempt["request"]:
        return {}
    stored = zlib.decompress(attempt["request"]) if attempt["packed"] else attempt["request"]
    request: Mapping[str, Any] = json.loads(stored)
    return request


def _sent(sends: int) -> str:
    return {0: "not sent", 1: "sent once"}.get(sends, f"sent {sends} times")


def _standing(attempt: Row) -> str:
    if attempt["reply_status"] is not None:
        how = {"found": "found by a look-up", "repeated": "answered when repeated"}.get(
            attempt["reply_source"], "answered"
        )
        return f"{how} with {attempt['reply_status']}"
    if attempt["unknown"]:
        return f"and it is not known whether it was done ({attempt['verdict']})"
    if attempt["status"] == "sending":
        return "no answer yet"
    return f"not done ({attempt['verdict']})"


def _of_late_replies(tx: Transaction, attempts: Iterable[Row]) -> Iterator[_Placed]:
    by_id = {attempt["id"]: attempt for attempt in attempts}
    columns = ("attempt_id", "received_at", "status")
    for attempt_id, received_at, status in tx.select_in(schema.late_reply, columns, "attempt_id", list(by_id)):
        attempt = by_id[attempt_id]
        summary = f"An answer to step {attempt['step']} came too late ({status}) and changed nothing."
        details = _stated(step=attempt["step"], reply_status=status)
        yield _Placed(TimelineEntry(from_micros(received_at), "late_reply", summary, details, attempt["operation_id"]))


def _why(payment: Mapping[str, Any]) -> str:
    told = [payment["code"], (payment["message"] or "").rstrip(".") or None]
    return f" ({': '.join(filter(None, told))})" if any(told) else ""


def _of_payments(tx: Transaction, invoice_id: str) -> Iterator[_Placed]:
    for row in _mappings(tx, sa.select(_payment).where(_payment.c.invoice_id == invoice_id)):
        collected = row["origin"] == "collected"
        what = "was opened" if collected else f"was noted ({row['origin']})"
        summary = f"A payment of {row['amount']} {row['currency']} {what}; it is {row['state']} now{_why(row)}."
        yield _Placed(TimelineEntry(from_micros(row["created_at"]), "payment", summary, _payment_details(row)))
        if collected and row["received_at"] is not None:
            received = f"{row['amount_received']} {row['currency']} came in."
            yield _Placed(TimelineEntry(from_micros(row["received_at"]), "payment", received, _payment_details(row)))


def _payment_details(row: Row) -> Mapping[str, str]:
    names = ("app_id", "amount", "amount_received", "currency", "origin", "method", "external_id", "code", "message")
    received_at = from_micros(row["received_at"]).isoformat() if row["received_at"] is not None else None
    return _stated(
        payment_id=row["id"], status=row["state"], received_at=received_at, **{name: row[name] for name in names}
    )


_REFUNDED: Mapping[RefundOrigin, str] = {
    RefundOrigin.REQUESTED: "was asked for",
    RefundOrigin.OUTSIDE: "was made at the provider",
    RefundOrigin.RECORDED: "was paid another way",
}


def _of_refunds(tx: Transaction, invoice_id: str) -> Iterator[_Placed]:
    for row in _mappings(tx, sa.select(_refund).where(_refund.c.invoice_id == invoice_id)):
        details = _stated(
            refund_id=row["id"],
            payment_id=row["payment_id"],
            status=row["state"],
            origin=row["origin"],
            external_id=row["external_id"],
            reason=row["reason"],
            message=row["message"],
        )
        came = _REFUNDED[RefundOrigin(row["origin"])]
        summary = f"A refund of {row['amount']} {row['currency']} {came}; it is {row['state']}."
        yield _Placed(TimelineEntry(from_micros(row["created_at"]), "refund", summary, details))


def _of_credits(tx: Transaction, invoice_id: str) -> Iterator[_Placed]:
    allocation, note = schema.allocation, schema.credit_note
    select = (
        sa.select(allocation.c.amount, allocation.c.created_at, note.c.id, note.c.number, note.c.currency)
        .join(note, note.c.id == allocation.c.credit_note_id)
        .where(allocation.c.invoice_id == invoice_id)
    )
    for row in tx.all(select):
        summary = f"Credit note {row.number} was put against it with {row.amount} {row.currency}."
        details = _stated(credit_note_id=row.id, number=row.number, amount=row.amount)
        yield _Placed(TimelineEntry(from_micros(row.created_at), "credit", summary, details))


def _stated(**values: object) -> Mapping[str, str]:
    return {name: str(value) for name, value in values.items() if value not in {None, ""}}
