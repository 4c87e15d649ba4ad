"""Payments that are recorded: on invoices, out of credit memos, or on account (developer.intuit.com, "Payment")."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billhook_quickbooks.simulator.changes import made
from billhook_quickbooks.simulator.documents import Documents
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.wire import Entity, Refused, money, ref


class Payments:
    """Records payments and applies them."""

    def __init__(self, ledger: Ledger, rules: CompanyRules, documents: dict[str, Documents]) -> None:
        self._ledger = ledger
        self._rules = rules
        self._documents = documents

    def create(self, body: Entity, now: datetime) -> Entity:
        """Money of a customer. What its lines take of invoices comes from the money and from the credit memos that they name."""
        customer = self._ledger.entity("Customer", ref(body, "CustomerRef") or "")
        if customer is None:
            raise Refused("2500", "Invalid Reference Id", "CustomerRef names no customer", "CustomerRef")
        total = money(body, "TotalAmt")
        if total < 0:
            raise Refused("6000", "A business validation error has occurred", "Payment amount must be 0 or greater")
        id = self._ledger.next_id()
        used = self._apply(body, id, customer["Id"], now)
        if used > total:
            raise Refused("6000", "A business validation error has occurred", "More is applied than the payment brings")
        own = {
            "CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]},
            "CurrencyRef": customer["CurrencyRef"],
            "TxnDate": body.get("TxnDate") or now.date().isoformat(),
            "TotalAmt": total,
            "UnappliedAmt": total - used,
        }
        entity = made(id, {**body, **own}, now)
        self._ledger.put("Payment", entity)
        self._ledger.note_event("payment.created", "", id, now)
        return entity

    def _apply(self, body: Entity, payment_id: str, customer_id: str, now: datetime) -> Decimal:
        """How much of the payment's own money the lines take."""
        used = Decimal("0.00")
        for line in body.get("Line") or ():
            amount = money(line, "Amount")
            for link in line.get("LinkedTxn") or ():
                documents = self._documents.get(link.get("TxnType"))
                if documents is None:
                    raise Refused("2500", "Invalid Reference Id", f"TxnType {link.get('TxnType')} is not simulated")
                if ref(documents.read(str(link.get("TxnId"))), "CustomerRef") != customer_id:
                    raise Refused("6000", "A business validation error has occurred", "It belongs to another customer")
                documents.apply(str(link["TxnId"]), amount, payment_id, now)
                used += amount if documents.kind == "Invoice" else -amount
        return used
