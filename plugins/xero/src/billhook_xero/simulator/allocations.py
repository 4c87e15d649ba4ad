"""Credit of a contact that is put against invoices, and taken off them: of a credit note, or of money that came in advance or beyond what was
due (developer.xero.com, "Credit notes", "Prepayments", "Overpayments")."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route, answer_items, answer_list, refuse_locked
from billhook_xero.simulator.invoices import InvoiceDesk, shown
from billhook_xero.simulator.ledger import CREDIT_NOTE, INVOICE, OVERPAYMENT, PREPAYMENT, Ledger
from billhook_xero.simulator.wire import Invalid, Json, NotFound, answered, day, number, shown_day


@dataclass(frozen=True, slots=True)
class CreditKind:
    """A kind of credit. ``name`` is what lists call it, and an invoice what of it is put against that; ``event`` what its webhooks do."""

    kind: str
    said: str
    name: str
    id_name: str
    number_name: str | None = None
    event: str | None = None

    def on_invoice(self, credit: Json, amount: Decimal) -> Json:
        """What an invoice shows of it, in a list as by itself. No id of what is put against this one invoice is among it."""
        names = [name for name in (self.id_name, self.number_name, "Date", "Total") if name is not None]
        return {**{name: credit[name] for name in names}, "AppliedAmount": amount}


CREDIT_NOTES = CreditKind(
    CREDIT_NOTE, "credit note", "CreditNotes", "CreditNoteID", number_name="CreditNoteNumber", event="CREDITNOTE"
)
PREPAYMENTS = CreditKind(PREPAYMENT, "prepayment", "Prepayments", "PrepaymentID")
OVERPAYMENTS = CreditKind(OVERPAYMENT, "overpayment", "Overpayments", "OverpaymentID")


class CreditDesk:
    """Shows the credit of one kind, and puts it against invoices."""

    def __init__(self, ledger: Ledger, invoices: InvoiceDesk, of: CreditKind) -> None:
        self._ledger = ledger
        self._invoices = invoices
        self._of = of

    def routes(self) -> list[Route]:
        """Its doors."""
        place = f"/{self._of.name}"
        return [
            ("GET", place, self._list),
            ("GET", f"{place}/{{id}}", self._get),
            ("PUT", f"{place}/{{id}}/Allocations", self._allocate),
            ("DELETE", f"{place}/{{id}}/Allocations/{{allocation}}", self._take_off),
        ]

    def store(self, ask: Ask, credit: Json, event: str) -> None:
        """Write one, and have it told where webhooks know the kind."""
        tenant, id = ask.org.tenant, credit[self._of.id_name]
        name = credit[self._of.number_name] if self._of.number_name else None
        self._ledger.save(tenant, self._of.kind, id, credit, name, credit.get("Reference"))
        if self._of.event is not None:
            self._ledger.note_event(f"{self._of.event}.{event}", tenant, id, ask.now)

    def _list(self, ask: Ask) -> SimReply:
        columns = {"Reference": "reference", "Status": "status"}
        columns |= {self._of.number_name: "name"} if self._of.number_name else {}
        has_lines = ask.request.param("page") is not None
        return answer_list(
            ask, self._ledger, self._of.kind, self._of.name, columns, lambda each: shown(each, ask, has_lines)
        )

    def _get(self, ask: Ask) -> SimReply:
        return answered({self._of.name: [shown(self._known(ask), ask, has_lines=True)]})

    def _known(self, ask: Ask) -> Json:
        found = self._ledger.get(ask.org.tenant, self._of.kind, ask.path["id"])
        if found is None:
            raise NotFound(ask.path["id"])
        return found

    def _allocate(self, ask: Ask) -> SimReply:
        credit = self._known(ask)
        return answer_items(
            ask, self._ledger, "Allocations", "AllocationID", lambda told: self._put_against(ask, credit, told)
        )

    def _put_against(self, ask: Ask, credit: Json, told: Json) -> Json:
        """No more than is left of the credit, nor than is due on the invoice."""
        invoice = self._ledger.get(ask.org.tenant, INVOICE, told["Invoice"].get("InvoiceID") or "")
        amount = number(told.get("Amount"), "Amount", 2)
        if invoice is None or invoice["Status"] != "AUTHORISED" or credit["Status"] != "AUTHORISED":
            raise Invalid("Credit can only be allocated between Authorised documents")
        if invoice["Contact"]["ContactID"] != credit["Contact"]["ContactID"]:
            raise Invalid(f"The {self._of.said} and the invoice must have the same contact")
        if amount is None or amount <= 0 or amount > credit["RemainingCredit"]:
            raise Invalid(f"The amount exceeds the amount outstanding on the {self._of.said}")
        if amount > invoice["AmountDue"]:
            raise Invalid("The amount exceeds the amount outstanding on the invoice")
        on = day(told.get("Date")) or ask.now.date()
        refuse_locked(ask.org, on, "allocation date")
        allocation = {
            "AllocationID": self._ledger.new_id(ask.org.tenant, "allocation"),
            "Invoice": {"InvoiceID": invoice["InvoiceID"], "InvoiceNumber": invoice["InvoiceNumber"]},
            "Amount": amount,
            "Date": shown_day(on),
        }
        applied = [*invoice[self._of.name], self._of.on_invoice(credit, amount)]
        self._move(ask, credit, [*credit["Allocations"], allocation], invoice, applied, amount)
        return allocation

    def _take_off(self, ask: Ask) -> SimReply:
        """DELETE of an allocation: the invoice is due again, and the credit is free."""
        credit = self._known(ask)
        id = ask.path["allocation"]
        allocation = next((each for each in credit["Allocations"] if each["AllocationID"] == id), None)
        if allocation is None:
            raise NotFound(id)
        invoice = self._ledger.get(ask.org.tenant, INVOICE, allocation["Invoice"]["InvoiceID"])
        assert invoice is not None
        applied = list(invoice[self._of.name])
        applied.remove(self._of.on_invoice(credit, allocation["Amount"]))
        standing = [each for each in credit["Allocations"] if each is not allocation]
        with self._ledger.transaction():
            self._move(ask, credit, standing, invoice, applied, -allocation["Amount"])
        return answered({**allocation, "IsDeleted": True})

    def _move(
        self, ask: Ask, credit: Json, allocations: list[Json], invoice: Json, applied: list[Json], amount: Decimal
    ) -> None:
        """So much more of the credit stands against the invoice."""
        credit |= {"Allocations": allocations, "RemainingCredit": credit["RemainingCredit"] - amount}
        credit["AppliedAmount"] += amount
        credit["Status"] = "AUTHORISED" if credit["RemainingCredit"] else "PAID"
        invoice |= {self._of.name: applied, "AmountDue": invoice["AmountDue"] - amount}
        invoice["AmountCredited"] += amount
        invoice["Status"] = "AUTHORISED" if invoice["AmountDue"] else "PAID"
        self.store(ask, credit, "UPDATE")
        self._invoices.store(ask, invoice, "INVOICE.UPDATE")
