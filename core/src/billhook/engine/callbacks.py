"""What a system outside says of the invoices that it took over: synchronized, paid, or something is wrong with them.

Each gives a future that is resolved once it is committed, and that raises what it is refused with. They answer nothing: who wants to know
where the invoice rests reads it afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Done
from billhook.contract.results import DocumentResult
from billhook.domain.issue import ValidationIssue
from billhook.engine import confirmations, reported_issues
from billhook.engine.arguments import checked
from billhook.engine.callback_queue import Call, CallbackQueue, Change
from billhook.engine.commands import Commands, payment_arguments
from billhook.engine.conformity import misfit
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.settle import Settler
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction


@checked
class Callbacks:
    """Callbacks about the invoices of one namespace. Each is one transaction; every id of another namespace is not found."""

    def __init__(self, queue: CallbackQueue, namespace: str, settler: Settler) -> None:
        self._queue = queue
        self._namespace = namespace
        self._settler = settler
        self._commands = Commands(settler)

    def draft_synchronized(self, invoice_id: str, result: DocumentResult) -> Future[None]:
        """The outside has the draft. Repeating it with the same content is accepted, with other content refused."""
        return self._confirm(invoice_id, Capability.SYNC_DRAFT, result)

    def issuing_synchronized(self, invoice_id: str, result: DocumentResult) -> Future[None]:
        """The outside has issued the invoice. Repeating it with the same content is accepted, with other content refused."""
        return self._confirm(invoice_id, Capability.ISSUE, result)

    def payment_status(self, invoice_id: str, trigger: str) -> Future[None]:
        """What the outside says of the payment. Saying again what already is changes nothing.

        Raises NotAllowed where the invoice's payment app collects itself, or where its state does not allow it.
        """
        arguments = payment_arguments(trigger)

        def change(unit: Unit, row: InvoiceRow) -> None:
            _refuse_collecting_app(unit, row)
            self._commands.give(unit, row, "payment_status", arguments)

        return self._submit(invoice_id, change)

    def report_issues(
        self, invoice_id: str, issues: Sequence[ValidationIssue | Mapping[str, Any]], *, component: str | None = None
    ) -> Future[None]:
        """Replace what that component found wrong with an invoice that waits to be synchronized.

        A critical issue fails the synchronization; a retry comes back to it. Without a component the issues belong to the
        synchronization itself, and a confirmation ends them. Reporting the same again changes nothing.
        """
        found = reported_issues.parsed(issues)
        reported_issues.check_component(component)
        return self._submit(
            invoice_id, lambda unit, row: reported_issues.report(unit, self._settler.advancer, row, found, component)
        )

    def _confirm(self, invoice_id: str, capability: Capability, result: DocumentResult) -> Future[None]:
        problem = misfit(result, DocumentResult, "result")
        if problem is not None:
            raise InvalidInput("confirmation_invalid", f"{problem}. Nothing was stored.", "/result")
        outcome = Done(result)
        return self._submit(
            invoice_id, lambda unit, row: confirmations.confirm(unit, self._settler, row, capability, outcome)
        )

    def _submit(self, invoice_id: str, change: Change) -> Future[None]:
        call = Call(invoice_id, lambda unit: self._invoice(unit, invoice_id), change)
        return self._queue.submit(call)

    def _invoice(self, unit: Unit, invoice_id: str) -> InvoiceRow:
        try:
            return unit.invoice(invoice_id, self._namespace)
        except NotFound:
            self._refuse_gathering(unit.tx, invoice_id)
            raise

    def _refuse_gathering(self, tx: Transaction, invoice_id: str) -> None:
        pool = schema.gathering
        here = sa.select(pool.c.id).where(pool.c.id == invoice_id, pool.c.namespace == self._namespace)
        if tx.scalar(here) is not None:
            raise NotAllowed(
                f"{invoice_id} is a gathering invoice, which is not synchronized. Wait for the invoice made of it.",
                "confirmation_not_awaited",
            )


def _refuse_collecting_app(unit: Unit, row: InvoiceRow) -> None:
    app = unit.app(row.values["payment_app_id"])
    if app.handle.declaration.can(Capability.COLLECT_PAYMENT):
        raise NotAllowed(
            f"The payment of invoice {row.id} is collected by app {app.name}, which says itself how it stands. "
            f"Money that came another way is told with billhook invoices pay {row.id} AMOUNT",
            "payment_status_not_awaited",
        )
