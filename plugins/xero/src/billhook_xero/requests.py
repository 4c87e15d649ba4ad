"""Xero's requests: where each goes, how it is repeated or looked up when its outcome is unknown, and a sample of its answer.

Look-ups stay under the length of address that Xero takes, some two thousand characters: fifty ids, or thirty references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import (
    Absent,
    Batch,
    CreditNoteItem,
    Find,
    Finding,
    Function,
    InvoiceItem,
    Key,
    NumberOwner,
    PaymentItem,
    Provider,
    Repeat,
    Reply,
    Request,
    registered,
    remote_id,
)
from billhook_xero import encoding, findings, reading
from billhook_xero.config import XeroSettings
from billhook_xero.marks import contact_mark, document_mark
from billhook_xero.sdk import encoded, exact_json, models, wire_form

KEYS_HONOURED = timedelta(minutes=5)
"""Xero does not say for how long; minutes are the least that can be assumed."""

BATCH = 50
REFERENCES = 30
UNIT_DECIMALS = 4
MOST_BYTES = 3_000_000
"""Of a request; Xero takes some 3.5 million."""

_KEY = Key("Idempotency-Key", max_length=128)
_REPEAT = Repeat(within=KEYS_HONOURED - timedelta(minutes=1))
_LIST = {"summarize_errors": "false"}

Entry = dict[str, Any]
XeroBatch = Batch[Any, XeroSettings]


class XeroRequests(Provider[XeroSettings]):
    """Builds the requests, and reads what look-ups show of them."""

    @registered
    def remote_ids(self, reply: Reply, kind: str) -> Mapping[str, str]:
        """Remote ids by our reference."""
        return reading.remote_ids_of(reply, kind)

    @registered
    def match_contacts(self, reply: Reply, marks: Mapping[str, str], others: list[str]) -> Mapping[str, Finding]:
        """Whether contacts stand as they were sent. The others were not in the request."""
        return {**findings.find_contacts(reply, marks, BATCH), **dict.fromkeys(others, Absent())}

    @registered
    def match_drafts(
        self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str], others: list[str]
    ) -> Mapping[str, Finding]:
        """Whether drafts stand as they were sent. The others were not in the request."""
        return {**findings.find_drafts(reply, marks, ids, BATCH), **dict.fromkeys(others, Absent())}

    @registered
    def match_moved(self, reply: Reply, ids: Mapping[str, str | None], statuses: list[str]) -> Mapping[str, Finding]:
        """Whether invoices got one of these statuses."""
        return findings.find_moved(reply, ids, statuses, BATCH)

    @registered
    def match_sent(self, reply: Reply, item: str) -> Mapping[str, Finding]:
        """Whether an invoice was e-mailed."""
        return findings.find_sent(reply, item)

    @registered
    def match_payments(self, reply: Reply, items: list[str]) -> Mapping[str, Finding]:
        """Whether payments were recorded."""
        return findings.find_payments(reply, items, BATCH)

    @registered
    def match_credit_note(self, reply: Reply, item: str, mark: str) -> Mapping[str, Finding]:
        """Whether a credit note was made."""
        return findings.find_credit_note(reply, item, mark, BATCH)

    @registered
    def match_allocation(self, reply: Reply, item: str, invoice_id: str) -> Mapping[str, Finding]:
        """Whether a credit note was put against an invoice."""
        return findings.find_allocation(reply, item, invoice_id)

    @property
    def xero_numbers(self) -> bool:
        """Whether Xero gives documents their numbers."""
        return self.declaration.numbers.owner is NumberOwner.PROVIDER

    # Contacts.

    def contacts_request(self, batch: XeroBatch, contacts: Sequence[Any]) -> Request:
        """Create these contacts, or change those that are there."""
        entries = [wire_form(contact) for contact in contacts]
        marks = {entry["ContactNumber"]: contact_mark(entry) for entry in entries}
        where = any_of("ContactNumber", marks)
        match = self.function("match_contacts", marks=marks, others=_others(batch, marks))
        return _write(
            "contacts",
            batch,
            lambda api, tenant: upsert(api, "contacts", entries, "ContactID")(tenant, {"Contacts": entries}, **_LIST),
            recover=(_find(batch, _listing("contacts", where=where, summary_only="false"), match), _REPEAT),
            identify=self.function("remote_ids", kind="Contacts"),
            sample={"Contacts": [_made("ContactID", entry["ContactNumber"], entry) for entry in entries]},
        )

    def names_request(self, batch: XeroBatch, number: int, names: Sequence[str]) -> Request:
        """Which contacts have these names."""
        where = any_of("Name", names)
        return _read(f"names.{number}", batch, _listing("contacts", where=where), {"Contacts": []})

    # Invoices.

    def draft_entries(self, batch: Batch[InvoiceItem, XeroSettings]) -> list[Entry]:
        """The drafts of the batch as they are sent, as many as Xero takes in one request.

        Where we number, a draft stands under our own id until it is issued: a second one would be refused by Xero.
        """
        entries: list[Entry] = []
        size = 0
        for item in batch.items:
            number = None if self.xero_numbers else item.id
            entry = wire_form(encoding.draft(item, batch.settings, batch.now, number))
            size += len(exact_json(entry))
            if entries and size > MOST_BYTES:
                break
            entries.append(entry)
        return entries

    def drafts_request(self, batch: Batch[InvoiceItem, XeroSettings], entries: Sequence[Entry]) -> Request:
        """Create these drafts, or replace those that are there."""
        marks = {entry["Reference"]: document_mark(entry) for entry in entries}
        ids = {item.id: known for item in batch.items if (known := remote_id(item)) is not None and item.id in marks}
        match = self.function("match_drafts", marks=marks, ids=ids, others=_others(batch, marks))
        return _write(
            "drafts",
            batch,
            lambda api, tenant: upsert(api, "invoices", entries, "InvoiceID")(
                tenant, {"Invoices": list(entries)}, unitdp=UNIT_DECIMALS, **_LIST
            ),
            recover=(_find(batch, self._drafts_of(list(marks)), match), _REPEAT),
            items=tuple(marks),
            identify=self.function("remote_ids", kind="Invoices"),
            sample={"Invoices": [_made("InvoiceID", entry["Reference"], _shown(entry)) for entry in entries]},
        )

    def _drafts_of(self, references: Sequence[str]) -> Callable[[Any, str], Any]:
        if self.xero_numbers:
            where = any_of("Reference", references)
            return _listing("invoices", where=where, created_by_my_app="true", unitdp=UNIT_DECIMALS)
        return _listing("invoices", invoice_numbers=list(references), created_by_my_app="true", unitdp=UNIT_DECIMALS)

    def approval_request(self, batch: XeroBatch, drafts: Sequence[InvoiceItem], ids: Mapping[str, str]) -> Request:
        """Make these drafts final. ``ids`` has their remote ids."""
        entries = [
            wire_form(encoding.approval(item, batch.settings, batch.now, self.number_of(item), ids[item.id]))
            for item in drafts
        ]
        return self._move("approve", batch, entries, ids, sorted(findings.ISSUED))

    def number_of(self, item: InvoiceItem) -> str | None:
        """The number to ask for; None where Xero gives it."""
        return None if self.xero_numbers else item.number

    def removal_request(self, batch: XeroBatch, step: str, status: str, ids: Mapping[str, str]) -> Request:
        """Void or delete these invoices."""
        entries = [wire_form(encoding.moved(item, known, status)) for item, known in ids.items()]
        return self._move(step, batch, entries, ids, sorted(findings.REMOVED))

    def _move(
        self, step: str, batch: XeroBatch, entries: Sequence[Entry], ids: Mapping[str, str], statuses: list[str]
    ) -> Request:
        known = {item.id: ids.get(item.id) for item in batch.items}
        match = self.function("match_moved", ids=known, statuses=statuses)
        look = _listing("invoices", i_ds=list(ids.values()), unitdp=UNIT_DECIMALS)
        return _write(
            step,
            batch,
            lambda api, tenant: api.update_or_create_invoices(
                tenant, {"Invoices": list(entries)}, unitdp=UNIT_DECIMALS, **_LIST
            ),
            recover=(_find(batch, look, match), _REPEAT),
            sample={"Invoices": [dict(entry) for entry in entries]},
        )

    def email_request(self, batch: XeroBatch, invoice_id: str) -> Request:
        """Have Xero e-mail an invoice. It marks it as sent, which is how a lost answer is found."""
        match = self.function("match_sent", item=batch.only.id)
        return _write(
            "email",
            batch,
            lambda api, tenant: api.email_invoice(tenant, invoice_id, models().RequestEmpty()),
            recover=(_REPEAT, _find(batch, lambda api, tenant: api.get_invoice(tenant, invoice_id), match)),
            sample={},
        )

    def invoices_request(self, batch: XeroBatch, step: str, ids: Sequence[str]) -> Request:
        """Read these invoices."""
        look = _listing("invoices", i_ds=list(ids), unitdp=UNIT_DECIMALS)
        return _read(step, batch, look, {"Invoices": []})

    # Credit notes.

    def credit_note_request(self, batch: Batch[CreditNoteItem, XeroSettings]) -> Request:
        """Make a credit note, final at once."""
        item = batch.only
        entry = wire_form(encoding.credit_note(item, batch.settings, batch.now))
        match = self.function("match_credit_note", item=item.id, mark=document_mark(entry))
        look = _listing("credit_notes", where=any_of("Reference", [item.id]), unitdp=UNIT_DECIMALS)
        return _write(
            "credit_note",
            batch,
            lambda api, tenant: api.create_credit_notes(
                tenant, {"CreditNotes": [entry]}, unitdp=UNIT_DECIMALS, **_LIST
            ),
            recover=(_REPEAT, _find(batch, look, match)),
            identify=self.function("remote_ids", kind="CreditNotes"),
            sample={"CreditNotes": [_made("CreditNoteID", item.id, _shown(entry))]},
        )

    def standing_note_request(self, batch: Batch[CreditNoteItem, XeroSettings], note_id: str) -> Request:
        """Read a credit note that an earlier operation left behind."""
        sample = {"CreditNotes": [{"CreditNoteID": note_id, "Reference": batch.only.id, "Status": "AUTHORISED"}]}
        return _read("credit_note", batch, _note(note_id), sample)

    def credited_invoice_request(self, batch: Batch[CreditNoteItem, XeroSettings], invoice_id: str) -> Request:
        """Read what is due on the invoice that a credit note is for."""
        sample = {"Invoices": [{"InvoiceID": invoice_id, "AmountDue": batch.only.credit_note.total}]}
        return _read(
            "invoice", batch, lambda api, tenant: api.get_invoice(tenant, invoice_id, unitdp=UNIT_DECIMALS), sample
        )

    def allocation_request(
        self, batch: Batch[CreditNoteItem, XeroSettings], note_id: str, invoice_id: str, amount: Decimal
    ) -> Request:
        """Put a part of a credit note against its invoice."""
        entry = wire_form(encoding.allocation(invoice_id, amount, batch.settings, batch.now))
        match = self.function("match_allocation", item=batch.only.id, invoice_id=invoice_id)
        return _write(
            "allocation",
            batch,
            lambda api, tenant: api.create_credit_note_allocation(tenant, note_id, {"Allocations": [entry]}, **_LIST),
            recover=(_REPEAT, _find(batch, _note(note_id), match)),
            sample={"Allocations": [entry]},
        )

    # Payments.

    def payments_request(self, batch: Batch[PaymentItem, XeroSettings], payments: Sequence[Any]) -> Request:
        """Record these payments."""
        entries = [wire_form(payment) for payment in payments]
        references = [entry["Reference"] for entry in entries]
        match = self.function("match_payments", items=[item.id for item in batch.items])
        look = _listing("payments", where=any_of("Reference", references))
        return _write(
            "payments",
            batch,
            lambda api, tenant: api.create_payments(tenant, {"Payments": entries}, **_LIST),
            recover=(_find(batch, look, match), _REPEAT),
            identify=self.function("remote_ids", kind="Payments"),
            sample={"Payments": [_made("PaymentID", entry["Reference"], entry) for entry in entries]},
        )

    # Connection.

    def organisation_request(self, batch: XeroBatch) -> Request:
        """Read the organisation."""
        sample = {"Organisations": [{"OrganisationID": "sample", "Name": "Sample"}]}
        return _read("organisation", batch, lambda api, tenant: api.get_organisations(tenant), sample)


def _others(batch: XeroBatch, marks: Mapping[str, str]) -> list[str]:
    return [item.id for item in batch.items if item.id not in marks]


def upsert(api: Any, kind: str, entries: Sequence[Entry], id_name: str) -> Any:
    """PUT where everything is new, because Xero refuses a second one there; POST where something is to be changed."""
    if any(entry.get(id_name) for entry in entries):
        return getattr(api, f"update_or_create_{kind}")
    return getattr(api, f"create_{kind}")


def any_of(field: str, values: Sequence[str] | Mapping[str, Any]) -> str:
    """A filter for any of these values, which must hold no quotation mark."""
    return " OR ".join(f'{field}=="{value}"' for value in values)


def _listing(kind: str, **filters: Any) -> Callable[[Any, str], Any]:
    """A list with everything on one page; lines are shown where a page is asked for."""
    return lambda api, tenant: getattr(api, f"get_{kind}")(tenant, page=1, page_size=BATCH, **filters)


def _note(note_id: str) -> Callable[[Any, str], Any]:
    return lambda api, tenant: api.get_credit_note(tenant, note_id, unitdp=UNIT_DECIMALS)


def _write(
    step: str,
    batch: XeroBatch,
    build: Callable[[Any, str], Any],
    *,
    recover: tuple[Find | Repeat, ...],
    sample: Entry,
    identify: Function | None = None,
    items: tuple[str, ...] = (),
) -> Request:
    made = encoded(batch.settings.accounting_url, lambda api: build(api, batch.settings.account))
    return Request(
        step,
        made.method,
        made.url,
        made.headers,
        made.body,
        items=items,
        key=_KEY,
        recover=recover,
        identify=identify,
        sample=_sample(sample),
    )


def _read(step: str, batch: XeroBatch, build: Callable[[Any, str], Any], sample: Entry) -> Request:
    made = encoded(batch.settings.accounting_url, lambda api: build(api, batch.settings.account))
    return Request(step, made.method, made.url, made.headers, sample=_sample(sample))


def _find(batch: XeroBatch, build: Callable[[Any, str], Any], match: Function) -> Find:
    return Find(_read("look", batch, build, {}), match, authoritative=True)


def _made(id_name: str, reference: str, entry: Entry) -> Entry:
    return {id_name: f"sample_{reference}", **entry}


def _shown(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name != "LineItems"}


def _sample(value: Entry) -> Reply:
    return Reply.of(value, source="sample")
