"""What must hold once a life has come to rest: our books are in order, and they say of each document and each payment what the others' say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from life import Life
from town import Place

from billhook.engine.queries import InvoiceDetails
from billhook.store import schema
from billhook.testing.invariants import problems_of

NOTHING = Decimal(0)
ISSUED = ("payment_processing", "paid", "overdue", "uncollectible")
GONE_THERE = frozenset({"void", "voided", "deleted", "VOIDED", "DELETED"})
TAKEN = frozenset({"paid", "succeeded"})


def problems(life: Life) -> Iterator[str]:
    """Everything that is wrong. Empty when all is well."""
    yield from life.troubles
    yield from problems_of(life.engine)
    for place in life.town.values():
        yield from (f"at {place.name} stands twice: {each}" for each in place.books.duplicates())
    for doubt in life.space.doubts.list():
        yield f"{doubt.operation} of {doubt.document_id} stays in doubt: {doubt.reason}"
    known = [life.space.invoices.get(id) for id in dict.fromkeys(life.invoices)]
    there = documents_there(life)
    for invoice in known:
        place = life.place_of(invoice.apps["invoicing"])
        if place is not None:
            yield from document_problems(invoice, there[invoice.id, place.name])
            yield from note_problems(invoice, place)
        yield from waiting_problems(life, invoice)
    yield from money_problems(life, known)
    yield from refund_problems(life)
    yield from credit_note_problems(life, there)


def documents_there(life: Life) -> Mapping[tuple[str, str], Sequence[Any]]:
    """What stands at the places, by our reference and the place's name. What was taken away again is left out."""
    found: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for place in life.town.values():
        for document in place.books.documents():
            if document.status not in GONE_THERE:
                found[document.reference, place.name].append(document)
    return found


def document_problems(details: InvoiceDetails, there: Sequence[Any]) -> Iterator[str]:
    """Exactly one document stands there for an issued invoice, over the same; none for one that is gone."""
    invoice = details.invoice
    shown = [(document.status, document.total, document.number) for document in there]
    if details.status.startswith(ISSUED):
        same = [
            each for each in there if each.is_issued and (each.total, each.number) == (invoice.total, invoice.number)
        ]
        if len(there) != 1 or not same:
            yield f"{invoice.id} is {details.status} over {invoice.total} as {invoice.number}, and there stands {shown}"
    elif details.status in {"voided", "deleted"} and there and not details.issues:
        yield f"{invoice.id} is {details.status}, and there stands {shown}"


def note_problems(details: InvoiceDetails, place: Place) -> Iterator[str]:
    """Money that came is noted once in the books, or an issue says why not."""
    if not place.keeps_accounts or not details.status.startswith(ISSUED) or details.issues:
        return
    noted: dict[str, list[Decimal]] = defaultdict(list)
    for each in place.books.payments():
        if each.status not in GONE_THERE:
            noted[each.reference].append(each.amount)
    for payment in details.payments:
        counts = payment.status == "succeeded" and payment.origin != "outside" and payment.amount_received
        if counts and noted[payment.id] != [payment.amount_received]:
            yield f"{payment.amount_received} of {payment.id} is noted at {place.name} as {noted[payment.id]}"


def waiting_problems(life: Life, details: InvoiceDetails) -> Iterator[str]:
    """An invoice that does not go on says why, or offers a way."""
    id, status, workflow = details.id, details.status, details.invoice.content.workflow
    says = details.issues or details.waiting_for
    is_failed = status == "draft.invalid" or status.endswith("failed")
    if status.startswith(("draft.", "issuing.", "delete.")) and not (is_failed or says or details.available_actions):
        yield f"{id} stays {status}, says nothing and offers nothing"
    if is_failed and not details.issues and not status.startswith("payment_processing"):
        yield f"{id} is {status} and does not say why"
    if details.pending_command:
        yield f"{details.pending_command} of {id} is never done"
    takes_itself = workflow.collection_method == "charge_automatically" and life.place_of(details.apps["payment"])
    if status == "payment_processing.pending" and takes_itself and not says:
        yield f"{id} is to be charged {details.invoice.amount_due}, and nobody does"


def money_problems(life: Life, known: Sequence[InvoiceDetails]) -> Iterator[str]:
    """What was charged for each invoice is what counts here as collected."""
    here: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    owners = {}
    for invoice in known:
        for payment in invoice.payments:
            owners[payment.id] = invoice.id
            if payment.origin == "collected":
                here[invoice.id, payment.app_id] += payment.amount_received
    charged: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for place in life.town.values():
        if not place.keeps_accounts:
            documents = {document.id: document.reference for document in place.books.documents()}
            for charge in place.books.payments():
                if charge.origin == "charged" and charge.status in TAKEN:
                    owner = owners.get(charge.reference) or documents.get(charge.invoice or "", charge.reference)
                    charged[owner, place.app_id] += charge.amount
    for owner, app_id in sorted(here.keys() | charged.keys()):
        ours, theirs = here[owner, app_id], charged[owner, app_id]
        if ours != theirs:
            yield f"{theirs} were charged for {owner}, and {ours} were collected here"


def refund_problems(life: Life) -> Iterator[str]:
    """What was asked to be given back went once, or not at all."""
    given: dict[str, Decimal] = defaultdict(Decimal)
    for place in life.town.values():
        if not place.keeps_accounts:
            for refund in place.books.refunds():
                given[refund.reference] += refund.amount if refund.status == "succeeded" else NOTHING
    with life.engine.database.read() as tx:
        rows = tx.all(sa.select(schema.refund).where(schema.refund.c.origin == "requested"))
    for row in rows:
        ours = Decimal(row.amount) if row.state == "succeeded" else NOTHING
        if given[row.id] != ours:
            yield f"refund {row.id} is {row.state} over {row.amount} here, and {given[row.id]} went back there"


def credit_note_problems(life: Life, there: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[str]:
    """A credit note that is issued stands once; one that failed stands nowhere and says why."""
    for id in dict.fromkeys(life.notes):
        note = life.space.credit_notes.get(id)
        found = [each for (reference, _), standing in there.items() if reference == id for each in standing]
        totals = [each.total for each in found if each.is_issued]
        if totals != ([note.total] if note.status == "issued" else []):
            yield f"credit note {id} is {note.status} over {note.total}, and there stands {totals}"
        if note.status == "failed" and not life.space.credit_notes.issues(id):
            yield f"credit note {id} failed and does not say why"
