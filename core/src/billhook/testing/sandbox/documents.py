"""The documents' desk of the sandbox: invoices and credit notes, from draft to void."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime
from typing import Any

from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.testing.sandbox.desk import Ask, Route, SandboxRules, answer_batch, answer_page
from billhook.testing.sandbox.fields import Item, items_of, metadata_of, optional_text, text
from billhook.testing.sandbox.ledger import Filter, Ledger
from billhook.testing.sandbox.records import ISSUED_STATES, Document
from billhook.testing.sandbox.shown import answered, shown
from billhook.testing.sandbox.sums import sums_of
from billhook.testing.simulator.messages import SimReply

_BATCH = 50
_KINDS = {"invoices": "invoice", "credit_notes": "credit_note"}
_SETTLED = {"draft_pending": "draft", "issue_pending": "issued"}

Steps = tuple[str, ...]


class DocumentDesk:
    """Takes documents in batches, each item committed by itself, and moves them on.

    The metadata of a document may steer it: `sandbox/draft` and `sandbox/issue` (reject or pending), and
    `sandbox/omit` ("true": applied, but left out of the answers of batches).
    """

    def __init__(self, ledger: Ledger, rules: SandboxRules, shuffler: random.Random | None) -> None:
        self._ledger = ledger
        self._rules = rules
        self._shuffler = shuffler

    def routes(self) -> list[Route]:
        place = "/v1/{kind:invoices|credit_notes}"
        return [
            ("POST", place, self._create),
            ("GET", place, self._list),
            ("POST", f"{place}/upsert", self._upsert),
            ("POST", f"{place}/issue", self._issue),
            ("GET", f"{place}/{{id}}", self._get),
            ("PUT", f"{place}/{{id}}", self._replace),
            ("DELETE", f"{place}/{{id}}", self._delete),
            ("POST", f"{place}/{{id}}/send", self._send),
            ("POST", f"{place}/{{id}}/void", self._void),
        ]

    def settle(self, now: datetime) -> None:
        """Finish the pending documents whose time has come."""
        if not self._ledger.due_documents(now):
            return
        with self._ledger.transaction():  # read again inside: another thread may have settled them meanwhile
            for document in self._ledger.due_documents(now):
                self._move(replace(document, status=_SETTLED[document.status], pending_until=None), now)

    # -- creating -------------------------------------------------------------------------------------------------

    def _create(self, ask: Ask) -> SimReply:
        steps = _steps(ask)

        def create_one(item: Item) -> dict[str, Any] | None:
            with self._ledger.transaction():
                document = self._created(_KINDS[ask.path["kind"]], steps, item, ask.now)
                self._put(document, ask.now)
            return answered(document)

        return answer_batch(items_of(ask.body, "items", _BATCH), create_one, self._shuffler)

    def _upsert(self, ask: Ask) -> SimReply:
        """Create the items without an id, replace the drafts that the others name. The same content again changes nothing."""
        steps = _steps(ask)

        def upsert_one(item: Item) -> dict[str, Any] | None:
            with self._ledger.transaction():
                old = self._meant(ask.path["kind"], item) if item.get("id") else None
                new = (
                    self._revised(old, steps, item, ask.now)
                    if old
                    else self._created(_KINDS[ask.path["kind"]], steps, item, ask.now)
                )
                if new is not old:
                    self._put(new, ask.now)
            return answered(new)

        return answer_batch(items_of(ask.body, "items", _BATCH), upsert_one, self._shuffler)

    def _created(self, kind: str, steps: Steps, item: Item, now: datetime) -> Document:
        document = self._read(kind, self._ledger.next_id(kind), item)
        self._refuse_repeated(document)
        return self._steered(document, steps, now)

    def _revised(self, old: Document, steps: Steps, item: Item, now: datetime) -> Document:
        new = self._read(old.kind, old.id, item)
        goes_on = old.status == "draft" and "issue" in steps
        if _same_content(old, new) and not goes_on:
            return old
        if old.status not in {"draft", "draft_pending"}:
            raise InvalidInput("not_a_draft", f"{old.id} is {old.status}. Only a draft can be replaced.", "/id")
        return self._steered(new, steps, now)

    def _read(self, kind: str, id: str, item: Item) -> Document:
        sums = sums_of(item, id)
        document = Document(
            id=id,
            kind=kind,
            reference=text(item, "reference"),
            number=optional_text(item, "number"),
            status="draft",
            customer=self._known_customer(text(item, "customer")),
            currency=sums.currency,
            amount=sums.amount,
            discounted=sums.discounted,
            tax=sums.tax,
            total=sums.total,
            lines=sums.lines,
            discounts=sums.discounts,
            issue_date=optional_text(item, "issue_date"),
            due_date=optional_text(item, "due_date"),
            exchange_rate=optional_text(item, "exchange_rate"),
            invoice=self._known_invoice(optional_text(item, "invoice")),
            metadata=metadata_of(item),
        )
        self._refuse_taken_number(document, document.number)
        return document

    def _steered(self, document: Document, steps: Steps, now: datetime) -> Document:
        """The document after these steps (draft, issue), as its metadata steer them."""
        steering = {document.metadata.get(f"sandbox/{step}") for step in steps}
        last = steps[-1]
        if "reject" in steering:
            raise InvalidInput("rejected", f"The sandbox was told to reject the {last} of this document.")
        number = document.number or (_own_number(document) if last == "issue" else None)
        if "pending" in steering:
            until = now + self._rules.settle_after
            return replace(document, status=f"{last}_pending", number=number, pending_until=until)
        return replace(document, status=_SETTLED[f"{last}_pending"], number=number)

    # -- moving on ------------------------------------------------------------------------------------------------

    def _issue(self, ask: Ask) -> SimReply:
        def issue_one(item: Item) -> dict[str, Any] | None:
            with self._ledger.transaction():
                document = self._for_issue(ask.path["kind"], item)
                if document.status != "draft":
                    return answered(document)
                issued = self._steered(document, ("issue",), ask.now)
                self._move(issued, ask.now)
            return answered(issued)

        return answer_batch(items_of(ask.body, "items", _BATCH), issue_one, self._shuffler)

    def _for_issue(self, kind: str, item: Item) -> Document:
        """The draft that an item means, with its number; or the document as it is, where the same was done before."""
        document = self._meant(kind, item)
        number = optional_text(item, "number")
        if document.status == "draft":
            self._refuse_taken_number(document, number)
            return replace(
                document,
                number=number or document.number,
                issue_date=optional_text(item, "issue_date") or document.issue_date,
                due_date=optional_text(item, "due_date") or document.due_date,
            )
        if document.status in {*ISSUED_STATES, "issue_pending"} and number in {None, document.number}:
            return document
        message = f"{document.id} is {document.status} with the number {document.number}."
        raise InvalidInput("not_a_draft", message, "/id")

    def _meant(self, kind: str, item: Item) -> Document:
        """The document that an item names by its id."""
        try:
            document = self._existing(kind, text(item, "id"))
        except NotFound as missing:
            raise InvalidInput("not_found", str(missing), "/id") from missing
        if item.get("reference") not in {None, document.reference}:
            message = f"{document.id} belongs to {document.reference!r}, not to {item['reference']!r}."
            raise InvalidInput("reference_differs", message, "/reference")
        return document

    def _replace(self, ask: Ask) -> SimReply:
        with self._ledger.transaction():
            old = self._existing(ask.path["kind"], ask.path["id"])
            if old.status not in {"draft", "draft_pending"}:
                raise NotAllowed(f"{old.id} is {old.status}. Only a draft can be replaced.", "not_a_draft")
            document = self._steered(self._read(old.kind, old.id, ask.item), ("draft",), ask.now)
            self._ledger.put_document(document)
        return SimReply.of(200, {"ok": True, **shown(document)})

    def _send(self, ask: Ask) -> SimReply:
        with self._ledger.transaction():
            document = self._existing(ask.path["kind"], ask.path["id"])
            if document.status not in ISSUED_STATES:
                raise NotAllowed(f"{document.id} is {document.status}. Issue it before sending it.", "not_issued")
            sent = replace(document, sent_count=document.sent_count + 1, sent_at=ask.now.isoformat())
            self._ledger.move_document(sent)
        return SimReply.of(200, shown(sent))

    def _void(self, ask: Ask) -> SimReply:
        with self._ledger.transaction():
            document = self._existing(ask.path["kind"], ask.path["id"])
            if document.status == "void":
                return SimReply.of(200, shown(document))
            if document.status not in {"issued", "issue_pending"}:
                message = f"{document.id} is {document.status}. Only what is issued and not paid can be voided."
                raise NotAllowed(message, "not_voidable")
            voided = replace(document, status="void", pending_until=None)
            self._move(voided, ask.now)
        return SimReply.of(200, shown(voided))

    def _delete(self, ask: Ask) -> SimReply:
        with self._ledger.transaction():
            document = self._existing(ask.path["kind"], ask.path["id"])
            if document.status not in {"draft", "draft_pending"}:
                raise NotAllowed(f"{document.id} is {document.status}. Only a draft can be deleted.", "not_a_draft")
            self._ledger.move_document(replace(document, status="deleted", pending_until=None))
        return SimReply.of(200, {"id": document.id, "reference": document.reference, "deleted": True})

    # -- reading --------------------------------------------------------------------------------------------------

    def _get(self, ask: Ask) -> SimReply:
        return SimReply.of(200, shown(self._existing(ask.path["kind"], ask.path["id"])))

    def _list(self, ask: Ask) -> SimReply:
        kind = _KINDS[ask.path["kind"]]

        def find(wanted: Filter) -> tuple[Document, ...]:
            living = {**wanted.where, "kind": [kind], "status": _LIVING}
            return self._ledger.documents(replace(wanted, where=living))

        return answer_page(ask, ("reference", "id", "number"), find, shown)

    def _existing(self, kind: str, id: str) -> Document:
        found = self._ledger.documents(Filter({"id": [id], "kind": [_KINDS[kind]], "status": _LIVING}))
        if not found:
            raise NotFound(_KINDS[kind], id)
        return found[0]

    # -- inside ---------------------------------------------------------------------------------------------------

    def _put(self, document: Document, now: datetime) -> None:
        self._ledger.put_document(document)
        self._tell(document, now)

    def _move(self, document: Document, now: datetime) -> None:
        with self._ledger.transaction():
            self._ledger.move_document(document)
            self._tell(document, now)

    def _tell(self, document: Document, now: datetime) -> None:
        if document.status not in {"draft_pending", "issue_pending"}:
            self._ledger.note_event(f"{document.kind}.updated", document.reference, document.id, now)

    def _known_customer(self, id: str) -> str:
        if not self._ledger.customers(Filter({"id": [id]})):
            raise InvalidInput("customer_unknown", f"There is no customer {id!r}. Create it first.", "/customer")
        return id

    def _known_invoice(self, id: str | None) -> str | None:
        if id and not self._ledger.documents(Filter({"id": [id], "kind": ["invoice"], "status": _LIVING})):
            raise InvalidInput("invoice_unknown", f"There is no invoice {id!r}.", "/invoice")
        return id

    def _refuse_taken_number(self, document: Document, number: str | None) -> None:
        if number is None or not self._rules.unique_numbers:
            return
        taken = self._ledger.documents(Filter({"kind": [document.kind], "number": [number], "status": _LIVING}))
        if any(other.id != document.id for other in taken):
            raise InvalidInput("number_taken", f"The number {number!r} is used by {taken[0].id}.", "/number")

    def _refuse_repeated(self, document: Document) -> None:
        wanted = Filter({"kind": [document.kind], "reference": [document.reference], "status": _LIVING})
        if self._rules.unique_references and self._ledger.documents(wanted):
            raise InvalidInput("reference_taken", f"{document.reference!r} exists already.", "/reference")


_LIVING = ("draft_pending", "draft", "issue_pending", "issued", "paid", "void")


def _steps(ask: Ask) -> Steps:
    """The steps that the documents of a batch go at once."""
    status = ask.item.get("status", "draft")
    if status not in {"draft", "issued"}:
        raise InvalidInput("status_invalid", f"status must be draft or issued, not {status!r}.", "/status")
    return ("draft",) if status == "draft" else ("draft", "issue")


def _same_content(old: Document, new: Document) -> bool:
    moved = replace(
        new,
        status=old.status,
        number=new.number or old.number,
        sent_count=old.sent_count,
        sent_at=old.sent_at,
        pending_until=old.pending_until,
    )
    return moved == old


def _own_number(document: Document) -> str:
    return f"SBX-{document.id.upper().replace('_', '-')}"
