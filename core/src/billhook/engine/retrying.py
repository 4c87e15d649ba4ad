"""Trying again everything that failed: whatever a worker counts as failed, and a retry is the way out of."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from billhook.domain.payment import CreditNoteStatus
from billhook.engine.commands import Commands
from billhook.engine.context import Context
from billhook.engine.credit_note_commands import CreditNotes
from billhook.engine.failed import is_to_be_retried
from billhook.engine.one_by_one import Act, Asked, OneByOne, documents_where
from billhook.engine.settle import Settler
from billhook.engine.unit import Unit
from billhook.store import schema

_invoice, _note = schema.invoice, schema.credit_note


class Retrier:
    """Tries documents of one namespace again, each by itself: one that can't be tried again stops no other."""

    def __init__(self, context: Context, namespace: str, settler: Settler, credit_notes: CreditNotes) -> None:
        self._context = context
        self._namespace = namespace
        self._commands = Commands(settler)
        self._credit_notes = credit_notes
        self._retries: dict[str, Act] = {"invoice": self._retry_invoice, "credit_note": self._retry_credit_note}

    def retry_failed(self) -> tuple[Asked, ...]:
        """Try again all that failed by now: invoices, then credit notes, the oldest first. What fails anew is not tried twice."""
        return OneByOne(self._context, self._retry).ask(self._failed())

    def _failed(self) -> list[Asked]:
        failed = sa.and_(_note.c.namespace == self._namespace, _note.c.state == CreditNoteStatus.FAILED.value)
        with self._context.database.read() as tx:
            mine = _invoice.c.namespace == self._namespace
            invoices = documents_where(tx, _invoice, sa.and_(mine, is_to_be_retried()))
            notes = documents_where(tx, _note, failed)
        return [
            *(Asked("invoice", row.id, row.client_key, row.state) for row in invoices),
            *(Asked("credit_note", row.id, row.client_key, row.state) for row in notes),
        ]

    def _retry(self, unit: Unit, failed: Asked) -> Asked:
        return self._retries[failed.kind](unit, failed)

    def _retry_invoice(self, unit: Unit, failed: Asked) -> Asked:
        row = unit.invoice(failed.id, self._namespace)
        self._commands.give(unit, row, "retry", {})
        return replace(failed, status=row.state.value, waits=self._commands.waits(unit, row, "retry"))

    def _retry_credit_note(self, unit: Unit, failed: Asked) -> Asked:
        return replace(failed, status=self._credit_notes.retry_in(unit, failed.id)["state"])
