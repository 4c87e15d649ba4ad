"""Payments: of invoices that stand at Stripe, and of invoices that live elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from billhook.contract import (
    Batch,
    Call,
    Done,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    RefundItem,
    RefundResult,
    Rejected,
    Reply,
    Request,
    Steps,
    hookimpl,
    remote_id,
)
from billhook.errors import InvalidInput
from billhook_stripe import encoding, paying, preflight, reading
from billhook_stripe.currencies import from_units, to_units
from billhook_stripe.encoding import PAYMENT_KEY, REFUND_KEY
from billhook_stripe.lines import Params
from billhook_stripe.paying import NOTHING, Paid
from billhook_stripe.receiving import Receiving
from billhook_stripe.requests import LONGEST_LIST
from billhook_stripe.settings import StripeSettings

Body = Mapping[str, Any]
Payments = Batch[PaymentItem, StripeSettings]
Asking = Generator[Request | Call, Reply, Paid]

_WITH_PAYMENTS = {"expand": ["payments.data.payment.payment_intent"]}
_NO_INVOICE = Rejected.because(
    "document_not_there",
    "The invoice does not stand at Stripe, so no payment can be noted on it. Sync the invoice first.",
)
_NO_METHOD = Rejected.because(
    "payment_method_missing",
    "Stripe knows no payment method of this customer. Have the customer add one, then retry the payment.",
)
_NO_CUSTOMER = Rejected.because(
    "customer_not_there", "The customer does not stand at Stripe. Sync the customer first, then retry."
)
_NO_PAYMENT = Rejected.because(
    "payment_not_there", "Stripe has no payment of this attempt. Look there, then start a new one."
)
_NO_REFUND = Rejected.because(
    "refund_not_there", "Stripe shows no such refund among those of its payment. Look there, then start a new one."
)
_OF_AN_INVOICE = Rejected.because(
    "payment_of_invoice",
    "Stripe lets the payment of one of its own invoices end only with that invoice. Wait for its end, or void the invoice at Stripe.",
)
_SUPERSEDED = "A later attempt took this payment's place."


class Collecting(Receiving):
    """Taking, checking, recording and refunding money."""

    @hookimpl
    def collect_payment(self, batch: Payments) -> Steps[PaymentResult]:
        """Take the money: through the invoice where it stands at Stripe, else by itself. What stands there already is read."""
        item = batch.only
        try:
            outcome = yield from self._collected(batch)
        except InvalidInput as problem:
            outcome = Rejected.because(problem.code, problem.message, path=problem.path)
        return {item.id: outcome}

    @hookimpl
    def check_payment(self, batch: Payments) -> Steps[PaymentResult]:
        """How a payment stands, and what of it was given back."""
        item = batch.only
        if item.invoice_external_id is not None:
            outcome = yield from self._on_invoice_now(batch, item.invoice_external_id, None)
        else:
            outcome = yield from self._by_itself_now(batch)
        return {item.id: (yield from self._with_refunds(batch, outcome))}

    @hookimpl
    def capture_payment(self, batch: Payments) -> Steps[PaymentResult]:
        """Take what was only authorized. One that has ended already is read."""
        item = batch.only
        try:
            params = encoding.capture_params(item)
        except InvalidInput as problem:
            return {item.id: Rejected.because(problem.code, problem.message, path=problem.path)}
        return {item.id: (yield from self._ended(batch, "capture", params, "succeeded"))}

    @hookimpl
    def cancel_payment(self, batch: Payments) -> Steps[PaymentResult]:
        """Have a payment by itself come to nothing. One that has ended already is read."""
        item = batch.only
        if item.invoice_external_id is not None:
            return {item.id: _OF_AN_INVOICE}
        return {item.id: (yield from self._ended(batch, "cancel", {}, "canceled"))}

    @hookimpl
    def record_payment(self, batch: Payments) -> Steps[PaymentResult]:
        """Note money that came another way: it settles the invoice, or a part of it."""
        item = batch.only
        if item.invoice_external_id is None:
            return {item.id: _NO_INVOICE}
        try:
            outcome = yield from self._recorded(batch, item.invoice_external_id)
        except InvalidInput as problem:
            outcome = Rejected.because(problem.code, problem.message, path=problem.path)
        return {item.id: outcome}

    @hookimpl
    def refund(self, batch: Batch[RefundItem, StripeSettings]) -> Steps[RefundResult]:
        """Give money back. A refund that stands there already is read, never made again."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            sample = _refund_sample(item, known)
            reply = yield self.get(batch, "refund", f"/v1/refunds/{known}", {}, sample)
        else:
            find = self.all_listed(batch, "/v1/refunds", REFUND_KEY, payment_intent=item.payment_external_id)
            params, sample = encoding.refund_params(item), _refund_sample(item, "re_sample")
            reply = yield self.post(batch, "refund", "/v1/refunds", params, find, sample)
        return {item.id: reading.read_refund(reply.json()) if reading.is_success(reply) else reading.refused(reply)}

    @hookimpl
    def check_refund(self, batch: Batch[RefundItem, StripeSettings]) -> Steps[RefundResult]:
        """How a refund stands; the bank can send it back for days (docs.stripe.com/refunds, failed refunds)."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            reply = yield self.get(batch, "refund", f"/v1/refunds/{known}", {}, _refund_sample(item, known))
            found = [reply.json()] if reading.is_success(reply) else []
        else:
            params = {"payment_intent": item.payment_external_id, "limit": LONGEST_LIST}
            sample = {"data": [{**_refund_sample(item, "re_sample"), "metadata": {REFUND_KEY: item.id}}]}
            reply = yield self.get(batch, "refunds", "/v1/refunds", params, sample)
            listed = reply.json()["data"] if reading.is_success(reply) else []
            found = [each for each in listed if (each.get("metadata") or {}).get(REFUND_KEY) == item.id]
        if not reading.is_success(reply):
            return {item.id: reading.refused(reply)}
        return {item.id: reading.read_refund(found[-1]) if found else _NO_REFUND}

    # Taking money.

    def _collected(self, batch: Payments) -> Asking:
        item = batch.only
        if item.invoice_external_id is not None:
            return (yield from self._through_invoice(batch, item.invoice_external_id))
        if remote_id(item) is not None:
            return (yield from self._by_itself_now(batch))
        problem = preflight.charge_problem(item.amount, item.currency)
        if problem is not None:
            return problem
        method = yield from self._method(batch)
        return method if isinstance(method, Rejected) else (yield from self._charged(batch, method))

    def _method(self, batch: Payments) -> Generator[Request | Call, Reply, str | Rejected]:
        """The method that the payment names, else the one linked to the customer here, else the customer's default at Stripe now."""
        item = batch.only
        if item.customer.external_id is None:
            return _NO_CUSTOMER
        known = item.method or reading.stated_method(item.customer)
        if known is not None:
            return known
        sample = {"id": item.customer.external_id, "invoice_settings": {"default_payment_method": "pm_sample"}}
        reply = yield self.get(batch, "customer", f"/v1/customers/{item.customer.external_id}", {}, sample)
        read = reading.read_customer(reply)
        return read if isinstance(read, Rejected) else read.result.payment_method or _NO_METHOD

    def _charged(self, batch: Payments, method: str) -> Asking:
        item = batch.only
        params = encoding.charge_params(item, method, batch.settings)
        find = self.listed(batch, "/v1/payment_intents", PAYMENT_KEY, customer=item.customer.external_id)
        reply = yield self.post(batch, "charge", "/v1/payment_intents", params, find, _intent_sample(item))
        return paying.read_intent_reply(reply)

    def _through_invoice(self, batch: Payments, invoice_id: str) -> Asking:
        """Compare what is open there with what is to be taken before anything is taken: Stripe charges the whole of it."""
        item = batch.only
        read = yield self._invoice(batch, "invoice", invoice_id)
        if not reading.is_success(read):
            return reading.refused(read)
        invoice = read.json()
        if invoice["status"] != "open":
            return (yield from self._paid_on(batch, invoice))
        if invoice["amount_remaining"] > to_units(item.amount, item.currency):
            return _more_is_open(item, invoice)
        if invoice["attempted"]:
            marked = yield self._mark(batch, invoice_id)
            if not reading.is_success(marked):
                return reading.refused(marked)
        reply = yield self._pay(batch, invoice_id, {"off_session": True, "payment_method": item.method})
        if reading.is_success(reply):
            return (yield from self._paid_on(batch, reply.json()))
        return (yield from self._on_invoice_now(batch, invoice_id, reading.error_of(reply)))

    def _mark(self, batch: Payments, invoice_id: str) -> Request:
        """Stripe tries again on the payment that failed. The mark says whose attempt it is now, so that no two count it."""
        item, path = batch.only, f"/v1/invoices/{invoice_id}"
        match = self.function("match_marked", item=item.id, key=PAYMENT_KEY, mark=item.id)
        params = {"metadata": {PAYMENT_KEY: item.id}}
        return self.post(batch, "mark", path, params, self.one(batch, path, match), {"id": invoice_id}, makes=False)

    def _pay(self, batch: Payments, invoice_id: str, params: Params) -> Request:
        item = batch.only
        match = self.function("match_paid", item=item.id)
        find = self.one(batch, f"/v1/invoices/{invoice_id}", match, **_WITH_PAYMENTS)
        sample = {**_invoice_sample(item), "status": "paid"}
        path = f"/v1/invoices/{invoice_id}/pay"
        return self.post(batch, "pay", path, {**params, **_WITH_PAYMENTS}, find, sample, makes=False)

    def _ended(self, batch: Payments, action: str, params: Params, reached: str) -> Asking:
        """Bring a payment to an end; where Stripe refuses that, because it has ended another way already, its end counts."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return _NO_PAYMENT
        path = f"/v1/payment_intents/{known}"
        find = self.one(batch, path, self.function("match_status", item=item.id, statuses=[reached]))
        sample = {**_intent_sample(item), "status": reached}
        reply = yield self.post(batch, action, f"{path}/{action}", params, find, sample, makes=False)
        if reading.is_success(reply):
            return paying.read_intent(reply.json())
        standing = yield self.get(batch, "payment", path, {}, sample)
        ended = reading.is_success(standing) and reading.body_of(standing).get("status") in {"succeeded", "canceled"}
        return paying.read_intent(standing.json()) if ended else reading.refused(reply)

    # Reading.

    def _invoice(self, batch: Payments, step: str, invoice_id: str) -> Request:
        return self.get(batch, step, f"/v1/invoices/{invoice_id}", _WITH_PAYMENTS, _invoice_sample(batch.only))

    def _on_invoice_now(self, batch: Payments, invoice_id: str, error: Body | None) -> Asking:
        item = batch.only
        reply = yield self._invoice(batch, "standing", invoice_id)
        if not reading.is_success(reply):
            return reading.refused(reply)
        invoice = reply.json()
        if invoice["metadata"].get(PAYMENT_KEY) not in {None, item.id}:
            failed = PaymentResult(PaymentStatus.FAILED, NOTHING, code="superseded", message=_SUPERSEDED)
            return Done(failed)
        return (yield from self._paid_on(batch, invoice, error))

    def _paid_on(self, batch: Payments, invoice: Body, error: Body | None = None) -> Asking:
        whole = yield from self.with_all_payments(batch, invoice)
        return whole if isinstance(whole, Rejected) else paying.read_invoice_payment(whole, batch.only, error)

    def _by_itself_now(self, batch: Payments) -> Asking:
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            path = f"/v1/payment_intents/{known}"
            return paying.read_intent_reply((yield self.get(batch, "payment", path, {}, _intent_sample(item))))
        params = {"customer": item.customer.external_id, "limit": LONGEST_LIST}
        sample = {"data": [_intent_sample(item)], "has_more": False}
        reply = yield self.get(batch, "payments", "/v1/payment_intents", params, sample)
        if not reading.is_success(reply):
            return reading.refused(reply)
        found = [each for each in reply.json()["data"] if each["metadata"].get(PAYMENT_KEY) == item.id]
        if found:
            return paying.read_intent(found[-1])
        message = f"Stripe shows no payment {item.id} among the customer's last {LONGEST_LIST}. Look there, then start a new one."
        return Rejected.because("payment_not_there", message)

    def _with_refunds(self, batch: Payments, outcome: Paid) -> Asking:
        if not isinstance(outcome, Done) or outcome.result.status is not PaymentStatus.SUCCEEDED:
            return outcome
        intent = outcome.result.external_id
        if intent is None:  # credit settled it; a list of no payment's refunds is one of everybody's
            return outcome
        refunded = yield from self.given_back(batch, intent, batch.only.currency)
        return outcome if isinstance(refunded, Rejected) else Done(replace(outcome.result, refunded=refunded))

    # Noting money that came another way.

    def _recorded(self, batch: Payments, invoice_id: str) -> Asking:
        item, known = batch.only, remote_id_of_record(batch.only)
        read = yield self._invoice(batch, "invoice", invoice_id)
        if not reading.is_success(read):
            return reading.refused(read)
        invoice, units = read.json(), to_units(item.amount, item.currency)
        if known is None and (
            invoice["status"] not in {"open", "uncollectible"} or units > invoice["amount_remaining"]
        ):
            return _less_is_open(item, invoice)
        if known is None and units == invoice["amount_remaining"]:
            reply = yield self._pay(batch, invoice_id, {"paid_out_of_band": True})
            return _noted(item, None) if reading.is_success(reply) else reading.refused(reply)
        return (yield from self._attached(batch, invoice_id, known))

    def _attached(self, batch: Payments, invoice_id: str, known: str | None) -> Asking:
        """A part of the invoice: reported as a payment record, then put on the invoice (docs.stripe.com/invoicing/partial-payments)."""
        item = batch.only
        if known is None:
            params, path = encoding.report_params(item, batch.now), "/v1/payment_records/report_payment"
            find = self.all_listed(batch, "/v1/payment_records", PAYMENT_KEY, created_after=self.before(batch))
            reply = yield self.post(batch, "report", path, params, find, {"id": "pyr_sample"})
            if not reading.is_success(reply):
                return reading.refused(reply)
            known = reply.json()["id"]
        match = self.function("match_attached", item=item.id, record=known)
        of_record = {"type": "payment_record", "payment_record": known}
        find = self.one(batch, "/v1/invoice_payments", match, invoice=invoice_id, payment=of_record)
        params = {"payment_record": known}
        path = f"/v1/invoices/{invoice_id}/attach_payment"
        reply = yield self.post(batch, "attach", path, params, find, {"id": invoice_id}, makes=False)
        return _noted(item, known) if reading.is_success(reply) else reading.refused(reply, known)


def remote_id_of_record(item: PaymentItem) -> str | None:
    """The payment record that an unfinished operation left. The payment's own external id is its payer's or its bank's."""
    return item.leftovers.get("report")


def _noted(item: PaymentItem, record: str | None) -> Done[PaymentResult]:
    return Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, record or item.external_id))


def _more_is_open(item: PaymentItem, invoice: Body) -> Rejected:
    there = from_units(invoice["amount_remaining"], item.currency)
    message = (
        f"{there:f} {item.currency} are open on {invoice['id']} at Stripe, and {item.amount:f} are to be taken. Stripe would take all "
        "of it. Look for a debit on the customer's balance, or for a payment that was not noted there; then retry."
    )
    return Rejected.because("open_amount_differs", message)


def _less_is_open(item: PaymentItem, invoice: Body) -> Rejected:
    there = from_units(invoice["amount_remaining"], item.currency)
    message = (
        f"{invoice['id']} is {invoice['status']} at Stripe with {there:f} {item.currency} open, so {item.amount:f} can't be noted on it, and "
        "Stripe may still ask for it. Look at its payments there. If more was paid than was due, take the payment back with billhook "
        "invoices take-back INVOICE PAYMENT --reason WHY, and note what is due with billhook invoices pay INVOICE AMOUNT; the rest is the "
        "customer's."
    )
    return Rejected.because("payment_exceeds_open_amount", message)


def _invoice_sample(item: PaymentItem) -> Params:
    units = to_units(item.amount, item.currency)
    return {
        "id": item.invoice_external_id,
        "status": "open",
        "currency": item.currency.lower(),
        "attempted": False,
        "total": units,
        "amount_due": units,
        "amount_remaining": units,
        "metadata": {},
    }


def _intent_sample(item: PaymentItem) -> Params:
    units = to_units(item.amount, item.currency)
    id = remote_id(item) or "pi_sample"
    metadata = {PAYMENT_KEY: item.id}
    return {
        "id": id,
        "status": "succeeded",
        "amount_received": units,
        "currency": item.currency.lower(),
        "metadata": metadata,
    }


def _refund_sample(item: RefundItem, id: str) -> Params:
    units = to_units(item.amount, item.currency)
    return {"id": id, "status": "succeeded", "amount": units, "currency": item.currency.lower()}
