"""How far the day's documents are: counted by state, without reading any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import sqlalchemy as sa

from billhook.domain.lifecycle import State, is_final
from billhook.domain.payment import CreditNoteStatus
from billhook.engine.moments import to_micros
from billhook.engine.namespace import Namespace
from billhook.engine.work import ADVANCE, CLAIMED, READY, Lane
from billhook.store import schema

ISSUED = frozenset({CreditNoteStatus.ISSUED.value})
_work = schema.work
_IS_DUE = sa.and_(_work.c.state == READY, _work.c.due <= sa.bindparam("now", type_=sa.BigInteger))
_OPEN_WORK = (
    sa.select(sa.func.count(), sa.func.count().filter(sa.or_(_work.c.state == CLAIMED, _IS_DUE)))
    .select_from(_work)
    .join(schema.app, schema.app.c.id == _work.c.app_id)
    .where(
        schema.app.c.namespace == sa.bindparam("namespace"),
        _work.c.operation != ADVANCE,
        _work.c.lane != Lane.UNASKED,
    )
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How many invoices and credit notes are in which state, and the money that was paid."""

    invoices: Mapping[str, int] = field(default_factory=dict)
    credit_notes: Mapping[str, int] = field(default_factory=dict)
    amount_paid: Decimal = Decimal(0)
    open_work: int = 0
    """What some app is still to be asked for, looks that nobody asked for left out."""
    work_now: int = 0
    """What of that is due now, or being done."""

    @property
    def paid(self) -> int:
        """How many invoices are paid."""
        return self.invoices.get(State.PAID.value, 0)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be done."""
        return (
            not self.open_work
            and all(is_final(State(state)) for state in self.invoices)
            and ISSUED.issuperset(self.credit_notes)
        )


def standing_of(billing: Namespace) -> Standing:
    """Count what the namespace holds now."""
    invoice, note = schema.invoice, schema.credit_note
    mine = sa.and_(invoice.c.namespace == billing.name, invoice.c.deleted_at.is_(None))
    with billing.engine.database.read() as tx:
        invoices = tx.all(sa.select(invoice.c.state, invoice.c.amount_paid).where(mine))
        notes = tx.all(sa.select(note.c.state).where(note.c.namespace == billing.name))
        now = to_micros(billing.engine.context.clock.now())
        open_work, work_now = tx.all(_OPEN_WORK, {"namespace": billing.name, "now": now})[0]
    paid = sum((Decimal(row.amount_paid) for row in invoices), Decimal(0))
    return Standing(
        _counted([row.state for row in invoices]), _counted([row.state for row in notes]), paid, open_work, work_now
    )


def _counted(states: list[str]) -> dict[str, int]:
    return {state: states.count(state) for state in sorted(set(states))}
