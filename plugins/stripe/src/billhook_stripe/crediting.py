"""Credit notes: on an invoice at Stripe as a credit note, else as credit on the customer's balance, or refused."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from billhook.contract import (
    Batch,
    Call,
    CreditNoteItem,
    DocumentResult,
    Done,
    Rejected,
    Reply,
    Request,
    Steps,
    hookimpl,
    remote_id,
)
from billhook.errors import InvalidInput
from billhook_stripe import encoding, reading
from billhook_stripe.currencies import from_units, to_units
from billhook_stripe.encoding import CREDIT_NOTE_KEY
from billhook_stripe.lines import TAX_KEY
from billhook_stripe.requests import LONGEST_LIST, StripeRequests
from billhook_stripe.settings import StripeSettings

Body = Mapping[str, Any]
CreditNotes = Batch[CreditNoteItem, StripeSettings]
Outcome = Done[DocumentResult] | Rejected

_NO_CUSTOMER = Rejected.because(
    "customer_not_there", "The customer does not stand at Stripe. Sync the customer first, then retry."
)
_NOTHING_TO_STAND_ON = Rejected.because(
    "credit_note_unattached",
    "Stripe's credit notes stand on an invoice, and this one has none. Name the credited invoice, refund the payment, or set "
    "unattached_credit_notes of the app to customer_balance.",
)


class Crediting(StripeRequests):
    """Credit notes."""

    @hookimpl
    def credit(self, batch: CreditNotes) -> Steps[DocumentResult]:
        """Issue a credit note on its invoice. One that has none goes to the customer's credit balance, or is refused."""
        item = batch.only
        try:
            outcome = yield from self._credited(batch)
        except InvalidInput as problem:
            outcome = Rejected.because(problem.code, problem.message, path=problem.path)
        return {item.id: outcome}

    def _credited(self, batch: CreditNotes) -> Generator[Request | Call, Reply, Outcome]:
        item = batch.only
        if item.applies_to is not None:
            return (yield from self._on_invoice(batch, item.applies_to))
        if batch.settings.unattached_credit_notes == "refuse":
            return _NOTHING_TO_STAND_ON
        if item.customer.external_id is None:
            return _NO_CUSTOMER
        return (yield from self._on_balance(batch, item.customer.external_id))

    def _on_balance(self, batch: CreditNotes, customer: str) -> Generator[Request | Call, Reply, Outcome]:
        path = f"/v1/customers/{customer}/balance_transactions"
        find = self.all_listed(batch, path, CREDIT_NOTE_KEY)
        known, params = remote_id(batch.only), encoding.balance_params(batch.only)
        sample = {"id": known or "cbtxn_sample"}
        if known is None:
            reply = yield self.post(batch, "balance", path, params, find, sample)
        else:
            reply = yield self.get(batch, "balance", f"{path}/{known}", {}, sample)
        return reading.read_balance_entry(reply.json()) if reading.is_success(reply) else reading.refused(reply)

    def _on_invoice(self, batch: CreditNotes, invoice_id: str) -> Generator[Request | Call, Reply, Outcome]:
        known = remote_id(batch.only)
        if known is not None:
            reply = yield self.get(batch, "credit_note", f"/v1/credit_notes/{known}", {}, {"id": known})
            return _read(reply)
        read = yield self.get(batch, "invoice", f"/v1/invoices/{invoice_id}", {}, _sample_invoice(batch.only))
        if not reading.is_success(read):
            return reading.refused(read)
        beyond = _beyond(batch.only, read.json(), batch.settings)
        if isinstance(beyond, Rejected):
            return beyond
        rates = yield from self._rates(batch, invoice_id)
        if isinstance(rates, Rejected):
            return rates
        params = encoding.credit_note_params(batch.only, rates, beyond)
        find = self.all_listed(batch, "/v1/credit_notes", CREDIT_NOTE_KEY, invoice=invoice_id)
        return _read((yield self.post(batch, "credit_note", "/v1/credit_notes", params, find, {"id": "cn_sample"})))

    def _rates(
        self, batch: CreditNotes, invoice_id: str
    ) -> Generator[Request | Call, Reply, dict[str, str] | Rejected]:
        """Stripe's tax rates by name, read off the invoice's lines: a credit note can only name rates that exist there."""
        wanted, after, page = encoding.tax_names(batch.only), None, 1
        found: dict[str, str] = {}
        while wanted - found.keys():
            params = {"limit": LONGEST_LIST, "starting_after": after}
            path, sample = f"/v1/invoices/{invoice_id}/lines", _sample_rates(wanted)
            reply = yield self.get(batch, f"lines.{page}", path, params, sample)
            if not reading.is_success(reply):
                return reading.refused(reply)
            shown = reply.json()
            found |= _rates_of(shown["data"])
            if not shown["has_more"]:
                break
            after, page = shown["data"][-1]["id"], page + 1
        missing = sorted(wanted - found.keys())
        if missing:
            message = (
                f"The credited invoice has no tax {', '.join(missing)} at Stripe. Credit with the taxes of the invoice."
            )
            return Rejected.because("credit_note_tax_unknown", message, path="/lines")
        return {name: found[name] for name in wanted}


def _read(reply: Reply) -> Outcome:
    return reading.read_credit_note(reply.json()) if reading.is_success(reply) else reading.refused(reply)


def _beyond(item: CreditNoteItem, invoice: Body, settings: StripeSettings) -> dict[str, int] | Rejected:
    """What of the credit no open amount takes, and where it goes (docs.stripe.com/api/credit_notes/create)."""
    currency = item.credit_note.currency
    total = to_units(item.credit_note.total, currency)
    open_units = invoice["amount_remaining"] if invoice["status"] == "open" else 0
    rest = max(total - open_units, 0)
    if not rest:
        return {}
    if settings.unattached_credit_notes == "customer_balance":
        return {"credit_amount": rest}
    message = (
        f"Invoice {invoice.get('number')} has {from_units(open_units, currency):f} {currency} open at Stripe, the credit note is "
        f"over {item.credit_note.total:f}. Refund the payment instead, or set unattached_credit_notes of the app to customer_balance."
    )
    return Rejected.because("credit_note_exceeds_open_amount", message, path="/totals/total")


def _rates_of(lines: Sequence[Body]) -> dict[str, str]:
    rates: dict[str, str] = {}
    for line in lines:
        for place, tax in enumerate(line.get("taxes") or ()):
            name = line["metadata"].get(TAX_KEY.format(place))
            if name is not None:
                rates[name] = tax["tax_rate_details"]["tax_rate"]
    return rates


def _sample_invoice(item: CreditNoteItem) -> dict[str, Any]:
    view = item.credit_note
    open_units = to_units(view.total, view.currency)
    return {"id": item.applies_to, "status": "open", "amount_remaining": open_units}


def _sample_rates(wanted: frozenset[str]) -> dict[str, Any]:
    taxes = [{"tax_rate_details": {"tax_rate": f"txr_sample_{place}"}} for place in range(len(wanted))]
    metadata = {TAX_KEY.format(place): name for place, name in enumerate(sorted(wanted))}
    return {"data": [{"id": "il_sample", "taxes": taxes, "metadata": metadata}], "has_more": False}
