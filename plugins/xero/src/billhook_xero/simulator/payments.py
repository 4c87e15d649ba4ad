"""Payments: noted on approved invoices, at most what is due, and undone (developer.xero.com, "Payments")."""

from __future__ import annotations

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route, answer_items, answer_list, refuse_locked
from billhook_xero.simulator.invoices import ZERO, InvoiceDesk
from billhook_xero.simulator.ledger import INVOICE, PAYMENT, Ledger
from billhook_xero.simulator.wire import (
    Invalid,
    Json,
    NotFound,
    answered,
    day,
    number,
    refused,
    shown_day,
    shown_moment,
)


class PaymentDesk:
    """Records, undoes and lists payments."""

    def __init__(self, ledger: Ledger, invoices: InvoiceDesk) -> None:
        self._ledger = ledger
        self._invoices = invoices

    def routes(self) -> list[Route]:
        """Its doors."""
        return [
            ("GET", "/Payments", self._list),
            ("PUT", "/Payments", self._put),
            ("POST", "/Payments", self._put),
            ("GET", "/Payments/{id}", self._get),
            ("POST", "/Payments/{id}", self._undo),
        ]

    def _list(self, ask: Ask) -> SimReply:
        columns = {"Reference": "reference", "Status": "status"}
        return answer_list(ask, self._ledger, PAYMENT, "Payments", columns, lambda each: each)

    def _get(self, ask: Ask) -> SimReply:
        return answered({"Payments": [self._known(ask)]})

    def _known(self, ask: Ask) -> Json:
        found = self._ledger.get(ask.org.tenant, PAYMENT, ask.path["id"])
        if found is None:
            raise NotFound(ask.path["id"])
        return found

    def _put(self, ask: Ask) -> SimReply:
        return answer_items(
            ask,
            self._ledger,
            "Payments",
            "PaymentID",
            lambda told: self._record(ask, told),
            has_errors="HasValidationErrors",
        )

    def _record(self, ask: Ask, told: Json) -> Json:
        tenant = ask.org.tenant
        invoice = self._ledger.get(tenant, INVOICE, (told.get("Invoice") or {}).get("InvoiceID") or "")
        if invoice is None or invoice["Status"] != "AUTHORISED":
            raise Invalid("Payments can only be made against Authorised documents")
        amount = number(told.get("Amount"), "Amount", 2)
        if amount is None or amount <= 0:
            raise Invalid("Payment amount must be greater than zero")
        if amount > invoice["AmountDue"]:
            raise Invalid("Payment amount exceeds the amount outstanding on this document")
        on = day(told.get("Date")) or ask.now.date()
        refuse_locked(ask.org, on, "payment date")
        content: Json = {
            "PaymentID": self._ledger.new_id(tenant, PAYMENT),
            "Invoice": {"InvoiceID": invoice["InvoiceID"], "InvoiceNumber": invoice["InvoiceNumber"]},
            "Account": {"Code": _account(ask, told)},
            "Date": shown_day(on),
            "Amount": amount,
            "Reference": told.get("Reference"),
            "Status": "AUTHORISED",
            "PaymentType": "ACCRECPAYMENT",
            "UpdatedDateUTC": shown_moment(ask.now),
        }
        self._ledger.save(tenant, PAYMENT, content["PaymentID"], content, None, content["Reference"])
        self._paid(ask, invoice, [*invoice["Payments"], _on_invoice(content, invoice)])
        return content

    def _paid(self, ask: Ask, invoice: Json, payments: list[Json]) -> None:
        """These payments stand on the invoice, and no others."""
        paid = sum((each["Amount"] for each in payments), ZERO)
        invoice |= {"Payments": payments, "AmountPaid": paid}
        invoice["AmountDue"] = invoice["Total"] - paid - invoice["AmountCredited"]
        invoice["Status"] = "AUTHORISED" if invoice["AmountDue"] else "PAID"
        self._invoices.store(ask, invoice, "INVOICE.UPDATE")

    def _undo(self, ask: Ask) -> SimReply:
        """POST /Payments/{id} with Status DELETED: the invoice is due again."""
        content = self._known(ask)
        if ask.items("Payments")[0].get("Status") != "DELETED" or content["Status"] == "DELETED":
            return refused(400, 10, "ValidationException", "A payment can only be deleted, once")
        invoice = self._ledger.get(ask.org.tenant, INVOICE, content["Invoice"]["InvoiceID"])
        assert invoice is not None
        with self._ledger.transaction():
            undone = {**content, "Status": "DELETED"}
            self._ledger.save(ask.org.tenant, PAYMENT, content["PaymentID"], undone, None, content["Reference"])
            standing = [each for each in invoice["Payments"] if each["PaymentID"] != content["PaymentID"]]
            self._paid(ask, invoice, standing)
        return answered({"Payments": [undone]})


def _on_invoice(payment: Json, invoice: Json) -> Json:
    """What the invoice shows of a payment, in a list as by itself (spec, examples of getInvoices and getInvoice)."""
    return {
        **{name: payment[name] for name in ("PaymentID", "Date", "Amount", "Reference") if payment[name]},
        "CurrencyRate": invoice["CurrencyRate"],
        "HasAccount": False,
        "HasValidationErrors": False,
    }


def _account(ask: Ask, told: Json) -> str:
    code = (told.get("Account") or {}).get("Code")
    account = next((each for each in ask.org.accounts if each.code == code), None)
    if account is None or not account.active or not account.takes_payments:
        raise Invalid(f"Account code '{code}' is not a bank account, nor enabled for payments")
    return account.code
