"""The same change of the workflow for all invoices that stand still for one cause, such as a rounding that was set wrongly."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import sqlalchemy as sa

from billhook.domain.calculation import InvoiceEdit
from billhook.domain.parsing import parse
from billhook.domain.workflow import WorkflowConfig, amended
from billhook.engine.commands import Commands
from billhook.engine.context import Context
from billhook.engine.failed import stands_still
from billhook.engine.invoice_filter import InvoiceFilter, invoices_where
from billhook.engine.one_by_one import Asked, OneByOne, documents_where
from billhook.engine.settle import Settler
from billhook.engine.unit import Unit
from billhook.errors import NotAllowed
from billhook.store import schema

_invoice = schema.invoice


class WorkflowEditor:
    """Changes the workflow of invoices of one namespace, each by itself: one that takes no edit stops no other."""

    def __init__(self, context: Context, namespace: str, settler: Settler, changes: WorkflowConfig) -> None:
        self._context = context
        self._namespace = namespace
        self._commands = Commands(settler)
        self._changes = changes

    def edit_all_with(self, issue_code: str) -> tuple[Asked, ...]:
        """Change all that stand still by now with an open issue of that code, the oldest first."""
        with self._context.database.read() as tx:
            found = documents_where(tx, _invoice, self._stuck_with(issue_code))
        stuck = [Asked("invoice", row.id, row.client_key, row.state) for row in found]
        return OneByOne(self._context, partial(self._edit, issue_code)).ask(stuck)

    def _stuck_with(self, issue_code: str) -> sa.ColumnElement[bool]:
        wanted = invoices_where(self._namespace, InvoiceFilter(issue_codes=(issue_code,)))
        return sa.and_(wanted, stands_still())

    def _edit(self, issue_code: str, unit: Unit, stuck: Asked) -> Asked:
        row = unit.invoice(stuck.id, self._namespace)
        if not documents_where(unit.tx, _invoice, sa.and_(_invoice.c.id == row.id, self._stuck_with(issue_code))):
            raise NotAllowed(
                f"Invoice {row.id} does not stand still with {issue_code} any more, and stays as it is.", "issue_ended"
            )
        before = unit.revisions.content(row.id, row.revision).workflow
        edit = parse(InvoiceEdit, {"workflow": amended(before, self._changes)})
        applied = self._commands.give(unit, row, "update", edit.model_dump(mode="json", exclude_unset=True))
        return replace(stuck, status=row.state.value, waits=not applied)
