"""What may become of an invoice, and when: PayPal's transitions, with the words in which it refuses others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billhook.testing.simulator import Thing
from billhook.testing.simulator.shelf import Shelf
from billhook_paypal.simulator.books import (
    UNFINISHED,
    due_of,
    moment,
    payment_reference,
    reference_of,
    shelved,
    sum_in,
    with_transaction,
)
from billhook_paypal.simulator.failures import Refused, unprocessable
from billhook_paypal.simulator.sums import money, value_of, with_sums

PAYABLE = frozenset({"SENT", "UNPAID", "PARTIALLY_PAID"})
PAID = frozenset({"PAID", "MARKED_AS_PAID", "PARTIALLY_PAID", "PAYMENT_PENDING"})
REFUNDABLE = frozenset({"PAID", "MARKED_AS_PAID", "PARTIALLY_PAID", "PARTIALLY_REFUNDED"})
REFUNDED = frozenset({"REFUNDED", "PARTIALLY_REFUNDED", "MARKED_AS_REFUNDED"})
_ID_DIGITS = 16


class Invoices:
    """The merchant's invoices, on a shelf. Each method does all of what it promises, or raises Refused."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def all(self) -> list[Thing]:
        """Those that were not deleted, oldest first."""
        return [one for one in self.shelf.all("invoice") if one.body["paypal"]["status"] != "DELETED"]

    def get(self, id: str) -> Thing:
        """The invoice of that id."""
        found = self.shelf.get(shelf_id(id) or "")
        if found is None or found.body["paypal"]["status"] == "DELETED":
            raise Refused(404)
        return found

    def create(self, told: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """A new draft. Its number is one that no other invoice has."""
        detail = {"invoice_number": self.next_number(), "invoice_date": now.date().isoformat(), **told["detail"]}
        self._check_number(detail["invoice_number"], but_of=None)
        draft = with_sums({**told, "detail": detail, "status": "DRAFT"})
        thing = self.shelf.add("invoice", reference_of(draft), shelved({**draft, "id": "?"}))
        id = _invoice_id(thing)
        metadata = {"create_time": moment(now), "recipient_view_url": f"https://www.paypal.com/invoice/p/#{id}"}
        whole = {**draft, "id": id, "detail": {**detail, "metadata": metadata}}
        return self._keep(thing, whole, "CREATED", now)

    def replace(self, id: str, told: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Another content for an invoice that nobody paid yet."""
        thing = self.get(id)
        before = thing.body["paypal"]
        if before["status"] not in UNFINISHED | PAYABLE:
            raise unprocessable("CANNOT_UPDATE_INVOICE", f"An invoice that is {before['status']} can't be updated.")
        detail = {**_kept_of(before["detail"]), **told["detail"]}
        self._check_number(detail["invoice_number"], but_of=id)
        whole = with_sums({**told, "detail": detail, "status": before["status"], "id": id})
        return self._keep(thing, whole, "UPDATED", now)

    def send(self, id: str, now: datetime, *, mail: bool) -> dict[str, Any]:
        """Make a draft payable; one with a date to come is scheduled. What was sent stays as it is."""
        thing = self.get(id)
        told = thing.body["paypal"]
        if told["status"] == "CANCELLED":
            raise unprocessable("CANNOT_SEND_CANCELLED_INVOICE", "A cancelled invoice can't be sent.")
        if told["status"] != "DRAFT":
            return dict(told)
        if date.fromisoformat(told["detail"]["invoice_date"]) > now.date():
            return self._keep(thing, {**told, "status": "SCHEDULED"}, "SCHEDULED", now)
        metadata = {**told["detail"]["metadata"], "first_sent_time": moment(now), "last_sent_time": moment(now)}
        sent = {**told, "status": "SENT" if mail else "UNPAID", "detail": {**told["detail"], "metadata": metadata}}
        return self._keep(thing, _with_due(sent), "UPDATED", now)

    def cancel(self, id: str, now: datetime) -> None:
        """Nobody owes it any more."""
        thing = self.get(id)
        told = thing.body["paypal"]
        _check_cancellable(told["status"])
        self._keep(thing, {**told, "status": "CANCELLED"}, "CANCELLED", now)

    def delete(self, id: str, now: datetime) -> None:
        """It is no more, and its number is free."""
        thing = self.get(id)
        told = thing.body["paypal"]
        if told["status"] not in UNFINISHED:
            raise unprocessable("CANNOT_DELETE_INVOICE", "Only a draft or scheduled invoice can be deleted.")
        self.shelf.change(thing, **shelved({**told, "status": "DELETED"}))

    def record_payment(self, id: str, told: Mapping[str, Any], now: datetime) -> str:
        """Note money that came another way; all that is due if no amount is given."""
        return self._take(id, {"payment_date": now.date().isoformat(), **told, "type": "EXTERNAL"}, now)

    def pay(self, id: str, amount: Decimal | None, now: datetime) -> str:
        """The customer pays through PayPal."""
        currency = self.get(id).body["paypal"]["amount"]["currency_code"]
        given = {"amount": money(amount, currency)} if amount is not None else {}
        told = {"method": "PAYPAL", "payment_date": now.date().isoformat(), **given, "type": "PAYPAL"}
        return self._take(id, told, now)

    def record_refund(self, id: str, told: Mapping[str, Any], now: datetime) -> str:
        """Note money that was given back; all that was paid if no amount is given."""
        thing = self.get(id)
        before = thing.body["paypal"]
        if before["status"] not in REFUNDABLE:
            raise unprocessable("CANNOT_PROCESS_REFUNDS", "Current invoice state does not support refunds.")
        currency = before["amount"]["currency_code"]
        left = sum_in(before, "payments", "paid_amount") - sum_in(before, "refunds", "refund_amount")
        amount = value_of(told["amount"], currency) if "amount" in told else left
        if not amount:
            raise unprocessable("VALUE_CANNOT_BE_ZERO", "Refund amount cannot be zero.")
        if amount > left:
            raise unprocessable("INVALID_REFUND_AMOUNT", "Recorded refunds cannot exceed recorded payments.")
        refund_id = f"EXTR-R{len(before.get('refunds', {}).get('transactions', [])) + 1}-{thing.id[-6:]}"
        given = {"refund_date": now.date().isoformat(), **told, "amount": money(amount, currency)}
        transaction = {"type": "EXTERNAL", **given, "refund_id": refund_id}
        grown = with_transaction(before, "refunds", "refund_amount", transaction)
        whole = "REFUNDED" if transaction["type"] == "PAYPAL" else "MARKED_AS_REFUNDED"
        status = whole if amount == left else "PARTIALLY_REFUNDED"
        self._keep(thing, {**grown, "status": status}, "REFUNDED", now)
        return refund_id

    def give_back(self, id: str, amount: Decimal, now: datetime) -> str:
        """Somebody gives money back at PayPal."""
        currency = self.get(id).body["paypal"]["amount"]["currency_code"]
        return self.record_refund(id, {"amount": money(amount, currency), "type": "PAYPAL"}, now)

    def next_number(self) -> str:
        """The last number, and one more."""
        numbers = [one.body["paypal"]["detail"]["invoice_number"] for one in self.all()]
        found = re.search(r"^(.*?)(\d+)(\D*)$", numbers[-1]) if numbers else None
        return f"{found[1]}{int(found[2]) + 1:0{len(found[2])}d}{found[3]}" if found else "0001"

    def _take(self, id: str, told: Mapping[str, Any], now: datetime) -> str:
        thing = self.get(id)
        before = thing.body["paypal"]
        if before["status"] not in PAYABLE:
            raise unprocessable("CANNOT_PROCESS_PAYMENTS", "Current invoice state does not support payment processing.")
        currency, due = before["amount"]["currency_code"], due_of(before)
        amount = value_of(told["amount"], currency) if "amount" in told else due
        if not amount:
            raise unprocessable("VALUE_CANNOT_BE_ZERO", "Payment amount cannot be zero. Please provide a valid amount.")
        if amount > due:
            raise unprocessable(
                "PAYMENT_AMOUNT_GREATER_THAN_AMOUNT_DUE", "Payment amount is greater than the amount due."
            )
        payment_id = f"EXTR-{len(self.shelf.all('payment')) + 1:017d}"
        transaction = {**told, "amount": money(amount, currency), "payment_id": payment_id}
        grown = _with_due(with_transaction(before, "payments", "paid_amount", transaction))
        reference = payment_reference(str(told.get("note", "")), payment_id)
        shown = {"amount": str(amount), "status": "received", "paypal": transaction}
        self.shelf.add("payment", reference, shown)
        status = "PARTIALLY_PAID" if amount < due else "PAID" if told["type"] == "PAYPAL" else "MARKED_AS_PAID"
        self._keep(thing, {**grown, "status": status}, "PAID", now)
        return payment_id

    def _check_number(self, number: str, *, but_of: str | None) -> None:
        taken = [one.body["paypal"] for one in self.all()]
        if any(one["detail"]["invoice_number"] == number and one["id"] != but_of for one in taken):
            raise unprocessable("DUPLICATE_INVOICE_NUMBER", f"Invoice number {number} already exists.")

    def _keep(self, thing: Thing, told: dict[str, Any], event: str, now: datetime) -> dict[str, Any]:
        self.shelf.change(thing, **shelved(told))
        self.shelf.note_event(f"INVOICING.INVOICE.{event}", thing.reference, thing.id, now)
        return told


def shelf_id(id: str) -> str | None:
    """Under which id the shelf has the invoice of that id of PayPal's; None where it is no such id."""
    digits = id.removeprefix("INV2-").replace("-", "")
    return f"invoice_{int(digits)}" if digits.isdigit() else None


def _check_cancellable(status: str) -> None:
    if status in UNFINISHED:
        raise unprocessable(f"CANNOT_CANCEL_{status}_INVOICE", f"{status.capitalize()} invoice cannot be canceled.")
    if status in PAID:
        raise unprocessable("CANNOT_CANCEL_PAID_INVOICE", "Cannot cancel a paid or partially paid invoice.")
    if status in REFUNDED:
        raise unprocessable("CANNOT_CANCEL_REFUNDED_INVOICE", "Cannot cancel a refunded or partially refunded invoice.")
    if status == "CANCELLED":
        raise unprocessable("INVOICE_CANCELED_ALREADY", "Invoice is already cancelled.")


def _kept_of(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What a full update does not take away: PayPal's own marks, and the number and date that were given."""
    return {name: detail[name] for name in ("metadata", "invoice_number", "invoice_date")}


def _with_due(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "due_amount": money(due_of(told), told["amount"]["currency_code"])}


def _invoice_id(thing: Thing) -> str:
    digits = f"{int(thing.id.rpartition('_')[2]):0{_ID_DIGITS}d}"
    return "INV2-" + "-".join(digits[start : start + 4] for start in range(0, _ID_DIGITS, 4))
