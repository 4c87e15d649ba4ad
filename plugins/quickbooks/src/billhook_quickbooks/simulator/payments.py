"""Payments that are recorded: on invoices, out of credit memos, or on account; changed and deleted (developer.intuit.com, "Payment")."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from billhook_quickbooks.simulator.changes import checked, made, touched
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
        id = self._ledger.next_id()
        own = {"CurrencyRef": customer["CurrencyRef"], "CustomerRef": _named(customer)}
        entity = made(id, {**body, **own, **self._brought(body, id, now)}, now)
        return self._put(entity, "created", now)

    def update(self, body: Entity, now: datetime) -> Entity:
        """As somebody corrects it: another amount, put against its invoices anew. Its customer stays."""
        old = checked(self._ledger.entity("Payment", str(body.get("Id"))), body)
        self._come_loose(old, now)
        told = {**old, **body}
        kept = {name: old[name] for name in ("CurrencyRef", "CustomerRef")}
        return self._put(touched({**told, **kept, **self._brought(told, old["Id"], now)}, old, now), "updated", now)

    def delete(self, body: Entity, now: datetime) -> Entity:
        """It stands no more, and what it had paid is due again."""
        old = checked(self._ledger.entity("Payment", str(body.get("Id"))), body)
        self._come_loose(old, now)
        self._ledger.delete(old["Id"])
        self._ledger.note_event("payment.deleted", "", old["Id"], now)
        return {"status": "Deleted", "domain": "QBO", "Id": old["Id"]}

    def _put(self, entity: Entity, change: str, now: datetime) -> Entity:
        self._ledger.put("Payment", entity)
        self._ledger.note_event(f"payment.{change}", "", entity["Id"], now)
        return entity

    def _brought(self, body: Entity, id: str, now: datetime) -> Entity:
        """What the money comes to, with what of it is put against nothing."""
        total = money(body, "TotalAmt")
        if total < 0:
            raise Refused("6000", "A business validation error has occurred", "Payment amount must be 0 or greater")
        customer_id = ref(body, "CustomerRef") or ""
        used = self._apply(body, id, customer_id, now)
        if used > total:
            raise Refused("6000", "A business validation error has occurred", "More is applied than the payment brings")
        on = body.get("TxnDate") or now.date().isoformat()
        return {"TxnDate": on, "TotalAmt": total, "UnappliedAmt": total - used}

    def _come_loose(self, payment: Entity, now: datetime) -> None:
        """What it had paid is due again, and what it had taken of credit memos is left of them."""
        for line in payment.get("Line") or ():
            for link in line.get("LinkedTxn") or ():
                self._documents[link["TxnType"]].come_loose(
                    str(link["TxnId"]), money(line, "Amount"), payment["Id"], now
                )

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


def _named(customer: Entity) -> Entity:
    return {"value": customer["Id"], "name": customer["DisplayName"]}
