"""From pending lines to invoices: now on demand, or when they are due."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from billhook.domain.invoice import MAX_LINES, InvoiceDraft, whole_period
from billhook.domain.parsing import argument
from billhook.domain.period import utc
from billhook.domain.usage import UsageSource
from billhook.engine.arguments import checked
from billhook.engine.collection import cut_off, is_metered, usage_questions
from billhook.engine.context import Context
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.pending_lines import customers_with_due_lines, read_lines, take_away
from billhook.engine.records import PendingLine
from billhook.engine.resolving import resolve
from billhook.engine.unit import Unit
from billhook.errors import BillhookError, InvalidInput, NotFound, StoreError


class Submit(Protocol):
    """Makes an invoice of a draft in the unit's transaction. ``quantities`` answer for metered lines, by line id."""

    def __call__(self, unit: Unit, draft: InvoiceDraft, *, quantities: Mapping[str, Decimal]) -> InvoiceRow: ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection came to: the invoices it made, and why some customers' lines stay pending, by customer id."""

    invoice_ids: tuple[str, ...]
    refused: Mapping[str, BillhookError]


@checked
class GatheringCommands:
    """Turns the pending lines of one namespace into invoices, in one transaction with leaving the pool."""

    def __init__(self, context: Context, namespace: str, submit: Submit, usage: UsageSource | None = None) -> None:
        self._context = context
        self._namespace = namespace
        self._submit = submit
        self._usage = usage

    def invoice_now(
        self, customer_id: str, *, as_of: datetime | None = None, line_ids: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Make invoices of the customer's lines that are due, one for each currency, and give their ids.

        ``as_of`` looks at an earlier time than now. How the customer's collection is aligned does not matter here.
        Raises InvalidInput with code ``invoice_create_no_lines`` when nothing is due, ``invoice_lines_not_billable``
        when a named line is not.
        """
        now = self._context.clock.now()
        as_of = None if as_of is None else argument("as_of", utc, as_of)
        if as_of is not None and as_of > now:
            raise InvalidInput("as_of_in_future", f"Lines can't be invoiced as of {as_of}: that is to come.", "/as_of")
        with self._context.database.read() as tx:
            resolve(tx, self._namespace, customer_id=customer_id)
            pending = read_lines(tx, self._namespace, customer_id)
        due = [line for line in pending if line.invoice_at <= (as_of or now)]
        chosen = due if line_ids is None else self._named(line_ids, pending, due)
        if not chosen:
            raise InvalidInput(
                "invoice_create_no_lines", f"Customer {customer_id} has no line that is due. Nothing was made."
            )
        return self._invoice(customer_id, chosen)

    def collect_due(self) -> Collected:
        """Make invoices of every line that is due, as each customer's collection is aligned.

        A customer whose lines can't be invoiced hinders nobody else. What the usage source raises ends the collection;
        what was invoiced until then stays, and the next one goes on.
        """
        now = self._context.clock.now()
        with self._context.database.read() as tx:
            customer_ids = customers_with_due_lines(tx, self._namespace, now)
        invoice_ids: list[str] = []
        refused: dict[str, BillhookError] = {}
        for customer_id in customer_ids:
            try:
                invoice_ids += self._collect(customer_id, now)
            except StoreError:
                raise
            except BillhookError as error:
                fields = {"customer": customer_id, "reason": str(error)}
                self._context.telemetry.log(logging.WARNING, "The pending lines of a customer stay pending.", fields)
                refused[customer_id] = error
        return Collected(tuple(invoice_ids), refused)

    def _collect(self, customer_id: str, now: datetime) -> tuple[str, ...]:
        with self._context.database.read() as tx:
            collected_until = cut_off(resolve(tx, self._namespace, customer_id=customer_id).workflow, now)
            pending = read_lines(tx, self._namespace, customer_id)
        due = [line for line in pending if line.invoice_at <= collected_until]
        return self._invoice(customer_id, due) if due else ()

    def _named(
        self, line_ids: Sequence[str], pending: Sequence[PendingLine], due: Sequence[PendingLine]
    ) -> list[PendingLine]:
        wanted = set(line_ids)
        for line_id in wanted.difference(line.id for line in pending):
            raise NotFound("pending line of that customer", line_id, self._namespace)
        for line_id in sorted(wanted.difference(line.id for line in due)):
            raise InvalidInput(
                "invoice_lines_not_billable", f"The line {line_id} is not due yet. Leave it out, or wait.", "/line_ids"
            )
        return [line for line in due if line.id in wanted]

    def _invoice(self, customer_id: str, lines: Sequence[PendingLine]) -> tuple[str, ...]:
        questions = usage_questions(customer_id, (line.line for line in lines))
        quantities = self._usage.quantities(questions) if questions and self._usage else {}
        _refuse_unknown(lines, quantities)
        return self._context.database.write(lambda tx: self._move(Unit(self._context, tx), lines, quantities))

    def _move(self, unit: Unit, lines: Sequence[PendingLine], quantities: Mapping[str, Decimal]) -> tuple[str, ...]:
        take_away(unit.tx, lines)
        rows = [self._submit(unit, draft, quantities=quantities) for draft in _drafts(lines)]
        unit.flush()
        return tuple(row.id for row in rows)


def _refuse_unknown(lines: Iterable[PendingLine], quantities: Mapping[str, Decimal]) -> None:
    unknown = [line for line in lines if is_metered(line.line) and line.id not in quantities]
    if unknown:
        first = unknown[0]
        raise InvalidInput(
            "quantity_missing",
            f"Nobody knows the usage of the line {first.line.name!r} ({first.id}), so nothing was invoiced. Invoice the other lines by "
            f"naming them, or delete the gathering invoice {first.gathering_id} and add its lines again with quantities.",
        )


def _drafts(lines: Sequence[PendingLine]) -> Iterator[InvoiceDraft]:
    for currency in sorted({line.currency for line in lines}):
        drafts = [line.line for line in lines if line.currency == currency]
        for start in range(0, len(drafts), MAX_LINES):
            part = tuple(drafts[start : start + MAX_LINES])
            yield InvoiceDraft(
                customer_id=lines[0].customer_id, currency=currency, lines=part, period=whole_period(part)
            )
