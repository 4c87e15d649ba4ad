"""Invoices, from draft to paid or void (docs.stripe.com/invoicing/integration/workflow-transitions)."""

from __future__ import annotations

from typing import Any

from billhook_stripe.simulator.desk import Ask, Body, Refused, Route, made_since, merged, page
from billhook_stripe.simulator.forms import flag, needed, whole
from billhook_stripe.simulator.invoice_money import InvoiceMoney
from billhook_stripe.simulator.ledger import Ledger, found_in
from billhook_stripe.simulator.sums import MOST_LINES, line_of, shown, shown_payment, summed

LONGEST_NUMBER = 26
_EDITABLE_WHEN_FINAL = frozenset({"metadata", "auto_advance", "default_payment_method", "expand"})
_HEADER = ("description", "footer", "default_payment_method")


class InvoiceDesk:
    """Takes drafts, makes them final, and keeps what was paid of them."""

    def __init__(self, ledger: Ledger, money: InvoiceMoney) -> None:
        self._ledger = ledger
        self._money = money

    def routes(self) -> list[Route]:
        one = "/v1/invoices/{id}"
        return [
            Route("POST", "/v1/invoices", self._create, "InvoiceCreateParams"),
            Route("GET", "/v1/invoices", self._list, "InvoiceListParams"),
            Route("GET", one, self._get, "InvoiceRetrieveParams"),
            Route("POST", one, self._change, "InvoiceModifyParams"),
            Route("DELETE", one, self._delete, "InvoiceDeleteParams"),
            Route("GET", f"{one}/lines", self._lines, "InvoiceLineItemListParams"),
            Route("POST", f"{one}/add_lines", self._add_lines, "InvoiceAddLinesParams"),
            Route("POST", f"{one}/remove_lines", self._remove_lines, "InvoiceRemoveLinesParams"),
            Route("POST", f"{one}/finalize", self._finalize, "InvoiceFinalizeInvoiceParams"),
            Route("POST", f"{one}/send", self._send, "InvoiceSendInvoiceParams"),
            Route("POST", f"{one}/pay", self._pay, "InvoicePayParams"),
            Route("POST", f"{one}/attach_payment", self._attach, "InvoiceAttachPaymentParams"),
            Route("GET", "/v1/invoice_payments", self._payments, "InvoicePaymentListParams"),
            Route("POST", f"{one}/void", self._void, "InvoiceVoidInvoiceParams"),
            Route("POST", f"{one}/mark_uncollectible", self._give_up, "InvoiceMarkUncollectibleParams"),
        ]

    # -- drafts ---------------------------------------------------------------------------------------------------

    def _create(self, ask: Ask) -> Body:
        params = ask.params
        customer = self._ledger.get("customer", needed(params, "customer"))
        invoice: Body = {
            "id": self._ledger.next_id("invoice"),
            "object": "invoice",
            "amount_overpaid": 0,
            "amount_paid": 0,
            "attempted": False,
            "auto_advance": flag(params, "auto_advance") is not False,
            "collection_method": params.get("collection_method", "charge_automatically"),
            "created": ask.at_seconds,
            "currency": params.get("currency") or customer["currency"] or "usd",
            "customer": customer["id"],
            "default_payment_method": None,
            "description": None,
            "due_date": None,
            "effective_at": None,
            "ending_balance": None,
            "footer": None,
            "hosted_invoice_url": None,
            "livemode": False,
            "metadata": {},
            "number": None,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "starting_balance": 0,
            "status": "draft",
            "_lines": [],
            "_payments": [],
            "_out_of_band": 0,
            "_sent_count": 0,
            "_lines_made": 0,
            "_notes": 0,
        }
        invoice = summed(self._headed(invoice, params, ask))
        self._money.save(invoice)
        self._money.tell(invoice, "invoice.created", ask.now)
        return self._shown(invoice, ask)

    def _headed(self, invoice: Body, params: Body, ask: Ask) -> Body:
        invoice = {**invoice, "metadata": merged(invoice["metadata"], params.get("metadata"))}
        invoice |= {name: params[name] or None for name in _HEADER if name in params}
        invoice["collection_method"] = params.get("collection_method", invoice["collection_method"])
        if invoice["collection_method"] == "send_invoice":
            self._check_address(invoice)
        if params.get("effective_at"):
            invoice["effective_at"] = whole(params, "effective_at")
        if params.get("number"):
            invoice["number"] = self._taken_number(invoice, params["number"])
        return {**invoice, "due_date": _due_date(invoice, params, ask)}

    def _check_address(self, invoice: Body) -> None:
        # No page of Stripe's tells of it; whoever does without an address reports this answer.
        if not self._ledger.get("customer", invoice["customer"])["email"]:
            raise Refused(
                400,
                "Missing email. In order to create invoices that are sent to the customer, the customer must have a valid email.",
            )

    def _taken_number(self, invoice: Body, number: str) -> str:
        if len(number) > LONGEST_NUMBER:
            raise Refused(400, f"Invoice numbers take {LONGEST_NUMBER} characters.", param="number")
        if not self._ledger.take_number(number, invoice["id"]):
            raise Refused(400, f"An invoice with the number {number} exists already.", param="number")
        return number

    def _change(self, ask: Ask) -> Body:
        invoice = self._existing(ask)
        if invoice["status"] != "draft":
            frozen = set(ask.params) - _EDITABLE_WHEN_FINAL
            if frozen:
                raise Refused(
                    400,
                    f"Finalized invoices can't be changed: {', '.join(sorted(frozen))}.",
                    code="invoice_not_editable",
                )
        if invoice["status"] == "draft":
            invoice = self._headed(invoice, ask.params, ask)
        else:
            invoice["metadata"] = merged(invoice["metadata"], ask.params.get("metadata"))
        return self._shown(self._money.save(invoice), ask)

    def _add_lines(self, ask: Ask) -> Body:
        invoice = self._draft(ask)
        wanted = ask.params.get("lines") or []
        if len(invoice["_lines"]) + len(wanted) > MOST_LINES:
            raise Refused(400, f"An invoice holds at most {MOST_LINES} lines.", param="lines")
        lines = [line_of(self._ledger, invoice, each, place) for place, each in enumerate(wanted)]
        made = invoice["_lines_made"] + len(lines)
        return self._edited({**invoice, "_lines_made": made, "_lines": [*invoice["_lines"], *lines]}, ask)

    def _remove_lines(self, ask: Ask) -> Body:
        invoice = self._draft(ask)
        gone = {needed(each, "id") for each in ask.params.get("lines") or []}
        unknown = gone - {line["id"] for line in invoice["_lines"]}
        if unknown:
            raise Refused(
                400, f"No such line item: {', '.join(sorted(unknown))}", code="resource_missing", param="lines"
            )
        return self._edited({**invoice, "_lines": [line for line in invoice["_lines"] if line["id"] not in gone]}, ask)

    def _edited(self, invoice: Body, ask: Ask) -> Body:
        metadata = merged(invoice["metadata"], ask.params.get("invoice_metadata"))
        return self._shown(self._money.save(summed({**invoice, "metadata": metadata})), ask)

    def _delete(self, ask: Ask) -> Body:
        invoice = self._draft(ask)
        self._money.save({**invoice, "deleted": True, "status": "deleted"})
        self._ledger.free_number(invoice["id"])
        self._money.tell(invoice, "invoice.deleted", ask.now)
        return {"id": invoice["id"], "object": "invoice", "deleted": True}

    # -- final ----------------------------------------------------------------------------------------------------

    def _finalize(self, ask: Ask) -> Body:
        invoice = self._draft(ask)
        if not invoice["_lines"]:
            raise Refused(400, "There is nothing to invoice.", code="invoice_no_customer_line_items")
        customer = self._ledger.get("customer", invoice["customer"])
        invoice["number"] = invoice["number"] or self._own_number(customer, invoice)
        invoice |= {
            "status": "open",
            "finalized_at": ask.at_seconds,
            "effective_at": invoice["effective_at"] or ask.at_seconds,
            "hosted_invoice_url": f"https://invoice.stripe.example/i/{invoice['id']}",
        }
        self._money.apply_balance(invoice, customer, ask.now)
        self._money.tell(invoice, "invoice.finalized", ask.now)
        if invoice["amount_due"]:
            self._money.await_payment(invoice, ask.now)
        else:
            self._money.paid(invoice, ask.now)
        return self._shown(self._money.save(invoice), ask)

    def _own_number(self, customer: Body, invoice: Body) -> str:
        """By default a prefix and sequence of the customer's own (docs.stripe.com/invoicing/customize)."""
        customer["_invoices"] += 1
        self._ledger.save(customer)
        return self._taken_number(invoice, f"{customer['invoice_prefix']}-{customer['_invoices']:04d}")

    def _send(self, ask: Ask) -> Body:
        """Sends an e-mail in live mode only; the event is told in both."""
        invoice = self._existing(ask)
        if invoice["status"] not in {"open", "paid"}:
            raise Refused(400, f"The invoice is {invoice['status']}.", code="invoice_not_open")
        self._money.save({**invoice, "_sent_count": invoice["_sent_count"] + 1})
        self._money.tell(invoice, "invoice.sent", ask.now)
        return self._shown(invoice, ask)

    def _void(self, ask: Ask) -> Body:
        """From open or uncollectible; the number stays used."""
        invoice = self._in(ask, "open", "uncollectible")
        if invoice["amount_paid"]:
            raise Refused(400, "The invoice was paid in part.", code="invoice_not_voidable")
        invoice |= {"status": "void", "amount_remaining": 0}
        self._money.cancel_payments(invoice, ask.now)
        self._money.save(invoice)
        self._money.tell(invoice, "invoice.voided", ask.now)
        return self._shown(invoice, ask)

    def _give_up(self, ask: Ask) -> Body:
        invoice = self._money.save({**self._in(ask, "open"), "status": "uncollectible"})
        self._money.tell(invoice, "invoice.marked_uncollectible", ask.now)
        return self._shown(invoice, ask)

    # -- money ----------------------------------------------------------------------------------------------------

    def _pay(self, ask: Ask) -> Body:
        """docs.stripe.com/api/invoices/pay: takes everything that is open, by the stored method, or notes that it came another way."""
        invoice = self._in(ask, "open", "uncollectible")
        if flag(ask.params, "paid_out_of_band"):
            invoice["_out_of_band"] = invoice["amount_remaining"]
            self._money.cancel_payments(invoice, ask.now)
            self._money.paid(invoice, ask.now)
            return self._shown(self._money.save(invoice), ask)
        customer = self._ledger.get("customer", invoice["customer"])
        own = invoice["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
        method = ask.params.get("payment_method") or own
        if method is None:
            raise Refused(400, "There is no default_payment_method set on this customer or invoice.", code="missing")
        self._money.charge(invoice, method, ask.now)
        return self._shown(invoice, ask)

    def _attach(self, ask: Ask) -> Body:
        """docs.stripe.com/api/invoices/attach_payment: money that was reported, in part or beyond what is open."""
        invoice, id = self._in(ask, "open", "uncollectible"), needed(ask.params, "payment_record")
        record = self._ledger.get("payment_record", id)
        if record["_invoice"] is not None:
            raise Refused(400, "The payment record is attached already.", param="payment_record")
        amount = record["amount_requested"]["value"]
        payment = self._money.payment(invoice, {"type": "payment_record", "payment_record": id}, amount)
        invoice["_payments"].append({**payment, "status": "paid", "amount_paid": amount})
        self._ledger.save({**record, "_invoice": invoice["id"]})
        self._money.count(invoice, amount, ask.now)
        return self._shown(invoice, ask)

    # -- reading --------------------------------------------------------------------------------------------------

    def _get(self, ask: Ask) -> Body:
        return self._shown(self._existing(ask), ask)

    def _list(self, ask: Ask) -> Body:
        found = found_in(self._ledger.all_of("invoice", ask.params.get("customer")), status=ask.params.get("status"))
        told = page(ask, made_since(ask, found), "/v1/invoices")
        return {**told, "data": [self._shown(each, ask) for each in told["data"]]}

    def _lines(self, ask: Ask) -> Body:
        return page(ask, self._existing(ask)["_lines"], f"/v1/invoices/{ask.path['id']}/lines")

    def _payments(self, ask: Ask) -> Body:
        """The payments of an invoice, newest first (docs.stripe.com/api/invoice-payment/list)."""
        invoice = self._ledger.get("invoice", needed(ask.params, "invoice"))
        wanted = ask.params.get("payment", {})
        found = [each for each in reversed(invoice["_payments"]) if wanted.items() <= each["payment"].items()]
        told = page(ask, found, "/v1/invoice_payments")
        intents = self._intent if "data.payment.payment_intent" in ask.expand else None
        return {**told, "data": [shown_payment(each, intents) for each in told["data"]]}

    def _existing(self, ask: Ask) -> Body:
        return self._ledger.get("invoice", ask.path["id"])

    def _draft(self, ask: Ask) -> Body:
        invoice = self._existing(ask)
        if invoice["status"] != "draft":
            raise Refused(400, f"The invoice is {invoice['status']}, no draft any more.", code="invoice_not_editable")
        return invoice

    def _in(self, ask: Ask, *statuses: str) -> Body:
        invoice = self._existing(ask)
        if invoice["status"] not in statuses:
            raise Refused(400, f"The invoice is {invoice['status']}.", code="invoice_not_open")
        return invoice

    def _shown(self, invoice: Body, ask: Ask) -> Body:
        return shown(invoice, ask.expand, self._intent)

    def _intent(self, id: str) -> Body:
        intent = self._ledger.get("payment_intent", id)
        return {name: value for name, value in intent.items() if not name.startswith("_")}


def _due_date(invoice: Body, params: Body, ask: Ask) -> Any:
    """Sent invoices need one of due_date and days_until_due; others take none (docs.stripe.com/api/invoices/create)."""
    stated, days = whole(params, "due_date"), whole(params, "days_until_due")
    if invoice["collection_method"] != "send_invoice":
        if stated is not None or days is not None:
            raise Refused(400, "due_date is for invoices that are sent.", param="due_date")
        return None
    if stated is not None and days is not None:
        raise Refused(400, "Name due_date or days_until_due, not both.", param="due_date")
    if stated is not None and stated <= ask.at_seconds:
        raise Refused(400, "due_date must be in the future.", param="due_date")
    if stated is None and days is None and invoice["due_date"] is None:
        raise Refused(400, "Sent invoices need due_date or days_until_due.", param="days_until_due")
    if stated is None and days is None:
        return invoice["due_date"]
    return stated if stated is not None else ask.at_seconds + 86_400 * (days or 0)
