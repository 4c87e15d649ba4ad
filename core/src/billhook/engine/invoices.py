"""The invoices of one namespace: submitting, reading, and everything that can be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import ConfigDict

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Done
from billhook.contract.results import DocumentResult
from billhook.domain.base import Key, Reason, Value
from billhook.domain.calculation import InvoiceEdit
from billhook.domain.invoice import InvoiceDraft, InvoiceView
from billhook.domain.money import amount, plain
from billhook.domain.parsing import argument, parse, parse_draft
from billhook.domain.period import utc
from billhook.engine import confirmations, queries
from billhook.engine.after_failing import with_ways_out
from billhook.engine.annotations import annotate
from billhook.engine.arguments import checked
from billhook.engine.commands import Commands, payment_arguments
from billhook.engine.conformity import misfit
from billhook.engine.context import Context
from billhook.engine.dismissing import dismiss
from billhook.engine.held_documents import HeldDocuments, held_documents
from billhook.engine.invoice_filter import InvoiceFilter, invoices_where
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_when_asked import Looks, is_issued, look, look_at_each
from billhook.engine.open_issues import OpenIssue, open_issues
from billhook.engine.pending_lines import find_gathering
from billhook.engine.preview import Preview, Previewer
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import Page
from billhook.engine.settle import Settler
from billhook.engine.submitting import Submitter
from billhook.engine.timeline import TimelineEntry, timeline
from billhook.engine.unit import Unit
from billhook.engine.usage import UsageSnapshots
from billhook.engine.work import Lane
from billhook.errors import InvalidInput, KeyReused, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.database import refusing_texts
from billhook.store.transaction import Transaction

Draft = InvoiceDraft | Mapping[str, Any] | bytes
Ids = list[str]
T = TypeVar("T")
INTAKE = 500
"""How many invoices one transaction takes."""


@checked
class Invoices:
    """What a host does with invoices. Every call is one transaction; every id of another namespace is not found."""

    def __init__(
        self,
        context: Context,
        namespace: str,
        settler: Settler,
        usage: UsageSnapshots,
        bound: Transaction | None = None,
    ) -> None:
        self._context = context
        self._namespace = namespace
        self._settler = settler
        self._usage = usage
        self._commands = Commands(settler)
        self._bound = bound

    # Submitting.

    def submit(self, draft: Draft, *, mirrored: bool = False) -> InvoiceView:
        """Store the invoice and start its way. Submitting the same draft under the same key again gives the same invoice.

        Raises InvalidInput that lists every problem, KeyReused, NotFound. Then nothing was stored.
        """
        parsed = _parsed(draft)

        def act(tx: Transaction) -> InvoiceView:
            unit = self._unit(tx, Lane.INTERACTIVE)
            row = self._submitter().submit(unit, parsed, mirrored=mirrored)
            unit.flush()
            return queries.view_of(unit, row)

        return self._write(act)

    def simulate(self, draft: Draft, *, number: str) -> InvoiceDetails:
        """What an invoice of that draft would be, under that number. Nothing is stored, and nobody is asked.

        Raises InvalidInput that lists every problem, NotFound.
        """
        parsed = _parsed(draft)
        with self._read() as tx:
            return self._submitter().simulate(Unit(self._context, tx), parsed, number)

    def submit_many(self, drafts: Iterable[Draft]) -> Ids:
        """Store many invoices, some hundreds per transaction, and return their ids in order.

        When one is refused nothing of its transaction is stored, and the error's path names it: ``/17/lines/0``. What came before it is
        stored; submit all again under the same keys to go on.
        """
        ids: Ids = []
        drafts = list(drafts)
        for start in range(0, len(drafts), INTAKE):
            parsed = [_parsed(draft, start + place) for place, draft in enumerate(drafts[start : start + INTAKE])]
            ids.extend(self._write(partial(self._take_in, drafts=parsed, start=start)))
        return ids

    def _take_in(self, tx: Transaction, drafts: Sequence[InvoiceDraft], start: int) -> Ids:
        unit, submitter, rows = self._unit(tx, Lane.BULK), self._submitter(), []
        submitter.look_up(unit, [draft.key for draft in drafts if draft.key is not None])
        for place, draft in enumerate(drafts):
            try:
                rows.append(submitter.submit(unit, draft))
            except KeyReused:
                raise
            except InvalidInput as error:
                raise _placed(error, start + place) from error
        unit.flush()
        return [row.id for row in rows]

    def _submitter(self) -> Submitter:
        return Submitter(self._namespace, self._settler.advancer, self._settler.numbers)

    # Reading.

    def deleted_by_key(self, keys: Iterable[str]) -> Mapping[str, str]:
        """The ids of deleted invoices, by those of these keys that belong to one: what is submitted under such a key makes no other."""
        with self._read() as tx:
            return self._submitter().deleted_by_key(self._unit(tx, Lane.INTERACTIVE), keys)

    def get(self, invoice_id: str) -> InvoiceDetails:
        """Everything about one invoice: content, state, what can be done now, issues, payments, and what is waited for."""
        with self._read() as tx:
            return queries.details(Unit(self._context, tx), self._namespace, invoice_id)

    def find(self, key: str) -> InvoiceDetails | None:
        """The invoice that was submitted under that key, or None."""
        with self._read() as tx:
            invoice_id = queries.id_of_key(tx, self._namespace, key)
            return None if invoice_id is None else queries.details(Unit(self._context, tx), self._namespace, invoice_id)

    def list(self, filter: InvoiceFilter | None = None, *, page: int = 1, page_size: int = 100) -> Page[InvoiceView]:
        """Invoices, the newest first."""
        with self._read() as tx:
            return queries.page_of(Unit(self._context, tx), self._namespace, filter or InvoiceFilter(), page, page_size)

    def open_issues(self) -> tuple[OpenIssue, ...]:
        """Why invoices stand still or warn, failed payments too, each cause once with how many have it: what stops invoices first."""
        with self._read() as tx:
            causes = open_issues(tx, invoices_where(self._namespace, InvoiceFilter()))
            return with_ways_out(Unit(self._context, tx), causes)

    def held(self) -> tuple[HeldDocuments, ...]:
        """How many invoices wait for an app that can't be called, by app; no issue tells of those."""
        with self._read() as tx:
            return held_documents(self._context, tx, self._namespace, schema.invoice)

    def timeline(self, invoice_id: str) -> tuple[TimelineEntry, ...]:
        """Everything that happened to an invoice, in order: transitions, requests and their answers, payments, notes."""
        with self._read() as tx:
            return timeline(self._context, tx, self._namespace, invoice_id)

    def preview(self, invoice_id: str) -> Preview:
        """What would be sent for an invoice next, and which rule mapped each line. Takes no number, writes nothing, sends nothing."""
        with self._read() as tx:
            return Previewer(self._context, self._settler.numbers).preview(tx, self._namespace, invoice_id)

    # Asking.

    def look(self, invoice_id: str) -> InvoiceDetails:
        """Have its app asked now what it shows of an issued invoice: money that came there counts, and what differs from here is warned of.

        Nobody need do so: webhooks lead to a look, and what is owed is looked at by itself (``Policy.first_look``). Raises NotFound,
        NotAllowed for an invoice that is not issued, Unsupported where the app can't be asked.
        """

        def act(tx: Transaction) -> InvoiceDetails:
            unit = self._unit(tx, Lane.INTERACTIVE)
            look(unit, self._row(unit, invoice_id))
            unit.flush()
            return queries.details(unit, self._namespace, invoice_id)

        return self._write(act)

    def look_at_all(self, filter: InvoiceFilter | None = None) -> Looks:
        """As ``look``, for every issued invoice of the filter, some hundreds per transaction. ``open_issues`` tells what was found."""
        wanted = sa.and_(invoices_where(self._namespace, filter or InvoiceFilter()), is_issued())
        with self._read() as tx:
            ids = [row.id for row in tx.all(sa.select(schema.invoice.c.id).where(wanted).order_by(schema.invoice.c.id))]
        parts = [self._look_at(ids[start : start + INTAKE]) for start in range(0, len(ids), INTAKE)]
        return Looks(sum(part.asked for part in parts), sum(part.unreadable for part in parts))

    def _look_at(self, ids: Ids) -> Looks:
        def act(tx: Transaction) -> Looks:
            unit = self._unit(tx, Lane.BULK)
            looks = look_at_each(unit, ids)
            unit.flush()
            return looks

        return self._write(act)

    def update(self, invoice_id: str, edit: InvoiceEdit | Mapping[str, Any]) -> InvoiceDetails:
        """A new revision. Only what is stated changes; lines are the whole new list.

        A mirrored invoice takes one also where its document was refused when it was to be issued: it is drafted anew.
        """
        parsed = edit if isinstance(edit, InvoiceEdit) else parse(InvoiceEdit, edit)
        return self._give(invoice_id, "update", parsed.model_dump(mode="json", exclude_unset=True))

    def advance(self, invoice_id: str) -> InvoiceDetails:
        """Go on now, if the invoice can."""
        return self._give(invoice_id, "advance")

    def approve(
        self, invoice_id: str, *, issued_at: datetime | None = None, due_at: datetime | None = None
    ) -> InvoiceDetails:
        """Issue a draft that waits for approval, or before its draft period is over. The dates, aware, are for mirrored invoices alone.

        Raises InvalidInput for dates of any other: its draft states them, or an edit.
        """
        dates = {"issued_at": issued_at, "due_at": due_at}
        stated = {name: argument(name, utc, date).isoformat() for name, date in dates.items() if date is not None}
        return self._give(invoice_id, "approve", stated)

    def retry(self, invoice_id: str) -> InvoiceDetails:
        """Try again what failed. What is not issued takes over what was changed at its customer, unless an edit gave it one of its own,
        and in the mapping of its app; an invoice that could not be issued is then drafted anew. One that is issued takes over only
        the address that it is e-mailed to.

        In every state the books are asked again for the payments that they refused to note, and the app for a void or a deletion that it
        refused. ``Namespace.retry_failed`` tries again everything that failed.
        """
        return self._give(invoice_id, "retry")

    def snapshot_quantities(self, invoice_id: str) -> InvoiceDetails:
        """Don't wait for the collection time: ask for the usage now."""
        answers, _ = self._usage.ask([invoice_id])
        quantities = {line_id: plain(quantity) for line_id, quantity in answers.get(invoice_id, {}).items()}
        return self._give(invoice_id, "snapshot_quantities", {"quantities": quantities})

    def delete(self, invoice_id: str) -> InvoiceDetails:
        """Delete a draft, here and at its app."""
        return self._give(invoice_id, "delete")

    def void(self, invoice_id: str) -> InvoiceDetails:
        """Make an issued invoice void, here and at its app. Refused while money is held for it.

        What is void here and stands there, because the app refused, is voided there by asking again once it can be.
        A payment under way is canceled at its app first, where that can; until it is, ``pending_command`` is void.
        """
        return self._give(invoice_id, "void")

    def capture(self, invoice_id: str, amount_to_capture: Decimal | str | None = None) -> InvoiceDetails:
        """Have the app take money that was only authorized: all of it, or so much in major units; the rest goes back to the payer.

        What is then still owed is collected by ``retry``. Raises NotAllowed where nothing is authorized, Unsupported where the app can't,
        InvalidInput for more than is authorized.
        """
        wanted = None if amount_to_capture is None else argument("amount_to_capture", amount, amount_to_capture)
        return self._give(invoice_id, "capture", {} if wanted is None else {"amount": plain(wanted)})

    def cancel_payment(self, invoice_id: str) -> InvoiceDetails:
        """Have a payment that is authorized or still open come to nothing. Money that came all the same counts.

        Raises NotAllowed where none is under way, Unsupported where the app can't.
        """
        return self._give(invoice_id, "cancel_payment")

    def payment_status(self, invoice_id: str, trigger: str) -> InvoiceDetails:
        """What the outside says of the payment: paid, payment_failed, payment_uncollectible, payment_overdue, action_required or void.

        Saying again what already is changes nothing.
        """
        return self._give(invoice_id, "payment_status", payment_arguments(trigger))

    def record_payment(
        self,
        invoice_id: str,
        amount_received: Decimal | str,
        *,
        received_at: datetime | None = None,
        method: str | None = None,
        external_id: str | None = None,
        key: str | None = None,
    ) -> InvoiceDetails:
        """Money that came another way, in major units. Less than what is due leaves the rest open; more is kept as overpaid.

        The same ``key`` counts once. Raises InvalidInput that names the argument which is wrong.
        """
        received = argument("amount_received", amount, amount_received)
        if received <= 0:
            raise InvalidInput(
                "amount_not_positive",
                f"A payment of {plain(received)} is no payment. Refunds have a command of their own.",
                "/amount_received",
            )
        notes = parse(_PaymentNotes, {"method": method, "external_id": external_id, "key": key})
        at = self._context.clock.now() if received_at is None else argument("received_at", utc, received_at)
        arguments = {"amount": plain(received), "received_at": at.isoformat(), **notes.model_dump()}
        return self._give(invoice_id, "record_payment", arguments)

    def take_back_payment(self, invoice_id: str, payment_id: str, *, reason: str) -> InvoiceDetails:
        """A payment was noted by mistake: it counts no more, and what it paid is owed again. Doing it twice is doing it once.

        No money moves. An invoice that was paid waits for money again; one that is charged automatically is ``payment_processing.failed``
        until ``retry`` charges it. A note that waits is not sent; where the books show the payment, a warning says what to undo there.
        What the outside said (``payment_status``) can be taken back too; what an app collected is refunded.

        Raises NotFound, NotAllowed for a payment that an app collected or of which something was paid back, InvalidInput without a reason.
        """
        stated = parse(_TakenBack, {"payment_id": payment_id, "reason": reason})
        return self._give(invoice_id, "take_back_payment", stated.model_dump())

    def dismiss(self, invoice_id: str, code: str, *, reason: str) -> InvoiceDetails:
        """A person has dealt with what the warnings of that code tell of: they end, and nothing else changes. Doing it twice is doing it once.

        In other words it is told of again, in the same words it is not. A payment that the books refused to note is asked for no more by ``retry``.
        Raises NotFound, NotAllowed for what is critical, InvalidInput for a code that this invoice was never told of, and without a reason.
        """
        stated = parse(_Dismissed, {"code": code, "reason": reason})

        def act(tx: Transaction) -> InvoiceDetails:
            unit = self._unit(tx, Lane.INTERACTIVE)
            row = unit.invoice(invoice_id, self._namespace)
            dismiss(unit, row, stated.code, stated.reason)
            unit.flush()
            return queries.details(unit, self._namespace, invoice_id)

        return self._write(act)

    def annotate(self, invoice_id: str, annotations: Mapping[str, str]) -> InvoiceDetails:
        """Remember short facts of your own beside the invoice, by name; an empty value forgets one. Changes nothing else.

        Raises InvalidInput, NotFound. ``InvoiceDetails.annotations`` has them all.
        """

        def act(tx: Transaction) -> InvoiceDetails:
            unit = self._unit(tx, Lane.INTERACTIVE)
            annotate(unit, unit.invoice(invoice_id, self._namespace).id, annotations)
            return queries.details(unit, self._namespace, invoice_id)

        return self._write(act)

    # What callers confirm.

    def draft_synchronized(self, invoice_id: str, result: DocumentResult | None = None) -> InvoiceDetails:
        """The outside has the draft. Repeating it with the same content is accepted, with other content refused."""
        return self._confirm(invoice_id, Capability.SYNC_DRAFT, result or DocumentResult())

    def issuing_synchronized(self, invoice_id: str, result: DocumentResult | None = None) -> InvoiceDetails:
        """The outside has issued the invoice. Repeating it with the same content is accepted, with other content refused."""
        return self._confirm(invoice_id, Capability.ISSUE, result or DocumentResult())

    def _confirm(self, invoice_id: str, capability: Capability, result: DocumentResult) -> InvoiceDetails:
        problem = misfit(result, DocumentResult, "result")
        if problem is not None:
            raise InvalidInput("confirmation_invalid", f"{problem}. Nothing was stored.", "/result")

        def act(tx: Transaction) -> InvoiceDetails:
            unit = self._unit(tx, Lane.INTERACTIVE)
            row = self._row(unit, invoice_id)
            confirmations.confirm(unit, self._settler, row, capability, Done(result))
            unit.flush()
            return queries.details(unit, self._namespace, invoice_id)

        return self._write(act)

    def _give(self, invoice_id: str, name: str, arguments: Mapping[str, Any] | None = None) -> InvoiceDetails:
        def act(tx: Transaction) -> InvoiceDetails:
            unit = self._unit(tx, Lane.INTERACTIVE)
            row = self._row(unit, invoice_id)
            self._commands.give(unit, row, name, arguments or {})
            unit.flush()
            return queries.details(unit, self._namespace, invoice_id)

        return self._write(act)

    def _row(self, unit: Unit, invoice_id: str) -> InvoiceRow:
        try:
            return unit.invoice(invoice_id, self._namespace)
        except NotFound:
            if find_gathering(unit.tx, self._namespace, invoice_id) is None:
                raise
            raise NotAllowed(
                f"{invoice_id} is a pool of pending lines and no invoice yet. Invoice its lines first.",
                "invoice_action_not_available",
            ) from None

    # Transactions.

    def _unit(self, tx: Transaction, lane: Lane) -> Unit:
        return Unit(self._context, tx, bound=self._bound is not None, lane=lane)

    @contextmanager
    def _read(self) -> Iterator[Transaction]:
        if self._bound is not None:
            self._context.database.check_bound(self._bound)
            with refusing_texts():
                yield self._bound
            return
        with self._context.database.read() as tx:
            yield tx

    def _write(self, act: Callable[[Transaction], T]) -> T:
        if self._bound is not None:
            return self._context.database.write_bound(self._bound, act)
        return self._context.database.write(act)


class _PaymentNotes(Value):
    model_config = ConfigDict(strict=True)

    method: Key | None
    external_id: Key | None
    key: Key | None


class _TakenBack(Value):
    model_config = ConfigDict(strict=True)

    payment_id: Key
    reason: Reason


class _Dismissed(Value):
    model_config = ConfigDict(strict=True)

    code: Key
    reason: Reason


def _parsed(draft: Draft, place: int | None = None) -> InvoiceDraft:
    if isinstance(draft, InvoiceDraft):
        return draft
    try:
        return parse_draft(draft)
    except InvalidInput as error:
        raise (error if place is None else _placed(error, place)) from error


def _placed(error: InvalidInput, place: int) -> InvalidInput:
    return InvalidInput(error.code, f"Draft {place}: {error.message}", f"/{place}{error.path}", problems=error.problems)
