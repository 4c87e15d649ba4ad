"""Credit notes (developer.xero.com, "Credit notes")."""

from __future__ import annotations

from decimal import Decimal

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.allocations import CREDIT_NOTES, CreditDesk
from billhook_xero.simulator.desk import Ask, Route, answer_items
from billhook_xero.simulator.documents import check_approved, check_number, contact_of, head_of, lines_of, summed
from billhook_xero.simulator.invoices import InvoiceDesk, shown
from billhook_xero.simulator.ledger import CREDIT_NOTE, Ledger
from billhook_xero.simulator.wire import Invalid, Json


class CreditNoteDesk:
    """Makes credit notes, and lists and allocates them as any credit."""

    def __init__(self, ledger: Ledger, invoices: InvoiceDesk) -> None:
        self._ledger = ledger
        self._credit = CreditDesk(ledger, invoices, CREDIT_NOTES)

    def routes(self) -> list[Route]:
        """Its doors."""
        return [("PUT", "/CreditNotes", self._put), *self._credit.routes()]

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
        self._credit.store(ask, content, "CREATE")
        return content
