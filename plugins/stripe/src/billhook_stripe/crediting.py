"""Credit notes: on an invoice at Stripe as a credit note, else as credit on the customer's balance, or refused.

What of one the open amount does not take was paid, and Stripe wants to be told how it goes back. Refunds that went back already are linked;
only the rest becomes credit of the customer, or is refused (docs.stripe.com/invoicing/integration/programmatic-credit-notes, credit notes for
paid invoices). A refund that is under way is linked like one that arrived, because its money is not to be given by credit as well; one
that failed or was canceled gave nothing (docs.stripe.com/refunds, failed refunds).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
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
    Retry,
    Steps,
    hookimpl,
    remote_id,
)
from billhook.errors import InvalidInput
from billhook_stripe import encoding, linking, reading
from billhook_stripe.currencies import from_units, to_units
from billhook_stripe.encoding import CREDIT_NOTE_KEY
from billhook_stripe.lines import TAX_KEY, Params
from billhook_stripe.receiving import Receiving
from billhook_stripe.requests import LONGEST_LIST
from billhook_stripe.settings import StripeSettings

Body = Mapping[str, Any]
CreditNotes = Batch[CreditNoteItem, StripeSettings]
Outcome = Done[DocumentResult] | Rejected | Retry

_WITH_PAYMENTS = {"expand": ["payments"]}
_NO_CUSTOMER = Rejected.because(
    "customer_not_there", "The customer does not stand at Stripe. Sync the customer first, then retry."
)
_NOTHING_TO_STAND_ON = Rejected.because(
    "credit_note_unattached",
    "Stripe's credit notes stand on an invoice, and this one has none. Name the credited invoice, refund the payment, or set "
    "unattached_credit_notes of the app to customer_balance.",
)
_CHANGED = Retry(timedelta(seconds=2), "the invoice was paid or credited at Stripe meanwhile; it is read again")


class Crediting(Receiving):
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
        read = yield self.get(
            batch, "invoice", f"/v1/invoices/{invoice_id}", _WITH_PAYMENTS, _sample_invoice(batch.only)
        )
        if not reading.is_success(read):
            return reading.refused(read)
        beyond = yield from self._beyond(batch, read.json())
        if isinstance(beyond, Done | Rejected):
            return beyond
        rates = yield from self._rates(batch, invoice_id)
        if isinstance(rates, Rejected):
            return rates
        reply = yield self._issue(batch, invoice_id, encoding.credit_note_params(batch.only, rates, beyond))
        return _read(reply) if reading.is_success(reply) else (yield from self._refused(batch, read.json(), reply))

    def _issue(self, batch: CreditNotes, invoice_id: str, params: Params) -> Request:
        find = self.all_listed(batch, "/v1/credit_notes", CREDIT_NOTE_KEY, invoice=invoice_id)
        return self.post(batch, "credit_note", "/v1/credit_notes", params, find, {"id": "cn_sample"})

    def _refused(self, batch: CreditNotes, before: Body, refusal: Reply) -> Generator[Request | Call, Reply, Outcome]:
        """The refusal; where the invoice was paid or credited since it was read, a new look at what goes where."""
        path = f"/v1/invoices/{before['id']}"
        now = yield self.get(batch, "invoice.again", path, {}, _sample_invoice(batch.only))
        is_changed = reading.is_success(now) and _taken(now.json()) != _taken(before)
        return _CHANGED if is_changed else reading.refused(refusal)

    def _beyond(
        self, batch: CreditNotes, invoice: Body
    ) -> Generator[Request | Call, Reply, Params | Done[DocumentResult] | Rejected]:
        """Where goes what of the credit no open amount takes. The credit note itself where it stands there, of a run that was given up."""
        rest = _rest(batch.only, invoice)
        if not rest:
            return {}
        notes = yield from self._notes(batch, invoice["id"])
        if isinstance(notes, Rejected):
            return notes
        standing = [each for each in notes if (each.get("metadata") or {}).get(CREDIT_NOTE_KEY) == batch.only.id]
        if standing:
            return reading.read_credit_note(standing[-1])
        refunds = yield from self.went_back(batch, invoice)
        if isinstance(refunds, Rejected):
            return refunds
        return _placed(batch.only, invoice, linking.links(refunds, notes, rest), batch.settings)

    def _notes(self, batch: CreditNotes, invoice_id: str) -> Generator[Request | Call, Reply, list[Body] | Rejected]:
        """The credit notes on an invoice, page after page, with the refunds that they link."""
        found: list[Body] = []
        after, page = None, 1
        while True:
            params = {"invoice": invoice_id, "limit": LONGEST_LIST, "starting_after": after}
            reply = yield self.get(batch, f"credit_notes.{page}", "/v1/credit_notes", params, _NO_NOTES)
            if not reading.is_success(reply):
                return reading.refused(reply)
            shown = reply.json()
            found += shown["data"]
            if not shown["has_more"]:
                return found
            after, page = found[-1]["id"], page + 1

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


def _rest(item: CreditNoteItem, invoice: Body) -> int:
    """What of the credit no open amount takes."""
    return max(to_units(item.credit_note.total, item.credit_note.currency) - _open(invoice), 0)


def _taken(invoice: Body) -> tuple[int, ...]:
    """What is open of an invoice, and what credit notes took of that and of what was paid (docs.stripe.com/api/invoices/object)."""
    notes = (invoice.get(f"{when}_payment_credit_notes_amount") or 0 for when in ("pre", "post"))
    return (_open(invoice), *notes)


def _open(invoice: Body) -> int:
    return invoice["amount_remaining"] if invoice["status"] == "open" else 0


def _placed(item: CreditNoteItem, invoice: Body, linked: list[Params], settings: StripeSettings) -> Params | Rejected:
    """The refunds that are linked, and credit of the customer for what is left. Refused where the app is to give none."""
    left = _rest(item, invoice) - sum(each["amount_refunded"] for each in linked)
    if left and settings.unattached_credit_notes == "refuse":
        return _too_much(item, invoice, left)
    return {**({"refunds": linked} if linked else {}), **({"credit_amount": left} if left else {})}


def _too_much(item: CreditNoteItem, invoice: Body, left: int) -> Rejected:
    currency = item.credit_note.currency
    there, linked, beyond = (
        format(from_units(units, currency), "f") for units in (_open(invoice), _rest(item, invoice) - left, left)
    )
    message = (
        f"The credit note is over {item.credit_note.total:f} {currency}. Invoice {invoice.get('number')} has {there} open at Stripe, and refunds of "
        f"its payments that no credit note links yet take {linked} of it; {beyond} would be left. Refund that much of the payment first and "
        "retry, or set unattached_credit_notes of the app to customer_balance."
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


_NO_NOTES: Params = {"data": [], "has_more": False}


def _sample_invoice(item: CreditNoteItem) -> dict[str, Any]:
    view = item.credit_note
    open_units = to_units(view.total, view.currency)
    return {"id": item.applies_to, "status": "open", "amount_remaining": open_units}


def _sample_rates(wanted: frozenset[str]) -> dict[str, Any]:
    taxes = [{"tax_rate_details": {"tax_rate": f"txr_sample_{place}"}} for place in range(len(wanted))]
    metadata = {TAX_KEY.format(place): name for place, name in enumerate(sorted(wanted))}
    return {"data": [{"id": "il_sample", "taxes": taxes, "metadata": metadata}], "has_more": False}
