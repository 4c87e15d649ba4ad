"""Invoices and credit memos: posted at once, changed, e-mailed, made void, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billhook_quickbooks.simulator.changes import changed, checked, made, not_found, touched
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.sums import summed
from billhook_quickbooks.simulator.wire import Entity, Refused, decimal, ref

LONGEST_NUMBER = 21
_LEFT = {"Invoice": "Balance", "CreditMemo": "RemainingCredit"}
# What a full change does not clear, because nobody writes it.
_KEPT = ("LinkedTxn", "CurrencyRef", "EmailStatus", "DeliveryInfo")


class Documents:
    """One kind of document."""

    def __init__(self, kind: str, ledger: Ledger, rules: CompanyRules) -> None:
        self.kind = kind
        self._left = _LEFT[kind]
        self._ledger = ledger
        self._rules = rules

    def create(self, body: Entity, now: datetime, *, allows_duplicates: bool = False) -> Entity:
        """Post a document; there are no drafts."""
        content = self._checked(body, now)
        number = self._number(body, None, allows_duplicates=allows_duplicates)
        entity = made(self._ledger.next_id(), {"EmailStatus": "NotSet", **content, **number}, now)
        self._put({**entity, self._left: entity["TotalAmt"]}, "created", now)
        return self.read(entity["Id"])

    def update(self, body: Entity, now: datetime) -> Entity:
        """Post it anew; what was applied to it stays."""
        old = self.read(str(body.get("Id")))
        entity = changed(old, body, now, kept=_KEPT)
        applied = Decimal(old["TotalAmt"]) - Decimal(old[self._left])
        content = self._checked(entity, now)
        left = Decimal(content["TotalAmt"]) - applied
        if left < 0:
            raise Refused(
                "6000", "A business validation error has occurred", "The amount is less than what was applied"
            )
        number = self._number(entity, old["Id"], allows_duplicates=False)
        self._put({**content, **number, self._left: left}, "updated", now)
        return self.read(old["Id"])

    def void(self, body: Entity, now: datetime) -> Entity:
        """Amounts become nothing and the note says "Voided"; the number stays. Payments come loose."""
        old = self._standing(body)
        self._refuse_closed(old["TxnDate"])
        lines = [_emptied(line) for line in old["Line"]]
        nothing: Mapping[str, Any] = {
            "TotalAmt": Decimal(0),
            self._left: Decimal(0),
            "TxnTaxDetail": {"TotalTax": Decimal(0)},
        }
        entity = {**old, "Line": lines, **nothing, "PrivateNote": "Voided", "LinkedTxn": []}
        self._put(touched(entity, old, now), "voided", now)
        return self.read(old["Id"])

    def delete(self, body: Entity, now: datetime) -> Entity:
        """It stands no more, and its number is free again."""
        old = self._standing(body)
        self._refuse_closed(old["TxnDate"])
        self._ledger.delete(old["Id"])
        self._tell("deleted", old["Id"], now)
        return {"status": "Deleted", "domain": "QBO", "Id": old["Id"]}

    def send(self, id: str, address: str | None, now: datetime) -> Entity:
        """E-mail it to that address, else to its own (developer.intuit.com, "Send an invoice")."""
        old = self.read(id)
        to = address or (old.get("BillEmail") or {}).get("Address")
        if not to:
            raise Refused("2020", "Required param missing, need to supply the required value for the API", "sendTo")
        delivery = {"DeliveryType": "Email", "DeliveryTime": now.isoformat(timespec="seconds")}
        sent = {**old, "EmailStatus": "EmailSent", "BillEmail": {"Address": to}, "DeliveryInfo": delivery}
        self._ledger.count_sending(id)
        self._put(touched(sent, old, now), "emailed", now)
        return self.read(id)

    def read(self, id: str) -> Entity:
        """It as it stands."""
        found = self._ledger.entity(self.kind, id)
        if found is None:
            raise not_found(id)
        return found

    def apply(self, id: str, amount: Decimal, payment_id: str, now: datetime) -> None:
        """So much of it is settled by that payment."""
        old = self.read(id)
        left = Decimal(old[self._left]) - amount
        if left < 0:
            detail = f"The amount {amount:f} is more than the {old[self._left]} that {self.kind} {id} has open"
            raise Refused("6000", "A business validation error has occurred", detail, "Line.Amount")
        link = {"TxnId": payment_id, "TxnType": "Payment"}
        entity = {**old, self._left: left, "LinkedTxn": [*old.get("LinkedTxn", ()), link]}
        self._put(touched(entity, old, now), "updated", now)

    def come_loose(self, id: str, amount: Decimal, payment_id: str, now: datetime) -> None:
        """So much of it is open again, because that payment was changed or deleted. One that stands no more, or is void, stays so."""
        old = self._ledger.entity(self.kind, id)
        if old is None or payment_id not in [link["TxnId"] for link in old.get("LinkedTxn", ())]:
            return
        links = [link for link in old["LinkedTxn"] if link["TxnId"] != payment_id]
        entity = {**old, self._left: Decimal(old[self._left]) + amount, "LinkedTxn": links}
        self._put(touched(entity, old, now), "updated", now)

    def _standing(self, body: Entity) -> Entity:
        return checked(self._ledger.entity(self.kind, str(body.get("Id"))), body)

    def _checked(self, body: Entity, now: datetime) -> Entity:
        day = str(body.get("TxnDate") or now.date().isoformat())
        self._refuse_closed(day)
        return {**body, "TxnDate": day, **self._parties(body), **summed(body, self._rules)}

    def _parties(self, body: Entity) -> Entity:
        customer = self._ledger.entity("Customer", ref(body, "CustomerRef") or "")
        if customer is None:
            raise Refused("2500", "Invalid Reference Id", "CustomerRef names no customer", "CustomerRef")
        theirs = ref(customer, "CurrencyRef")
        ours = ref(body, "CurrencyRef") or theirs
        if ours != theirs:
            detail = f"The customer is kept in {theirs}, the transaction is in {ours}"
            raise Refused("6000", "A business validation error has occurred", detail, "CurrencyRef")
        parties: Entity = {"CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]}}
        parties["CurrencyRef"] = {"value": ours}
        if ours != self._rules.home_currency:
            # Left out, a rate is taken from somewhere; here it is 1, which is what goes wrong most.
            parties["ExchangeRate"] = decimal(body, "ExchangeRate", "1")
        return parties

    def _number(self, body: Entity, own_id: str | None, *, allows_duplicates: bool) -> Entity:
        """With custom numbers the one that is sent, or none; without, the company's own (.NET SDK, Transaction.DocNumber)."""
        sent = body.get("DocNumber")
        if not self._rules.custom_numbers or sent == "AUTO_GENERATE":
            return {"DocNumber": sent if own_id and sent else self._ledger.next_number()}
        if sent is None:
            return {"DocNumber": None}
        if len(sent) > LONGEST_NUMBER:
            detail = f"Property Name: DocNumber, length {len(sent)}, allowed 0 to {LONGEST_NUMBER}"
            raise Refused("2050", "Property Value exceeds the max length", detail, "DocNumber")
        others = [each["Id"] for each in self._ledger.select(self.kind, "number", [sent]) if each["Id"] != own_id]
        if others and not allows_duplicates:
            detail = f"Duplicate Document Number Error : You must specify a different number. DocNumber={sent} TxnId={others[0]}"
            raise Refused("6140", "Duplicate Document Number Error", detail, "DocNumber")
        return {"DocNumber": sent}

    def _refuse_closed(self, day: str) -> None:
        closed = self._rules.closed_until
        if closed is not None and date.fromisoformat(day) <= closed:
            detail = f"The account period has closed (until {closed}) and the account books cannot be updated"
            raise Refused("6210", "Account Period Closed, Cannot Update Through Services API", detail, "TxnDate")

    def _put(self, entity: Entity, change: str, now: datetime) -> None:
        kept = {name: value for name, value in entity.items() if value is not None}
        self._ledger.put(self.kind, kept)
        self._tell(change, entity["Id"], now)

    def _tell(self, change: str, id: str, now: datetime) -> None:
        self._ledger.note_event(f"{self.kind.lower()}.{change}", "", id, now)


def _emptied(line: Entity) -> Entity:
    if line["DetailType"] != "SalesItemLineDetail":
        return {**line, "Amount": Decimal(0)}
    detail = {**line["SalesItemLineDetail"], "Qty": 0, "UnitPrice": Decimal(0)}
    return {**line, "Amount": Decimal(0), "SalesItemLineDetail": detail}
