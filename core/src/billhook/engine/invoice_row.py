"""The invoice row in memory: stored values, the lifecycle's facts drawn from them, and what changed since the last event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from billhook.domain.facts import InvoiceFacts
from billhook.domain.invoice import InvoiceContent, InvoiceView
from billhook.domain.period import Duration, parse_duration
from billhook.domain.states import State
from billhook.domain.workflow import CollectionMethod
from billhook.engine.moments import from_micros, maybe_from_micros, maybe_micros
from billhook.store import schema
from billhook.store.statements import column_names

COLUMNS: tuple[str, ...] = column_names(schema.invoice)
IDENTITY = frozenset({"id", "namespace", "version"})
FIXED = frozenset({"id", "namespace", "client_key", "draft_hash", "created_at", "version"})
MUTABLE: tuple[str, ...] = ("version", *(name for name in COLUMNS if name not in FIXED))

_STATED_TIMES = ("stated_issued_at", "stated_due_at")
_FACT_TIMES = ("collection_at", "draft_until", "due_at", "issued_at", "overdue_at")
FACT_COLUMNS = (
    "state",
    "revision",
    "created_at",
    "validated_revision",
    "synced_revision",
    "issued_revision",
    "sent_revision",
    "delete_confirmed",
    "void_confirmed",
    "write_off_confirmed",
    "auto_advance",
    "collection_method",
    "asks_tax",
    "taxed_revision",
    "asks_send",
    "overdue_after_due",
    "mirrored",
    "has_lines",
    "critical_issues",
    "draft_period",
    "due_after",
    *_STATED_TIMES,
    *_FACT_TIMES,
)
"""What the lifecycle asks for of a row, amounts apart."""

_duration = lru_cache(maxsize=256)(parse_duration)
_NOTHING = Decimal(0)
_PAID = State.PAID.value
_decimal = lru_cache(maxsize=4096)(Decimal)
_STATES = {state.value: state for state in State}


class InvoiceRow:
    """One invoice row. ``values`` is what it is now, ``recorded`` what the last event left: that dictionary is never changed."""

    __slots__ = ("id", "is_new", "loaded_version", "recorded", "values")

    def __init__(self, values: dict[str, Any], *, is_new: bool = False) -> None:
        self.values = values if is_new else dict(values)
        self.recorded: dict[str, Any] = {} if is_new else values
        self.id: str = values["id"]
        self.loaded_version: int = values["version"]
        self.is_new = is_new

    @property
    def namespace(self) -> str:
        return self.values["namespace"]  # type: ignore[no-any-return]

    @property
    def state(self) -> State:
        return _STATES[self.values["state"]]

    @property
    def is_deleted(self) -> bool:
        """It was deleted, or is about to be."""
        return self.values["deleted_at"] is not None

    @property
    def revision(self) -> int:
        return self.values["revision"]  # type: ignore[no-any-return]

    @property
    def total(self) -> Decimal:
        return _decimal(self.values["total"])

    @property
    def amount_due(self) -> Decimal:
        """What is still open: the total less what was kept and credited; never below zero, and nothing once it is paid."""
        return _amount_due(self.values)

    @property
    def is_fully_paid(self) -> bool:
        """Nothing is left to pay."""
        return self.amount_due <= 0

    @property
    def is_charged(self) -> bool:
        """It is collected without asking the customer."""
        return bool(self.values["collection_method"] == CollectionMethod.CHARGE_AUTOMATICALLY.value)

    @property
    def holds_money(self) -> bool:
        """Not everything that was received was given back."""
        return self.values["amount_paid"] != self.values["amount_refunded"] and self.amount_kept != 0

    @property
    def amount_kept(self) -> Decimal:
        """What was received less what was given back."""
        return _decimal(self.values["amount_paid"]) - _decimal(self.values["amount_refunded"])

    @property
    def facts(self) -> InvoiceFacts:
        """What the lifecycle decides from."""
        return facts_of(self.values, self.amount_due, self.amount_kept)

    def take(self, facts: InvoiceFacts) -> None:
        """Keep what a decision changed."""
        self.values.update(stored_facts(facts))

    def changes(self) -> dict[str, Any]:
        """What differs from the last event."""
        recorded = self.recorded
        if not recorded:
            return {name: value for name, value in self.values.items() if value is not None and name not in IDENTITY}
        return {
            name: value
            for name, value in self.values.items()
            if value is not recorded[name] and value != recorded[name] and name not in IDENTITY
        }

    def mark_recorded(self) -> None:
        """The present values stand in an event."""
        self.recorded = dict(self.values)

    def duration(self, name: str) -> Duration:
        """A stored ISO 8601 duration."""
        return _duration(self.values[name])


def facts_of(values: Mapping[str, Any], amount_due: Decimal, amount_kept: Decimal) -> InvoiceFacts:
    """What the lifecycle decides from, out of the columns in ``FACT_COLUMNS`` and the two amounts that they don't show."""
    return InvoiceFacts.of(
        state=_STATES[values["state"]],
        revision=values["revision"],
        created_at=from_micros(values["created_at"]),
        amount_due=amount_due,
        amount_paid=amount_kept,
        validated_revision=values["validated_revision"],
        synced_revision=values["synced_revision"],
        issued_revision=values["issued_revision"],
        sent_revision=values["sent_revision"],
        delete_confirmed=bool(values["delete_confirmed"]),
        void_confirmed=bool(values["void_confirmed"]),
        write_off_confirmed=bool(values["write_off_confirmed"]),
        auto_advance=bool(values["auto_advance"]),
        collection_method=values["collection_method"],
        tax_required=bool(values["asks_tax"]) and values["taxed_revision"] != values["revision"],
        send_required=bool(values["asks_send"]),
        overdue_after_due=bool(values["overdue_after_due"]),
        mirrored=bool(values["mirrored"]),
        has_lines=bool(values["has_lines"]),
        critical_issues=values["critical_issues"],
        draft_period=_duration(values["draft_period"]),
        due_after=_duration(values["due_after"]),
        stated_issued_at=maybe_from_micros(values["stated_issued_at"]),
        stated_due_at=maybe_from_micros(values["stated_due_at"]),
        collection_at=maybe_from_micros(values["collection_at"]),
        draft_until=maybe_from_micros(values["draft_until"]),
        due_at=maybe_from_micros(values["due_at"]),
        issued_at=maybe_from_micros(values["issued_at"]),
        overdue_at=maybe_from_micros(values["overdue_at"]),
    )


def stored_facts(facts: InvoiceFacts) -> dict[str, Any]:
    """The columns that a decision may change, as stored."""
    times = {name: maybe_micros(getattr(facts, name)) for name in _FACT_TIMES}
    return {
        "state": facts.state.value,
        "revision": facts.revision,
        "validated_revision": facts.validated_revision,
        "critical_issues": facts.critical_issues,
        "write_off_confirmed": int(facts.write_off_confirmed),
        **times,
    }


def fold(changes: list[str]) -> dict[str, Any]:
    """The row that a document's events, in order, lead to; columns that never had a value are absent."""
    row: dict[str, Any] = {}
    for text in changes:
        row.update(json.loads(text))
    return row


def invoice_view(values: dict[str, Any], content: InvoiceContent, link: dict[str, Any] | None = None) -> InvoiceView:
    """What plugins and hosts read: the row's facts and one revision's content; with the ids that one app gave it.

    Columns without a value may be absent.
    """
    known, get = link or {}, values.get
    return InvoiceView(
        id=values["id"],
        namespace=values["namespace"],
        status=values["state"],
        revision=values["revision"],
        version=values["version"],
        customer_id=values["customer_id"],
        content=content,
        created_at=from_micros(values["created_at"]),
        updated_at=from_micros(values["updated_at"]),
        key=get("client_key"),
        number=get("number"),
        issued_at=maybe_from_micros(get("issued_at")),
        due_at=maybe_from_micros(get("due_at")),
        draft_until=maybe_from_micros(get("draft_until")),
        collection_at=maybe_from_micros(get("collection_at")),
        sent_to_customer_at=maybe_from_micros(get("sent_at")),
        voided_at=maybe_from_micros(get("voided_at")),
        deleted_at=maybe_from_micros(get("deleted_at")),
        external_ids=known.get("external_ids", {}),
        line_external_ids=known.get("line_ids", {}),
        discount_external_ids=known.get("discount_ids", {}),
        amount_paid=_decimal(values["amount_paid"]),
        amount_credited=_decimal(values["amount_credited"]),
        amount_refunded=_decimal(values["amount_refunded"]),
        amount_due=_amount_due(values),
    )


def _amount_due(values: dict[str, Any]) -> Decimal:
    kept = _decimal(values["amount_paid"])
    if values["state"] != _PAID:  # what is given back of a paid invoice is not asked for again
        kept = max(kept - _decimal(values["amount_refunded"]), _NOTHING)
    return max(_decimal(values["total"]) - kept - _decimal(values["amount_credited"]), _NOTHING)
