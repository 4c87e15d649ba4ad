"""Erasing a customer's personal data: who it was is gone, what was billed and under which number stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.invoice import content_json, parse_content
from billhook.domain.party import CustomerSnapshot
from billhook.engine.annotations import forget_annotations
from billhook.engine.context import Context
from billhook.engine.customer_search import forget_words
from billhook.engine.freeze import FrozenBatch
from billhook.engine.locks import hold, of_customer, to_end
from billhook.engine.open_documents import needs_customer
from billhook.engine.prune import drop_bodies, drop_frozen
from billhook.engine.scrub import MARKER, Scrub, scrub_mappings, scrub_texts
from billhook.engine.unit import Unit
from billhook.engine.work import ADVANCE, CLAIMED, Lane
from billhook.errors import InUse, NotFound
from billhook.store import schema
from billhook.store.statements import Update
from billhook.store.transaction import Transaction

CHUNK = 200
_NEED_NO_LOOK = ("action_required", "authorized", "canceled")
"""Payments of which no money comes unless somebody acts."""

_customer, _link, _override = schema.customer, schema.customer_link, schema.customer_override
_invoice, _note, _refund, _body = schema.invoice, schema.credit_note, schema.refund, schema.document_body
_operation, _attempt, _late, _inbox = schema.operation, schema.attempt, schema.late_reply, schema.inbox

_REWRITE = Update(_body, key=("document_id", "revision"), set=("body",))


@dataclass(frozen=True, slots=True)
class EraseResult:
    """What was erased here. ``remote_customers`` are the ids by app under which providers know the customer: erase it there too."""

    customer_id: str
    invoices: int = 0
    credit_notes: int = 0
    operations: int = 0
    remote_customers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Traces:
    """Where the customer appears."""

    scrub: Scrub
    invoice_ids: Sequence[str]
    credit_note_ids: Sequence[str]
    refund_ids: frozenset[str]
    app_ids: Sequence[str]
    remote_customers: Mapping[str, str]


class Eraser:
    """Erases customers of one database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def erase_customer(self, namespace: str, customer_id: str) -> EraseResult:
        """Replace the customer's name, key, address, email, tax id, description and metadata by a marker, wherever they are kept, and delete it.

        Documents keep their lines, amounts and numbers; the journal keeps digests and statuses. Texts that a host wrote into lines and
        metadata of a document stay as they are. Each document's timeline notes the erasure. It is done in several transactions; doing
        it again finishes what was interrupted, and changes nothing that is done.

        Raises InUse while something open needs the customer, NotFound for an unknown one.
        """
        traces = self._context.database.write(lambda tx: self._begin(tx, namespace, customer_id))
        operations = self._erase_journal(customer_id, traces)
        invoices = sum(self._erase_documents(customer_id, traces, ids, ()) for ids in _chunks(traces.invoice_ids))
        notes = sum(self._erase_documents(customer_id, traces, (), ids) for ids in _chunks(traces.credit_note_ids))
        # Last, because it tells what to look for: an interrupted erasure can begin again.
        self._context.database.write(lambda tx: self._erase_row(tx, namespace, customer_id))
        return EraseResult(customer_id, invoices, notes, operations, traces.remote_customers)

    def _begin(self, tx: Transaction, namespace: str, customer_id: str) -> _Traces:
        row = _require_idle(tx, namespace, customer_id)
        _delete(tx, customer_id, Unit(self._context, tx).now_micros)
        links = tx.all(sa.select(_link.c.app_id, _link.c.external_id).where(_link.c.customer_id == customer_id))
        invoices = tx.all(sa.select(_invoice).where(_invoice.c.customer_id == customer_id))
        notes = tx.all(sa.select(_note).where(_note.c.customer_id == customer_id))
        apps = {link.app_id for link in links} | {note.app_id for note in notes}
        apps |= {id for one in invoices for id in (one.tax_app_id, one.invoicing_app_id, one.payment_app_id)}
        return _Traces(
            scrub=Scrub.of(CustomerSnapshot.model_validate_json(row.party)),
            invoice_ids=[one.id for one in invoices],
            credit_note_ids=[one.id for one in notes],
            refund_ids=frozenset(
                row[0] for row in tx.select_in(_refund, ("id",), "invoice_id", [one.id for one in invoices])
            ),
            app_ids=sorted(apps),
            remote_customers={link.app_id: link.external_id for link in links if link.external_id is not None},
        )

    # The journal: bodies go, digests stay.

    def _erase_journal(self, customer_id: str, traces: _Traces) -> int:
        found = 0
        for app_id in traces.app_ids:
            for ids in _chunks(list(self._operations_about(customer_id, traces.refund_ids, app_id))):
                self._context.database.write(partial(_drop_operations, ids))
                found += len(ids)
        return found

    def _operations_about(self, customer_id: str, refund_ids: frozenset[str], app_id: str) -> Iterator[str]:
        last = ""
        while rows := self._frozen_after(app_id, last):
            yield from (row.id for row in rows if _is_about(row, customer_id, refund_ids))
            last = rows[-1].id

    def _frozen_after(self, app_id: str, last: str) -> Sequence[Any]:
        settled = sa.and_(_operation.c.status == "settled", sa.func.length(_operation.c.frozen) > 0)
        select = sa.select(_operation.c.id, _operation.c.name, _operation.c.frozen).where(
            _operation.c.app_id == app_id, settled
        )
        with self._context.database.read() as tx:
            return tx.all(select.where(_operation.c.id > last).order_by(_operation.c.id).limit(CHUNK))

    # Documents: the customer goes, the figures stay.

    def _erase_documents(self, customer_id: str, traces: _Traces, invoices: Sequence[str], notes: Sequence[str]) -> int:
        return self._context.database.write(lambda tx: self._blank_documents(tx, customer_id, traces, invoices, notes))

    def _blank_documents(
        self, tx: Transaction, customer_id: str, traces: _Traces, invoices: Sequence[str], notes: Sequence[str]
    ) -> int:
        unit = Unit(self._context, tx)
        blanked, scrub = _blank_bodies(tx, customer_id, [*invoices, *notes], traces.scrub)
        scrub_mappings(tx, blanked, scrub)
        scrub_texts(tx, blanked, scrub)
        _blank_inbox(tx, traces.app_ids, blanked)
        forget_annotations(tx, sorted(blanked))
        unit.load_invoices(id for id in invoices if id in blanked)
        for row in unit.invoices.values():
            unit.record(row, "erased")
        for id in (id for id in notes if id in blanked):
            unit.record_document(unit.money.save("credit_note", unit.money.get("credit_note", id)), "erased", {})
        unit.flush()
        tx.after_commit(lambda: self._context.documents.forget(blanked))
        return len(blanked)

    # The customer itself.

    def _erase_row(self, tx: Transaction, namespace: str, customer_id: str) -> None:
        _require_idle(tx, namespace, customer_id)
        blank = {
            "name": MARKER,
            "description": None,
            "party": _blank(customer_id).model_dump_json(exclude_defaults=True),
            "metadata": "{}",
        }
        tx.execute(sa.update(_customer).where(_customer.c.id == customer_id).values(**blank))
        known = {"payment_method": None, "app_data": "{}", "leftovers": "{}", "failure": None}
        tx.execute(sa.update(_link).where(_link.c.customer_id == customer_id).values(**known))
        forget_words(tx, customer_id)


def _require_idle(tx: Transaction, namespace: str, customer_id: str) -> Any:
    """The customer's row, once nothing open needs it and nothing is being done for it."""
    hold(tx, namespace, of_customer(customer_id))
    _wait_no_more(tx, customer_id)
    mine = sa.and_(_customer.c.namespace == namespace, _customer.c.id == customer_id)
    row = tx.first(to_end(sa.select(_customer).where(mine)))
    if row is None:
        raise NotFound("customer", customer_id, namespace)
    needing = needs_customer(tx, namespace, customer_id) or _work_about(tx, customer_id)
    if needing is not None:
        raise InUse(f"The customer {customer_id} can't be erased: {needing} is open. Finish, void or delete it first.")
    return row


def _delete(tx: Transaction, customer_id: str, now: int) -> None:
    """From here on nobody changes the customer, or begins anything that needs it."""
    deleted = {"key": None, "updated_at": now, "deleted_at": sa.func.coalesce(_customer.c.deleted_at, now)}
    tx.execute(sa.update(_customer).where(_customer.c.id == customer_id).values(**deleted))
    tx.execute(sa.delete(_override).where(_override.c.customer_id == customer_id))


def _wait_no_more(tx: Transaction, customer_id: str) -> None:
    """Look no more whether the customer pays or acts on a payment: as long as that matters, the invoice is open."""
    work, payment = schema.work, schema.payment
    mine = sa.select(_invoice.c.id).where(_invoice.c.customer_id == customer_id)
    is_unasked = sa.and_(work.c.lane == Lane.UNASKED, work.c.state != CLAIMED)
    tx.execute(sa.delete(work).where(is_unasked, work.c.subject_id.in_(mine)))
    awaited = (
        sa.select(payment.c.id)
        .join(_invoice, payment.c.invoice_id == _invoice.c.id)
        .where(_invoice.c.customer_id == customer_id, payment.c.state.in_(_NEED_NO_LOOK))
    )
    is_look = sa.and_(work.c.operation == Capability.CHECK_PAYMENT, work.c.state != CLAIMED)
    tx.execute(sa.delete(work).where(is_look, work.c.item_id.in_(awaited)))


def _is_about(operation: Any, customer_id: str, refund_ids: frozenset[str]) -> bool:
    # Whatever an operation is given names the customer by its id, but for refunds.
    if operation.name == Capability.REFUND:
        return any(item["id"] in refund_ids for item in FrozenBatch.load(operation.frozen).items)
    return customer_id.encode() in operation.frozen


def _work_about(tx: Transaction, customer_id: str) -> str | None:
    work = schema.work
    documents = sa.union_all(
        sa.select(_invoice.c.id).where(_invoice.c.customer_id == customer_id),
        sa.select(_note.c.id).where(_note.c.customer_id == customer_id),
        sa.select(sa.literal(customer_id)),
    )
    select = sa.select(work.c.operation, work.c.subject_id).where(
        work.c.subject_id.in_(documents), work.c.operation != ADVANCE
    )
    row = tx.first(select.limit(1))
    return None if row is None else f"{row.operation} of {row.subject_id}"


def _blank(customer_id: str) -> CustomerSnapshot:
    return CustomerSnapshot(id=customer_id, name=MARKER)


def _blank_bodies(tx: Transaction, customer_id: str, ids: Sequence[str], scrub: Scrub) -> tuple[set[str], Scrub]:
    """Blank the customer in every revision; which documents still showed it, and everything by which they named it."""
    blanked, rewritten = set(), []
    for document_id, revision, body in tx.select_in(_body, ("document_id", "revision", "body"), "document_id", ids):
        content = parse_content(body)
        if content.customer.name == MARKER:
            continue
        scrub |= Scrub.of(content.customer)
        blanked.add(document_id)
        rewritten.append(
            (document_id, revision, content_json(content.model_copy(update={"customer": _blank(customer_id)})))
        )
    tx.update_many(_REWRITE, rewritten)
    return blanked, scrub


def _blank_inbox(tx: Transaction, app_ids: Sequence[str], document_ids: set[str]) -> None:
    money = [row[0] for row in tx.select_in(schema.payment, ("id",), "invoice_id", sorted(document_ids))]
    for ids in _chunks([*sorted(document_ids), *money]):
        matched = sa.and_(_inbox.c.app_id.in_(app_ids), _inbox.c.matched_id.in_(ids))
        tx.execute(sa.update(_inbox).where(matched).values(details="{}"))


def _drop_operations(ids: Sequence[str], tx: Transaction) -> None:
    attempts = tx.all(sa.select(_attempt.c.id, _attempt.c.reply_headers).where(_attempt.c.operation_id.in_(ids)))
    drop_bodies(tx, attempts)
    for late in _chunks([row.id for row in attempts]):
        tx.execute(sa.update(_late).where(_late.c.attempt_id.in_(late)).values(body=b""))
    drop_frozen(tx, tx.all(sa.select(_operation.c.id).where(_operation.c.id.in_(ids))))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
