"""Metered quantities, asked for outside any transaction when an invoice is collected, and frozen into it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal

from billhook.domain.calculation import InvoiceEdit, as_draft, recalculate
from billhook.domain.invoice import content_json
from billhook.domain.lifecycle import State
from billhook.domain.money import plain
from billhook.domain.usage import UsageQuestion, UsageSource
from billhook.engine.collection import usage_questions
from billhook.engine.context import Context
from billhook.engine.freeze import Freezer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.telling import told
from billhook.engine.unit import Unit

Quantities = Mapping[str, Decimal]


class UsageSnapshots:
    """Asks the host's usage source about invoices that are about to be collected."""

    def __init__(self, context: Context, usage: UsageSource | None) -> None:
        self._context = context
        self._usage = usage

    def ask(self, invoice_ids: Sequence[str]) -> tuple[dict[str, Quantities], set[str]]:
        """The quantities by invoice and line, and the invoices about which the source could not answer."""
        if self._usage is None or not invoice_ids:
            return {}, set()
        answers: dict[str, Quantities] = {}
        failed: set[str] = set()
        for invoice_id, questions in self._questions(invoice_ids).items():
            try:
                answers[invoice_id] = self._usage.quantities(questions)
            except Exception as error:  # noqa: BLE001 - the host's code; the invoice waits, and is asked about again
                failed.add(invoice_id)
                fields = {"invoice": invoice_id, "reason": told(error)}
                self._context.telemetry.log(logging.ERROR, "The usage source did not answer for an invoice.", fields)
        return answers, failed

    def _questions(self, invoice_ids: Sequence[str]) -> dict[str, list[UsageQuestion]]:
        with self._context.database.read() as tx:
            rows = Freezer(self._context, tx, "").invoice_rows(invoice_ids)
            waiting = {id: row for id, row in rows.items() if row["state"] == State.DRAFT_WAITING_FOR_COLLECTION}
            contents = self._context.documents.contents(tx, [(id, row["revision"]) for id, row in waiting.items()])
        found = {
            id: usage_questions(waiting[id]["customer_id"], (as_draft(line) for line in content.lines if line.metered))
            for (id, _), content in contents.items()
        }
        return {id: questions for id, questions in found.items() if questions}


def snapshot(unit: Unit, row: InvoiceRow, quantities: Quantities) -> None:
    """Freeze these quantities into the invoice, as a revision of its own where they change anything."""
    before = unit.revisions.content(row.id, row.revision)
    content = recalculate(before, InvoiceEdit(), quantities=quantities)
    row.values["quantity_snapshotted_at"] = unit.now_micros
    if content == before:
        return
    row.values["revision"] = row.revision + 1
    row.values["total"] = plain(content.totals.total)
    unit.revisions.add(row.id, row.revision, content, content_json(content))
