"""Invoices: drafts, approval, e-mail, void and delete (developer.xero.com, "Invoices")."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route, answer_items, answer_list
from billhook_xero.simulator.documents import check_approved, check_number, contact_of, head_of, lines_of, summed
from billhook_xero.simulator.ledger import CONTACT, INVOICE, Ledger
from billhook_xero.simulator.wire import Invalid, Json, NotFound, answered, refused_with

# What may follow a status. An approved invoice can be changed until something is paid or credited on it.
_NEXT: Mapping[str, frozenset[str]] = {
    "": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED"}),
    "DRAFT": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "SUBMITTED": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "AUTHORISED": frozenset({"AUTHORISED", "VOIDED"}),
}
_NOT_MODIFIABLE = "Invoice not of valid status for modification"
_CAN_BE_SENT = frozenset({"SUBMITTED", "AUTHORISED", "PAID"})
_LOCKING = frozenset({"AUTHORISED", "VOIDED"})
# What an invoice shows of the money and credit on it, in a list too (spec, example of getInvoices).
_APPLIED = ("Payments", "CreditNotes", "Prepayments", "Overpayments")
ZERO = Decimal("0.00")


class InvoiceDesk:
    """Creates, changes, approves, e-mails, voids and lists invoices."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> list[Route]:
        """Its doors."""
        return [
            ("GET", "/Invoices", self._list),
            ("PUT", "/Invoices", self._put),
            ("POST", "/Invoices", self._post),
            ("GET", "/Invoices/{id}", self._get),
            ("POST", "/Invoices/{id}", self._post),
            ("POST", "/Invoices/{id}/Email", self._email),
        ]

    def _list(self, ask: Ask) -> SimReply:
        columns = {"Reference": "reference", "InvoiceNumber": "name", "Status": "status"}
        has_lines = ask.request.param("page") is not None
        return answer_list(ask, self._ledger, INVOICE, "Invoices", columns, lambda each: shown(each, ask, has_lines))

    def _get(self, ask: Ask) -> SimReply:
        found = self._ledger.get(ask.org.tenant, INVOICE, ask.path["id"])
        if found is None:
            raise NotFound(ask.path["id"])
        return answered({"Invoices": [shown(found, ask, has_lines=True)]})

    def _put(self, ask: Ask) -> SimReply:
        return self._items(ask, creates=True)

    def _post(self, ask: Ask) -> SimReply:
        return self._items(ask, creates=False)

    def _items(self, ask: Ask, *, creates: bool) -> SimReply:
        def do(told: Json) -> Json:
            named = {**told, "InvoiceID": ask.path["id"]} if "id" in ask.path else told
            standing = None if creates else self._standing(ask, named)
            return shown(self._save(ask, named, standing), ask, has_lines=True)

        return answer_items(ask, self._ledger, "Invoices", "InvoiceID", do)

    def _standing(self, ask: Ask, told: Json) -> Json | None:
        """POST changes the invoice of that InvoiceID, else of that InvoiceNumber."""
        if told.get("InvoiceID"):
            found = self._ledger.get(ask.org.tenant, INVOICE, told["InvoiceID"])
            if found is None:
                raise Invalid("Invoice not found")
            return found
        named = self._ledger.where(ask.org.tenant, INVOICE, "name", [told.get("InvoiceNumber") or ""])
        return next((each for each in named if each["Status"] != "DELETED"), None)

    def _save(self, ask: Ask, told: Json, standing: Json | None) -> Json:
        before = standing or {}
        status = told.get("Status") or before.get("Status") or "DRAFT"
        _check_move(before, status)
        content = self._content(ask, told, before) if status not in {"VOIDED", "DELETED"} else dict(before)
        if status in _LOCKING:
            check_approved(content, ask, needs_due_date=True)
        # Nothing to be paid is paid at once.
        content["Status"] = "PAID" if status == "AUTHORISED" and not content["AmountDue"] else status
        if status == "VOIDED":
            content |= {"AmountDue": ZERO}
        self.store(ask, content, "INVOICE.UPDATE" if standing else "INVOICE.CREATE")
        return content

    def _content(self, ask: Ask, told: Json, before: Json) -> Json:
        tenant = ask.org.tenant
        if (told.get("Type") or before.get("Type")) != "ACCREC":
            raise Invalid("Only invoices of type ACCREC are kept here")
        content = head_of(told, before, ask)
        content |= {"Type": "ACCREC", "Contact": contact_of(told, before, ask, self._ledger)}
        content["LineItems"] = lines_of(told, before, content, ask, self._ledger, may_discount=True)
        sums = summed(content, what="invoice")
        paid, credited = before.get("AmountPaid", ZERO), before.get("AmountCredited", ZERO)
        content |= {"AmountPaid": paid, "AmountCredited": credited, "AmountDue": sums.total - paid - credited}
        content |= {"TotalDiscount": sums.discount, "SentToContact": before.get("SentToContact", False)}
        content |= {name: before.get(name, []) for name in _APPLIED}
        content["InvoiceID"] = before.get("InvoiceID") or self._ledger.new_id(tenant, INVOICE)
        content["InvoiceNumber"] = told.get("InvoiceNumber") or before.get("InvoiceNumber") or self._next_number(tenant)
        check_number(
            self._ledger, tenant, INVOICE, content["InvoiceNumber"], content["InvoiceID"], "InvoiceID", "Invoice"
        )
        return content

    def _next_number(self, tenant: str) -> str:
        return f"INV-{self._ledger.count(tenant, 'invoice number'):04d}"

    def store(self, ask: Ask, content: Json, event: str) -> None:
        """Write an invoice, and have it told."""
        tenant, id = ask.org.tenant, content["InvoiceID"]
        self._ledger.save(tenant, INVOICE, id, content, content["InvoiceNumber"], content.get("Reference"))
        self._ledger.note_event(event, tenant, id, ask.now)

    def _email(self, ask: Ask) -> SimReply:
        """POST /Invoices/{id}/Email: 204; only for what was submitted or approved, to the contact's address."""
        found = self._ledger.get(ask.org.tenant, INVOICE, ask.path["id"])
        if found is None:
            raise NotFound(ask.path["id"])
        contact = self._ledger.get(ask.org.tenant, CONTACT, found["Contact"]["ContactID"]) or {}
        problem = None if found["Status"] in _CAN_BE_SENT else "The document cannot be sent in its status"
        problem = problem or (None if contact.get("EmailAddress") else "The contact has no email address")
        if problem is not None:
            return refused_with([problem])
        with self._ledger.transaction() as tx:
            tx.execute("INSERT INTO sent VALUES (?, ?)", (found["InvoiceID"], int(ask.now.timestamp())))
            self.store(ask, {**found, "SentToContact": True}, "INVOICE.UPDATE")
        return SimReply(204)


def _check_move(before: Json, status: str) -> None:
    if status not in _NEXT.get(before.get("Status", ""), frozenset()):
        raise Invalid(_NOT_MODIFIABLE)
    if before.get("Status") == "AUTHORISED" and (before["AmountPaid"] or before["AmountCredited"]):
        raise Invalid(_NOT_MODIFIABLE)


def shown(content: Json, ask: Ask, has_lines: bool) -> Json:
    """The invoice as an answer has it; unit amounts with two decimals unless four were asked for."""
    unit = Decimal(1).scaleb(-ask.unit_decimals)
    lines = [{**line, "UnitAmount": line["UnitAmount"].quantize(unit)} for line in content["LineItems"]]
    return {**content, "LineItems": lines if has_lines else []}
