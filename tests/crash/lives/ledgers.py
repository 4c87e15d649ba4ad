"""What must hold once a life has come to rest: our books are in order, and they say of each document and each payment what the others' say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from life import Life
from town import Place

from billhook.engine.not_in_books import CHANGED, GONE, LESS_DUE, MORE_DUE, VOIDED
from billhook.engine.queries import InvoiceDetails
from billhook.store import schema
from billhook.testing.invariants import problems_of
from billhook.testing.simulator.books import Duplicate

NOTHING = Decimal(0)
ISSUED = ("payment_processing", "paid", "overdue", "uncollectible")
GONE_THERE = frozenset({"void", "voided", "deleted", "VOIDED", "DELETED"})
TAKEN = frozenset({"paid", "succeeded"})
UNDER_WAY = frozenset({"pending", "processing", "action_required", "authorized"})
COUNTED = frozenset({"collected", "outside"})


def problems(life: Life) -> Iterator[str]:
    """Everything that is wrong. Empty when all is well."""
    yield from life.troubles
    yield from problems_of(life.engine)
    for place in life.town.values():
        yield from (
            f"at {place.name} stands twice: {each}"
            for each in place.books.duplicates()
            if not _is_each_apps_own(place, each)
        )
    for doubt in life.space.doubts.list():
        yield f"{doubt.operation} of {doubt.document_id} stays in doubt: {doubt.reason}"
    known = [life.space.invoices.get(id) for id in every_invoice(life)]
    there = documents_there(life)
    for invoice in known:
        place = life.place_of(invoice.apps["invoicing"])
        if place is not None:
            yield from document_problems(invoice, there[invoice.id, place.name])
            yield from note_problems(life, invoice, place, there[invoice.id, place.name])
            yield from entered_problems(life, invoice, place)
        yield from drift_problems(invoice)
        yield from waiting_problems(life, invoice)
        yield from dismissed_problems(life, invoice)
    yield from money_problems(life, known)
    yield from refund_problems(life)
    yield from line_problems(life, known)
    yield from credit_note_problems(life, there)


def _is_each_apps_own(place: Place, twice: Duplicate) -> bool:
    """Each app brings a customer for itself, also to an account that another has brought the customer to."""
    return twice.kind == "customer" and len(twice.ids) <= place.installed


def every_invoice(life: Life) -> Sequence[str]:
    """The ids of all: also of those that were deleted, and of those that nobody was told of."""
    found, page = list(life.invoices), 1
    while items := life.space.invoices.list(page=page).items:
        found += [each.id for each in items]
        page += 1
    return list(dict.fromkeys(found))


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


def drift_problems(details: InvoiceDetails) -> Iterator[str]:
    """Nobody changes documents at the places by hand, or credits them."""
    for issue in details.issues:
        if issue.code in {GONE, VOIDED, CHANGED, LESS_DUE, MORE_DUE}:
            yield f"{details.id} is {details.status}, and it is told: {issue.message}"


def note_problems(life: Life, details: InvoiceDetails, place: Place, there: Sequence[Any]) -> Iterator[str]:
    """Money that came and stayed stands once in the books, noted by us or entered by somebody, or an issue says why not."""
    if not place.keeps_accounts or not details.status.startswith(ISSUED) or is_told(life, details):
        return
    documents = {document.id for document in there}
    ours = {payment.id: payment.amount_received for payment in details.payments if payment.status == "succeeded"}
    back = details.invoice.amount_refunded
    corrected = any(each[:2] == (place.name, details.id) for each in life.taken_out)
    shown = on_account = NOTHING
    for each in place.books.payments():
        if each.status in GONE_THERE:
            continue
        if each.reference in ours and each.amount != ours[each.reference] and not (back or corrected):
            yield f"{ours[each.reference]} of {each.reference} is noted at {place.name} as {each.amount}"
        applied = dict(each.applied) if place.name == "quickbooks" else {each.invoice: each.amount}
        entered = sum((amount for id, amount in applied.items() if id in documents), NOTHING)
        shown += entered
        on_account += each.amount - entered if each.reference in ours else NOTHING
    came = sum(ours.values()) - back
    most = came + _untold(life, details.id, place.name) + _taken_back_of(details, place)
    # Books show no more than is due, and on the invoice not what is on account there.
    least = min(came - on_account, details.invoice.total - details.invoice.amount_credited)
    if came != shown and not least <= shown <= most:
        yield f"{came} came for {details.id} and stayed, and {place.name} shows {shown}"
    yield from credited_problems(life, details, place, there, shown)


def entered_problems(life: Life, details: InvoiceDetails, place: Place) -> Iterator[str]:
    """What somebody entered in the books counts once, and nothing else counts as that: not what an office took out and put back."""
    if not place.keeps_accounts:
        return
    ours = _told_by(details, place)
    here = sum((each.amount_received for each in ours), NOTHING)
    moved = (each.amount for each in life.moved if each[:2] == (place.name, details.id))
    entered = sum(moved, NOTHING)
    out = sum((each.amount for each in life.taken_out if each[:2] == (place.name, details.id)), NOTHING)
    # What was taken back, or given back, here meanwhile is put back there as money that came.
    most = entered + (out if details.invoice.amount_refunded or _is_taken_back(details) else NOTHING)
    least = entered - out - _untold(life, details.id, place.name) - _taken_back_of(details, place)
    if here > most or (here < least and not is_told(life, details)):
        yield f"{entered} were entered for {details.id} at {place.name}, and {here} count here"


def credited_problems(
    life: Life, details: InvoiceDetails, place: Place, there: Sequence[Any], shown: Decimal
) -> Iterator[str]:
    """What is credited here is put against the invoice there, but for what is overpaid; there, what was given back is open to be credited."""
    if is_told(life, details) or len(there) != 1:
        return
    invoice, (document,) = details.invoice, there
    open_there = document.open_amount if place.name == "quickbooks" else document.amount_due
    credited_there = document.total - open_there - shown
    kept = invoice.amount_paid - invoice.amount_refunded
    overpaid = (
        max(kept + invoice.amount_credited - invoice.total, NOTHING)
        + invoice.amount_refunded
        + _untold(life, details.id, place.name)
    )
    if not invoice.amount_credited - overpaid <= credited_there <= invoice.amount_credited + invoice.amount_refunded:
        yield f"{invoice.amount_credited} are credited on {details.id}, and {credited_there} at {place.name}"


def _is_taken_back(details: InvoiceDetails) -> bool:
    return any(each.status == "canceled" and each.origin != "collected" for each in details.payments)


def _told_by(details: InvoiceDetails, place: Place) -> list[Any]:
    return [each for each in details.payments if each.origin == "outside" and each.app_id in place.app_ids]


def _taken_back_of(details: InvoiceDetails, place: Place) -> Decimal:
    """What the books told, and somebody took back here: it comes back when they tell it again."""
    return sum((each.amount for each in _told_by(details, place) if each.status == "canceled"), NOTHING)


def is_told(life: Life, details: InvoiceDetails) -> bool:
    """Whether something says that a person has to do something, or a person said that it is dealt with."""
    return bool(details.issues) or any(each.invoice == details.id for each in life.dismissed)


def dismissed_problems(life: Life, details: InvoiceDetails) -> Iterator[str]:
    """What a person has dealt with is not told again in the same words."""
    for each in details.issues:
        if (details.id, each.component, each.severity, each.code, each.path, each.message) in life.dismissed:
            yield f"{details.id} tells again what was dismissed: {each.message}"


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
    if status == "payment_processing.pending" and takes_itself and not _goes_on(details):
        yield f"{id} is to be charged {details.invoice.amount_due}, and nobody does"
    if (
        status.startswith("payment_processing")
        and takes_itself
        and not (_goes_on(details) or details.available_actions)
    ):
        yield f"{id} stays {status} and offers nothing"


def _goes_on(details: InvoiceDetails) -> bool:
    """Whether something is under way."""
    return bool(details.waiting_for or any(each.status in UNDER_WAY for each in details.payments))


def money_problems(life: Life, known: Sequence[InvoiceDetails]) -> Iterator[str]:
    """What was charged for each invoice is what counts here as collected there, or by its customer past us; what nobody told may be missing."""
    here: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    charged: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for invoice in known:
        for payment in invoice.payments:
            place = life.place_of(payment.app_id)
            if place is not None and not place.keeps_accounts and payment.origin in COUNTED:
                here[invoice.id, place.name] += payment.amount_received
    owners = life.owners()
    for place in life.town.values():
        if not place.keeps_accounts:
            for charge in place.books.payments():
                if charge.origin == "charged" and charge.status in TAKEN:
                    charged[owners.get(charge.reference, charge.reference), place.name] += charge.amount
    for owner, name in sorted(here.keys() | charged.keys()):
        ours, theirs = here[owner, name], charged[owner, name]
        if ours != theirs and not theirs - _untold(life, owner, name) <= ours <= theirs:
            yield f"{theirs} were charged for {owner} at {name}, and {ours} were collected here"


def _untold(life: Life, owner: str, name: str) -> Decimal:
    """What came there past us and is told by nobody; that names no payment of ours, which is shown; or that was taken for a payment whose note
    was refused, because it comes to as much.
    """
    entered = any(each.details.get("cause") == "record_payment.entered" for each in life.space.invoices.timeline(owner))
    moved = life.moved if entered or _is_orphaned(life, owner) else life.untold
    return sum((each.amount for each in moved if each[:2] == (name, owner) and each.amount > 0), NOTHING)


def _is_orphaned(life: Life, owner: str) -> bool:
    """Whether somebody is told of a charge of the invoice that belongs to no payment of ours. Of an invoice that Stripe charges by itself only
    the charge tells what its customer paid on the page."""
    orphans = {each["external_id"] for each in life.engine.orphaned_events(life.space.name)}
    owners = life.owners()
    charges = [
        payment for place in life.town.values() if not place.keeps_accounts for payment in place.books.payments()
    ]
    return any(each.id in orphans and owners.get(each.reference, each.reference) == owner for each in charges)


def refund_problems(life: Life) -> Iterator[str]:
    """What was asked to be given back went once, or not at all; what others gave back counts here as given back by others."""
    asked: dict[str, Decimal] = defaultdict(Decimal)
    there: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with life.engine.database.read() as tx:
        rows = tx.all(sa.select(schema.refund))
    owners = life.owners()
    for place in life.town.values():
        if not place.keeps_accounts:
            paid_by = {payment.id: payment.reference for payment in place.books.payments()}
            for refund in place.books.refunds():
                amount = refund.amount if refund.status == "succeeded" else NOTHING
                asked[refund.reference] += amount
                if not refund.reference:
                    there[owners.get(paid_by[refund.payment], ""), place.name] += amount
    here: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    elsewhere: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        ours = Decimal(row.amount) if row.state == "succeeded" else NOTHING
        if row.origin == "requested" and asked[row.id] != ours:
            yield f"refund {row.id} is {row.state} over {row.amount} here, and {asked[row.id]} went back there"
        place = life.place_of(row.app_id)
        if row.origin == "recorded" and place is not None:
            elsewhere[row.invoice_id, place.name] += ours
        if row.origin == "outside" and place is not None:
            here[row.invoice_id, place.name] += ours
    for owner, name in sorted(here.keys() | there.keys()):
        untold = sum((-each.amount for each in life.untold if each[:2] == (name, owner) and each.amount < 0), NOTHING)
        # More than came is never taken for given back: what went back another way leaves the less.
        least = there[owner, name] - untold - elsewhere[owner, name]
        if not least <= here[owner, name] <= there[owner, name]:
            yield f"{there[owner, name]} were given back by others for {owner} at {name}, and {here[owner, name]} are known here"


def line_problems(life: Life, known: Sequence[InvoiceDetails]) -> Iterator[str]:
    """A line that was kept is somewhere once: on an invoice, or pending until it is due."""
    pending = life.space.pending_lines.list(page_size=1_000).items
    places = Counter(line.id for line in pending)
    places.update(line.id for details in known for line in details.invoice.lines)
    for id in sorted(life.lines):
        if places[id] != 1:
            yield f"the line {id} that was kept is in {places[id]} places"
    for line in pending:
        if line.invoice_at <= life.collected_at:
            yield f"the line {line.id} of {line.customer_id} was due at {line.invoice_at}, and is pending still"


def credit_note_problems(life: Life, there: Mapping[tuple[str, str], Sequence[Any]]) -> Iterator[str]:
    """A credit note that is issued stands once; one that failed says why, and what it left there, put against nothing, is known here."""
    with life.engine.database.read() as tx:
        links = tx.all(sa.select(schema.document_link).where(schema.document_link.c.kind == "credit_note"))
    left = {(link.document_id, link.external_id) for link in links}
    for id in dict.fromkeys(life.notes):
        note = life.space.credit_notes.get(id)
        found = [each for (reference, _), standing in there.items() if reference == id for each in standing]
        totals = [
            each.total for each in found if each.is_issued and (note.status == "issued" or (id, each.id) not in left)
        ]
        if totals != ([note.total] if note.status == "issued" else []):
            yield f"credit note {id} is {note.status} over {note.total}, and there stands {totals}"
        if note.status == "failed" and not life.space.credit_notes.issues(id):
            yield f"credit note {id} failed and does not say why"
