"""Credit notes and what of them is put against invoices (developer.xero.com, "Credit notes")."""

from __future__ import annotations

from decimal import Decimal

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route, answer_items, answer_list, refuse_locked
from billhook_xero.simulator.documents import check_approved, check_number, contact_of, head_of, lines_of, summed
from billhook_xero.simulator.invoices import InvoiceDesk, shown
from billhook_xero.simulator.ledger import CREDIT_NOTE, INVOICE, Ledger
from billhook_xero.simulator.wire import Invalid, Json, NotFound, answered, day, number, shown_day


class CreditNoteDesk:
    """Makes, allocates and lists credit notes."""

    def __init__(self, ledger: Ledger, invoices: InvoiceDesk) -> None:
        self._ledger = ledger
        self._invoices = invoices

    def routes(self) -> list[Route]:
        """Its doors."""
        return [
            ("GET", "/CreditNotes", self._list),
            ("PUT", "/CreditNotes", self._put),
            ("GET", "/CreditNotes/{id}", self._get),
            ("PUT", "/CreditNotes/{id}/Allocations", self._allocate),
        ]

    def _list(self, ask: Ask) -> SimReply:
        columns = {"Reference": "reference", "CreditNoteNumber": "name", "Status": "status"}
        has_lines = ask.request.param("page") is not None
        return answer_list(
            ask, self._ledger, CREDIT_NOTE, "CreditNotes", columns, lambda each: shown(each, ask, has_lines)
        )

    def _get(self, ask: Ask) -> SimReply:
        return answered({"CreditNotes": [shown(self._known(ask), ask, has_lines=True)]})

    def _known(self, ask: Ask) -> Json:
        found = self._ledger.get(ask.org.tenant, CREDIT_NOTE, ask.path["id"])
        if found is None:
            raise NotFound(ask.path["id"])
        return found

    def _put(self, ask: Ask) -> SimReply:
        def do(told: Json) -> Json:
            return shown(self._make(ask, told), ask, has_lines=True)

        return answer_items(ask, self._ledger, "CreditNotes", "CreditNoteID", do)

    def _make(self, ask: Ask, told: Json) -> Json:
        tenant = ask.org.tenant
        if told.get("Type") != "ACCRECCREDIT":
            raise Invalid("Only credit notes of type ACCRECCREDIT are kept here")
        content = head_of(told, {}, ask)
        content |= {"Type": "ACCRECCREDIT", "Contact": contact_of(told, {}, ask, self._ledger)}
        content["LineItems"] = lines_of(told, {}, content, ask, self._ledger, may_discount=False)
        total = summed(content, what="credit note").total
        content |= {"RemainingCredit": total, "AppliedAmount": Decimal("0.00"), "Allocations": []}
        content["Status"] = told.get("Status") or "DRAFT"
        if content["Status"] == "AUTHORISED":
            check_approved(content, ask, needs_due_date=False)
        content["CreditNoteID"] = self._ledger.new_id(tenant, CREDIT_NOTE)
        number = told.get("CreditNoteNumber") or f"CN-{self._ledger.count(tenant, 'credit note number'):04d}"
        content["CreditNoteNumber"] = number
        check_number(self._ledger, tenant, CREDIT_NOTE, number, content["CreditNoteID"], "CreditNoteID", "Credit Note")
        self._store(ask, content, "CREDITNOTE.CREATE")
        return content

    def _store(self, ask: Ask, content: Json, event: str) -> None:
        tenant, id = ask.org.tenant, content["CreditNoteID"]
        self._ledger.save(tenant, CREDIT_NOTE, id, content, content["CreditNoteNumber"], content.get("Reference"))
        self._ledger.note_event(event, tenant, id, ask.now)

    def _allocate(self, ask: Ask) -> SimReply:
        note = self._known(ask)
        return answer_items(
            ask, self._ledger, "Allocations", "AllocationID", lambda told: self._put_against(ask, note, told)
        )

    def _put_against(self, ask: Ask, note: Json, told: Json) -> Json:
        """No more than is left of the credit, nor than is due on the invoice."""
        invoice = self._ledger.get(ask.org.tenant, INVOICE, told["Invoice"].get("InvoiceID") or "")
        amount = number(told.get("Amount"), "Amount", 2)
        if invoice is None or invoice["Status"] != "AUTHORISED" or note["Status"] != "AUTHORISED":
            raise Invalid("Credit can only be allocated between Authorised documents")
        if invoice["Contact"]["ContactID"] != note["Contact"]["ContactID"]:
            raise Invalid("The credit note and the invoice must have the same contact")
        if amount is None or amount <= 0 or amount > note["RemainingCredit"]:
            raise Invalid("The amount exceeds the amount outstanding on the credit note")
        if amount > invoice["AmountDue"]:
            raise Invalid("The amount exceeds the amount outstanding on the invoice")
        on = day(told.get("Date")) or ask.now.date()
        refuse_locked(ask.org, on, "allocation date")
        return self._apply(ask, note, invoice, amount, shown_day(on))

    def _apply(self, ask: Ask, note: Json, invoice: Json, amount: Decimal, on: str) -> Json:
        allocation = {
            "AllocationID": self._ledger.new_id(ask.org.tenant, "allocation"),
            "Invoice": {"InvoiceID": invoice["InvoiceID"], "InvoiceNumber": invoice["InvoiceNumber"]},
            "Amount": amount,
            "Date": on,
        }
        note["Allocations"].append(allocation)
        note["RemainingCredit"] -= amount
        note["AppliedAmount"] += amount
        note["Status"] = "AUTHORISED" if note["RemainingCredit"] else "PAID"
        shown_note = {name: note[name] for name in ("CreditNoteID", "CreditNoteNumber", "Date", "Total")}
        invoice["CreditNotes"].append({**shown_note, "AppliedAmount": amount})
        invoice["AmountCredited"] += amount
        invoice["AmountDue"] -= amount
        invoice["Status"] = "AUTHORISED" if invoice["AmountDue"] else "PAID"
        self._store(ask, note, "CREDITNOTE.UPDATE")
        self._invoices.store(ask, invoice, "INVOICE.UPDATE")
        return allocation
