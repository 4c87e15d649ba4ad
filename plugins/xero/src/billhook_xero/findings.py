"""What a look-up shows of requests whose outcome is unknown, each finding shaped like the answer that was lost.

A page that is not whole proves no absence, and a copy of other content proves nothing of the one that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billhook.contract import Absent, Finding, Found, Reply, Unknown
from billhook_xero.marks import contact_mark, has_document_mark
from billhook_xero.refusals import is_success, json_of

Json = Mapping[str, Any]

ISSUED = frozenset({"AUTHORISED", "PAID"})
REMOVED = frozenset({"VOIDED", "DELETED"})


def find_contacts(reply: Reply, marks: Mapping[str, str], page_size: int) -> dict[str, Finding]:
    """Of contacts that were to be created or changed, by our number."""
    page = Page(reply, "Contacts", page_size)
    return {
        item: page.one(lambda each, item=item: each.get("ContactNumber") == item, lambda each, mark=mark: contact_mark(each) == mark)  # type: ignore[misc]
        for item, mark in marks.items()
    }  # fmt: skip


def find_drafts(reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str], page_size: int) -> dict[str, Finding]:
    """Of drafts that were to be created or replaced. ``ids`` has those that stood before."""
    page = Page(reply, "Invoices", page_size)
    return {item: page.draft(item, mark, ids.get(item)) for item, mark in marks.items()}


def find_moved(reply: Reply, ids: Mapping[str, str | None], statuses: list[str], page_size: int) -> dict[str, Finding]:
    """Of invoices that were to get one of these statuses, by their ids; what has no id was not asked for."""
    page = Page(reply, "Invoices", page_size)
    return {
        item: Absent() if known is None else page.moved(item, known, frozenset(statuses)) for item, known in ids.items()
    }


def find_sent(reply: Reply, item: str) -> dict[str, Finding]:
    """Of an invoice that was to be e-mailed: Xero marks it as sent."""
    page = Page(reply, "Invoices", 1)
    if not page.entries:
        return {item: page.absent()}
    return {item: Found(Reply(204)) if page.entries[0].get("SentToContact") else Absent()}


def find_payments(reply: Reply, items: list[str], page_size: int) -> dict[str, Finding]:
    """Of payments that were to be recorded, by our reference. One that was undone at Xero does not count."""
    page = Page(reply, "Payments", page_size)

    def is_of(item: str) -> Callable[[Json], bool]:
        return lambda each: each.get("Reference") == item and each.get("Status") != "DELETED"

    return {item: page.one(is_of(item), lambda _each: True) for item in items}


def find_credit_note(reply: Reply, item: str, mark: str, page_size: int) -> dict[str, Finding]:
    """Of a credit note that was to be made, by our reference."""
    page = Page(reply, "CreditNotes", page_size)

    def stands(each: Json) -> bool:
        return each.get("Reference") == item and each.get("Status") not in REMOVED

    return {item: page.one(stands, lambda each: has_document_mark(each, mark))}


def find_allocation(reply: Reply, item: str, invoice_id: str) -> dict[str, Finding]:
    """Of a credit note that was to be put against an invoice."""
    page = Page(reply, "CreditNotes", 1)
    allocations = [each for note in page.entries for each in allocations_of(note, invoice_id)]
    if allocations:
        return {item: Found(Reply.of({"Allocations": allocations}))}
    return {item: Absent() if page.entries else page.absent()}


def allocations_of(note: Json, invoice_id: str) -> list[Json]:
    """What of a credit note stands against that invoice."""
    found = note.get("Allocations") or ()
    return [each for each in found if each["Invoice"]["InvoiceID"] == invoice_id and not each.get("IsDeleted")]


class Page:
    """One page of a list. ``entries`` are those it shows, ``is_whole`` says whether there are no others."""

    def __init__(self, reply: Reply, kind: str, page_size: int) -> None:
        self._kind = kind
        body = json_of(reply) if is_success(reply) else {}
        self.entries: list[Json] = body.get(kind, [])
        told = body.get("pagination", {}).get("itemCount")
        fits = len(self.entries) < page_size if told is None else told <= len(self.entries)
        self.is_whole = kind in body and (fits or page_size == 1)

    def absent(self) -> Absent | Unknown:
        return Absent() if self.is_whole else Unknown("the list goes on, or was not answered")

    def found(self, entry: Json) -> Found:
        return Found(Reply.of({self._kind: [entry]}))

    def one(self, is_wanted: Callable[[Json], bool], is_same: Callable[[Json], bool]) -> Finding:
        standing = [entry for entry in self.entries if is_wanted(entry)]
        same = [entry for entry in standing if is_same(entry)]
        if same:
            return self.found(same[0])
        # What differs is an older copy; the upsert that was lost can be sent again.
        return Absent() if standing else self.absent()

    def draft(self, item: str, mark: str, known: str | None) -> Finding:
        standing = [
            each
            for each in self.entries
            if known in {None, each["InvoiceID"]} and each.get("Reference") == item and each["Status"] not in REMOVED
        ]
        same = [each for each in standing if has_document_mark(each, mark)]
        if same:
            return self.found(same[0])
        if standing and known is None:
            return Unknown("another copy with that reference stands there")
        return self.absent()

    def moved(self, item: str, known: str, statuses: frozenset[str]) -> Finding:
        entry = next((each for each in self.entries if each["InvoiceID"] == known), None)
        if entry is None:
            return self.absent()
        return self.found({**entry, "Reference": item}) if entry["Status"] in statuses else Absent()
