"""Trying again everything that failed: whatever a worker counts as failed, and a retry is the way out of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from billhook.domain.payment import CreditNoteStatus
from billhook.engine.commands import Commands
from billhook.engine.context import Context
from billhook.engine.credit_note_commands import CreditNotes
from billhook.engine.failed import is_to_be_retried
from billhook.engine.settle import Settler
from billhook.engine.telling import told
from billhook.engine.unit import Unit
from billhook.errors import BillhookError, StaleWrite, StoreError
from billhook.store import schema
from billhook.store.transaction import Transaction

TOGETHER = 256
"""How many retries are given to the writer at once, which commits what waits for it together."""
_invoice, _note = schema.invoice, schema.credit_note


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one document that had failed. ``status`` is where it stands now.

    ``waits`` says that an operation is under way, and that it is tried again when that ends. ``code`` and ``reason`` say why it could not
    be tried again and was left as it was.
    """

    kind: Literal["invoice", "credit_note"]
    id: str
    key: str | None
    status: str
    waits: bool = False
    code: str | None = None
    reason: str | None = None

    @property
    def is_left(self) -> bool:
        """It could not be tried again."""
        return self.code is not None


Retry = Callable[[Unit, Retried], Retried]


class Retrier:
    """Tries documents of one namespace again, each by itself: one that can't be tried again stops no other."""

    def __init__(self, context: Context, namespace: str, settler: Settler, credit_notes: CreditNotes) -> None:
        self._context = context
        self._namespace = namespace
        self._commands = Commands(settler)
        self._credit_notes = credit_notes
        self._retries: dict[str, Retry] = {"invoice": self._retry_invoice, "credit_note": self._retry_credit_note}

    def retry_failed(self) -> tuple[Retried, ...]:
        """Try again all that failed by now: invoices, then credit notes, the oldest first. What fails anew is not tried twice."""
        failed = self._failed()
        parts = (failed[start : start + TOGETHER] for start in range(0, len(failed), TOGETHER))
        return tuple(retried for part in parts for retried in self._retried(part))

    def _failed(self) -> list[Retried]:
        with self._context.database.read() as tx:
            invoices = _documents(tx, _invoice, self._namespace, is_to_be_retried())
            notes = _documents(tx, _note, self._namespace, _note.c.state == CreditNoteStatus.FAILED.value)
        return [
            *(Retried("invoice", row.id, row.client_key, row.state) for row in invoices),
            *(Retried("credit_note", row.id, row.client_key, row.state) for row in notes),
        ]

    def _retried(self, failed: Sequence[Retried]) -> Iterator[Retried]:
        submit = self._context.database.submit
        under_way = [submit(partial(self._try_alone, failed=one)) for one in failed]
        for one, retried in zip(failed, under_way, strict=True):
            try:
                yield retried.result()
            except (StaleWrite, IntegrityError):
                yield self._afresh(one)

    def _afresh(self, failed: Retried) -> Retried:
        """Somebody else changed it at the same moment: look again."""
        try:
            return self._context.database.write(partial(self._try_alone, failed=failed))
        except (StaleWrite, IntegrityError) as busy:
            return _left(failed, StaleWrite.code, told(busy))

    def _try_alone(self, tx: Transaction, failed: Retried) -> Retried:
        """Try one again, or say why not; then nothing of it stays."""
        try:
            with tx.part():
                unit = Unit(self._context, tx)
                retried = self._retries[failed.kind](unit, failed)
                unit.flush()
        except (StoreError, DBAPIError):
            raise
        except BillhookError as refusal:
            return _left(failed, refusal.code, str(refusal))
        except Exception as error:  # noqa: BLE001 - told of this one, such as what a plugin raised; the others go on
            return _left(
                failed,
                "internal",
                f"Nobody foresaw this: {told(error)}. Retry it by itself to see where it comes from.",
            )
        return retried

    def _retry_invoice(self, unit: Unit, failed: Retried) -> Retried:
        row = unit.invoice(failed.id, self._namespace)
        self._commands.give(unit, row, "retry", {})
        return replace(failed, status=row.state.value, waits=self._commands.waits(unit, row, "retry"))

    def _retry_credit_note(self, unit: Unit, failed: Retried) -> Retried:
        return replace(failed, status=self._credit_notes.retry_in(unit, failed.id)["state"])


def _documents(tx: Transaction, table: sa.Table, namespace: str, failed: sa.ColumnElement[bool]) -> list[Any]:
    wanted = sa.select(table.c.id, table.c.client_key, table.c.state).where(table.c.namespace == namespace, failed)
    return tx.all(wanted.order_by(table.c.id))


def _left(failed: Retried, code: str, reason: str) -> Retried:
    return replace(failed, code=code, reason=reason)
