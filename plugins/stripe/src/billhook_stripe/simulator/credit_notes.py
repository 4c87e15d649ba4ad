"""Credit notes on invoices (docs.stripe.com/api/credit_notes/create)."""

from __future__ import annotations

from billhook_stripe.simulator.customers import change_balance
from billhook_stripe.simulator.desk import Ask, Body, Refused, Route, made_since, merged, page
from billhook_stripe.simulator.forms import needed, whole
from billhook_stripe.simulator.invoice_money import InvoiceMoney
from billhook_stripe.simulator.ledger import Ledger, found_in
from billhook_stripe.simulator.refund_links import RefundLinks
from billhook_stripe.simulator.sums import total_taxes


class CreditNoteDesk:
    """Takes credit notes: what is open is reduced first, the rest goes where the request says."""

    def __init__(self, ledger: Ledger, money: InvoiceMoney) -> None:
        self._ledger = ledger
        self._money = money
        self._links = RefundLinks(ledger)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/credit_notes", self._create, "CreditNoteCreateParams"),
            Route("GET", "/v1/credit_notes", self._list, "CreditNoteListParams"),
            Route("GET", "/v1/credit_notes/{id}", self._get, "CreditNoteRetrieveParams"),
        ]

    def _create(self, ask: Ask) -> Body:
        invoice = self._ledger.get("invoice", needed(ask.params, "invoice"))
        if invoice["status"] not in {"open", "paid"}:
            raise Refused(400, f"The invoice is {invoice['status']}.", param="invoice")
        note = self._note(ask, invoice)
        before = min(note["total"], invoice["amount_remaining"]) if invoice["status"] == "open" else 0
        after = note["total"] - before
        note["refunds"] = self._links.asked(ask, invoice)
        self._refuse(ask, invoice, note, after)
        note |= {"pre_payment_amount": before, "post_payment_amount": after}
        note["type"] = "post_payment" if after else "pre_payment"
        self._put_on_balance(ask, invoice, note)
        invoice["_notes"] += 1
        self._money.credit(invoice, before, after, ask.now)
        reference = note["metadata"].get("billhook_credit_note", "")
        self._ledger.note_event("credit_note.created", reference, note["id"], ask.now)
        return self._ledger.save(note, parent=invoice["id"])

    def _note(self, ask: Ask, invoice: Body) -> Body:
        lines = [self._line(each, f"lines[{place}]") for place, each in enumerate(ask.params.get("lines") or [])]
        stated = whole(ask.params, "amount")
        if bool(lines) == (stated is not None):
            raise Refused(400, "A credit note needs either amount or lines.", param="amount")
        subtotal = sum(line["amount"] for line in lines) if stated is None else stated
        taxes = total_taxes(lines)
        on_top = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
        id = self._ledger.next_id("credit_note")
        for place, line in enumerate(lines, start=1):
            line["id"] = f"cnli_{id.rpartition('_')[2]}_{place}"
        return {
            "id": id,
            "object": "credit_note",
            "amount": subtotal + on_top,
            "created": ask.at_seconds,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "customer_balance_transaction": None,
            "invoice": invoice["id"],
            "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{id}/lines"},
            "memo": ask.params.get("memo"),
            "metadata": merged({}, ask.params.get("metadata")),
            "number": f"{invoice['number']}-CN-{invoice['_notes'] + 1:02d}",
            "pdf": f"https://pay.stripe.example/credit_notes/{id}/pdf",
            "status": "issued",
            "subtotal": subtotal,
            "total": subtotal + on_top,
            "total_taxes": taxes,
        }

    def _line(self, params: Body, place: str) -> Body:
        if needed(params, "type") != "custom_line_item":
            raise Refused(400, "This simulator takes custom lines alone.", param=f"{place}[type]")
        unit, quantity = whole(params, "unit_amount"), whole(params, "quantity") or 1
        if unit is None:
            raise Refused(400, "Missing required param.", code="parameter_missing", param=f"{place}[unit_amount]")
        taxes = [self._tax(each, f"{place}[tax_amounts]") for each in params.get("tax_amounts") or ()]
        return {
            "id": "",
            "object": "credit_note_line_item",
            "amount": unit * quantity,
            "description": params.get("description"),
            "metadata": merged({}, params.get("metadata")),
            "quantity": quantity,
            "taxes": taxes,
            "type": "custom_line_item",
            "unit_amount": unit,
        }

    def _tax(self, stated: Body, place: str) -> Body:
        rate = self._ledger.get("tax_rate", needed(stated, "tax_rate"))
        amount, taxable = whole(stated, "amount"), whole(stated, "taxable_amount")
        if amount is None or taxable is None:
            raise Refused(400, "A tax amount needs amount and taxable_amount.", param=place)
        return {
            "amount": amount,
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        }

    def _refuse(self, ask: Ask, invoice: Body, note: Body, after: int) -> None:
        """No more than the invoice less what went back of it already, and what was paid must be given back in a stated way.

        "The credit note API subtracts those refund amounts from the maximum creditable amount" (docs.stripe.com/api/credit_notes/create).
        """
        total, linked = note["total"], sum(each["amount_refunded"] for each in note["refunds"])
        credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
        went_back = self._links.unlinked(invoice) - linked
        if total <= 0 or total > invoice["total"] - credited - went_back:
            raise Refused(400, "The credit note is over more than is left of the invoice.", param="amount")
        parts = ("refund_amount", "credit_amount", "out_of_band_amount")
        stated = linked + sum(whole(ask.params, part) or 0 for part in parts)
        if stated != after:
            message = f"The sum of refunds, {', '.join(parts)} must equal the post-payment amount, {after}."
            raise Refused(400, message, param="credit_amount")

    def _put_on_balance(self, ask: Ask, invoice: Body, note: Body) -> None:
        amount = whole(ask.params, "credit_amount")
        if not amount:
            return
        # Saved first, because ids are counted by what is there.
        self._ledger.save(note, parent=invoice["id"])
        customer = self._ledger.get("customer", invoice["customer"])
        entry = change_balance(
            self._ledger, customer, -amount, note["currency"], "credit_note", ask.at_seconds, invoice=invoice["id"]
        )
        note["customer_balance_transaction"] = entry["id"]

    def _get(self, ask: Ask) -> Body:
        return self._ledger.get("credit_note", ask.path["id"])

    def _list(self, ask: Ask) -> Body:
        found = self._ledger.all_of("credit_note", ask.params.get("invoice"))
        found = found_in(found, customer=ask.params.get("customer"))
        return page(ask, made_since(ask, found), "/v1/credit_notes")
