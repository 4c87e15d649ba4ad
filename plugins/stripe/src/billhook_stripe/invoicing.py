"""Invoices at Stripe: draft with its lines, number and finalize, send, void, delete, read back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from billhook.contract import (
    Batch,
    Call,
    CustomerItem,
    CustomerResult,
    DocumentResult,
    Done,
    InvoiceItem,
    Rejected,
    RemovalResult,
    Reply,
    Request,
    SendResult,
    Snapshot,
    Steps,
    WriteOffResult,
    hookimpl,
    remote_id,
)
from billhook_stripe import encoding, reading
from billhook_stripe.encoding import CUSTOMER_KEY, INVOICE_KEY, METHOD_KEY, STEP_KEY
from billhook_stripe.lines import Params, Plan, chunks, mark_of, plan_of
from billhook_stripe.receiving import Receiving
from billhook_stripe.requests import LONGEST_LIST
from billhook_stripe.settings import StripeSettings, existing_customer, given_payment_method

Body = Mapping[str, Any]
Asking = Generator[Request | Call, Reply, Reply]
Invoices = Batch[InvoiceItem, StripeSettings]

_WITH_PAYMENTS = {"expand": ["payments"]}
_ISSUED = ("open", "paid", "uncollectible")
_NO_DOCUMENT = Rejected.because(
    "document_not_there", "The invoice does not stand at Stripe. Sync its draft first, then retry."
)
_NO_CUSTOMER = Rejected.because(
    "customer_not_there", "The customer does not stand at Stripe. Sync the customer first, then retry."
)


class Invoicing(Receiving):
    """Customers and invoices."""

    @hookimpl
    def sync_customer(self, batch: Batch[CustomerItem, StripeSettings]) -> Steps[CustomerResult]:
        """Create the customer, or change the one that is known or that the host's metadata name."""
        item = batch.only
        known = remote_id(item) or existing_customer(item, batch.settings)
        attached = (yield from self._method_attached(batch, known)) if known else None
        if isinstance(attached, Rejected):
            return {item.id: attached}
        params = encoding.customer_params(item, batch.settings, is_new=known is None, attached=attached)
        sample = {"id": known or "cus_sample"}
        if known is None:
            by_email = {"email": item.customer.email} if item.customer.email else {}
            find = self.listed(batch, "/v1/customers", CUSTOMER_KEY, **by_email)
            reply = yield self.post(batch, "customer", "/v1/customers", params, find, sample)
        else:
            match = self.function("match_marked", item=item.id, key=STEP_KEY, mark=params["metadata"][STEP_KEY])
            find = self.one(batch, f"/v1/customers/{known}", match)
            reply = yield self.post(batch, "customer", f"/v1/customers/{known}", params, find, sample)
        return {item.id: reading.read_customer(reply)}

    def _method_attached(
        self, batch: Batch[CustomerItem, StripeSettings], known: str
    ) -> Generator[Request | Call, Reply, str | Rejected | None]:
        """The payment method of the metadata, put on the customer; None where it was made the default before, or none is named."""
        item, given = batch.only, given_payment_method(batch.only, batch.settings)
        if given is None:
            return None
        reply = yield self.get(batch, "standing", f"/v1/customers/{known}", {}, {"id": known, "metadata": {}})
        if not reading.is_success(reply) or (reading.body_of(reply).get("metadata") or {}).get(METHOD_KEY) == given:
            return None
        match = self.function("match_marked", item=item.id, key=METHOD_KEY, mark=given)
        find = self.one(batch, f"/v1/customers/{known}", match)
        path, params = f"/v1/payment_methods/{given}/attach", {"customer": known}
        reply = yield self.post(batch, "attach", path, params, find, {"id": "pm_sample"}, makes=False)
        return str(reading.body_of(reply)["id"]) if reading.is_success(reply) else reading.refused(reply, known)

    @hookimpl
    def sync_draft(self, batch: Invoices) -> Steps[DocumentResult]:
        """Create the draft and add its lines, or bring the one that stands there to what is wanted now."""
        item = batch.only
        if item.customer.external_id is None:
            return {item.id: _NO_CUSTOMER}
        known = remote_id(item)
        reply = (yield from self._changed(batch, known)) if known else (yield from self._created(batch))
        if known and reading.is_missing(reply):
            known, reply = None, (yield from self._created(batch))
        if not reading.is_success(reply):
            return {item.id: reading.refused(reply, known)}
        standing = (yield from self._standing(batch, reply)) if known else []
        if isinstance(standing, Rejected):
            return {item.id: standing}
        reply = yield from self._lined(batch, reply, plan_of(item, standing))
        return {item.id: _read_draft(reply, known)}

    @hookimpl
    def issue(self, batch: Invoices) -> Steps[DocumentResult]:
        """Give the draft its number, compare what Stripe computed, and only then finalize it."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: _NO_DOCUMENT}
        numbered = yield self._number(batch, known)
        if not reading.is_success(numbered):
            return {item.id: (yield from self._refused_issue(batch, known, numbered))}
        difference = _difference(item, reading.body_of(numbered))
        if difference is not None:
            return {item.id: difference}
        if reading.body_of(numbered)["status"] != "draft":
            return {item.id: _read_issued(item, reading.body_of(numbered))}
        reply = yield self._finalize(batch, known)
        if not reading.is_success(reply):
            return {item.id: reading.refused(reply, known)}
        return {item.id: _read_issued(item, reading.body_of(reply))}

    @hookimpl
    def send(self, batch: Invoices) -> Steps[SendResult]:
        """Have Stripe e-mail the invoice. In test mode Stripe sends none (docs.stripe.com/invoicing)."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: _NO_DOCUMENT}
        find = self.told(batch, "invoice.sent", known)
        sample = {"id": known, "status": "open"}
        reply = yield self.post(batch, "send", f"/v1/invoices/{known}/send", {}, find, sample, makes=False)
        return {item.id: Done(SendResult(batch.now)) if reading.is_success(reply) else reading.refused(reply)}

    @hookimpl
    def void(self, batch: Invoices) -> Steps[RemovalResult]:
        """Make an invoice void. One that is void already is done; one that never stood there too."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(RemovalResult())}
        reply = yield self._moved(batch, known, "void", "void")
        if reading.is_success(reply):
            return {item.id: Done(RemovalResult(known))}
        now = yield self._read_one(batch, "invoice", known, {"id": known, "status": "void"})
        is_void = reading.body_of(now).get("status") == "void" or reading.is_missing(now)
        return {item.id: Done(RemovalResult(known)) if is_void else reading.refused(reply, known)}

    @hookimpl
    def mark_uncollectible(self, batch: Invoices) -> Steps[WriteOffResult]:
        """Note that nobody expects the money any more. One that is marked already is done; one that never stood there too."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(WriteOffResult())}
        reply = yield self._moved(batch, known, "mark_uncollectible", "uncollectible")
        if reading.is_success(reply):
            return {item.id: Done(WriteOffResult(known))}
        now = yield self._read_one(batch, "invoice", known, {"id": known, "status": "uncollectible"})
        is_marked = reading.body_of(now).get("status") == "uncollectible"
        return {item.id: Done(WriteOffResult(known)) if is_marked else reading.refused(reply, known)}

    @hookimpl
    def delete(self, batch: Invoices) -> Steps[RemovalResult]:
        """Remove a draft. One that is gone already is done."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(RemovalResult())}
        path = f"/v1/invoices/{known}"
        find = self.one(batch, path, self.function("match_gone", item=item.id))
        reply = yield self.remove(batch, "delete", path, find, {"id": known, "deleted": True})
        is_gone = reading.is_success(reply) or reading.is_missing(reply)
        return {item.id: Done(RemovalResult(known)) if is_gone else reading.refused(reply, known)}

    @hookimpl
    def fetch(self, batch: Invoices) -> Steps[Snapshot]:
        """What Stripe holds.

        Money counts here for invoices that are sent to the customer, and for those that another app collects. What this one charges
        automatically is told by its own payment, also where the customer pays on Stripe's page after a failure.
        """
        item, known = batch.only, remote_id(batch.only) or (yield from self._id_by_ours(batch))
        if known is None or isinstance(known, Rejected):
            return {item.id: known or Done(Snapshot(found=False))}
        reply = yield self.get(batch, "invoice", f"/v1/invoices/{known}", _WITH_PAYMENTS, _draft_sample(known))
        if reading.is_missing(reply):
            return {item.id: Done(Snapshot(found=False))}
        return {item.id: (yield from self._seen(batch, reply))}

    # The steps.

    def _created(self, batch: Invoices) -> Asking:
        item = batch.only
        params = encoding.invoice_params(item, batch.now)
        find = self.listed(batch, "/v1/invoices", INVOICE_KEY, customer=item.customer.external_id)
        reply = yield self.post(batch, "create", "/v1/invoices", params, find, _draft_sample("in_sample"))
        return reply

    def _changed(self, batch: Invoices, known: str) -> Asking:
        params = encoding.header_params(batch.only, batch.now)
        mark = params["metadata"][STEP_KEY]
        reply = yield self._marked(batch, "header", known, f"/v1/invoices/{known}", params, mark)
        return reply

    def _marked(self, batch: Invoices, step: str, known: str, path: str, params: Params, mark: str) -> Request:
        match = self.function("match_marked", item=batch.only.id, key=STEP_KEY, mark=mark)
        find = self.one(batch, f"/v1/invoices/{known}", match)
        return self.post(batch, step, path, params, find, _draft_sample(known))

    def _standing(self, batch: Invoices, header: Reply) -> Generator[Request | Call, Reply, list[Body] | Rejected]:
        """The lines that stand on a draft, page after page."""
        invoice = header.json()
        if invoice["status"] != "draft":
            message = f"{invoice['id']} is {invoice['status']} at Stripe, and only a draft can be changed. Void it, or bill anew."
            return Rejected.because("not_a_draft", message, external_id=invoice["id"])
        shown = invoice.get("lines") or {"data": [], "has_more": False}
        found: list[Body] = list(shown["data"])
        while shown["has_more"]:
            params = {"limit": LONGEST_LIST, "starting_after": found[-1]["id"]}
            path, step = f"/v1/invoices/{invoice['id']}/lines", f"lines.{len(found)}"
            reply = yield self.get(batch, step, path, params, {"data": [], "has_more": False})
            if not reading.is_success(reply):
                return reading.refused(reply, invoice["id"])
            shown = reply.json()
            found += shown["data"]
        return found

    def _lined(self, batch: Invoices, reply: Reply, plan: Plan) -> Asking:
        """Take away the lines that are not wanted and add those that are missing. The last answer is the invoice as it stands then."""
        known = reply.json()["id"]
        for number, ids in enumerate(chunks(plan.remove), start=1):
            removed = {"lines": [{"id": id, "behavior": "delete"} for id in ids]}
            reply = yield self._edit_lines(batch, f"remove.{number}", known, "remove_lines", removed)
            if not reading.is_success(reply):
                return reply
        for number, lines in enumerate(chunks(plan.add), start=1):
            added = {"lines": list(lines)}
            reply = yield self._edit_lines(batch, f"add.{number}", known, "add_lines", added)
            if not reading.is_success(reply):
                return reply
        return reply

    def _edit_lines(self, batch: Invoices, step: str, known: str, action: str, params: Params) -> Request:
        mark = mark_of({**params, "action": action, "revision": batch.only.invoice.revision})
        marked = {**params, "invoice_metadata": {STEP_KEY: mark}}
        return self._marked(batch, step, known, f"/v1/invoices/{known}/{action}", marked, mark)

    def _number(self, batch: Invoices, known: str) -> Request:
        params = encoding.number_params(batch.only, batch.now)
        match = self.function("match_numbered", item=batch.only.id, number=batch.only.number)
        path = f"/v1/invoices/{known}"
        return self.post(batch, "number", path, params, self.one(batch, path, match), _draft_sample(known))

    def _finalize(self, batch: Invoices, known: str) -> Request:
        # Stripe would go on to collect by itself otherwise (docs.stripe.com/invoicing/integration/workflow-transitions).
        sample = {**_draft_sample(known), "status": "open", "number": batch.only.number}
        return self._moved(batch, known, "finalize", *_ISSUED, params={"auto_advance": False}, sample=sample)

    def _moved(
        self,
        batch: Invoices,
        known: str,
        action: str,
        *reached: str,
        params: Params | None = None,
        sample: Params | None = None,
    ) -> Request:
        match = self.function("match_status", item=batch.only.id, statuses=list(reached))
        find = self.one(batch, f"/v1/invoices/{known}", match)
        path = f"/v1/invoices/{known}/{action}"
        shown = sample or {"id": known, "status": reached[0]}
        return self.post(batch, action, path, params or {}, find, shown)

    def _read_one(self, batch: Batch[Any, StripeSettings], step: str, known: str, sample: Params) -> Request:
        return self.get(batch, step, f"/v1/invoices/{known}", {}, sample)

    def _refused_issue(
        self, batch: Invoices, known: str, refusal: Reply
    ) -> Generator[Request | Call, Reply, Done[DocumentResult] | Rejected]:
        """Somebody may have finalized it at Stripe: under our number that is as good, under another it is not."""
        now = yield self._read_one(batch, "invoice", known, _draft_sample(known))
        invoice = reading.body_of(now)
        if not reading.is_success(now) or invoice.get("status") not in _ISSUED:
            return reading.refused(refusal, known)
        return _difference(batch.only, invoice) or _read_issued(batch.only, invoice)

    def _seen(self, batch: Invoices, reply: Reply) -> Generator[Request | Call, Reply, Done[Snapshot] | Rejected]:
        """What an answer shows, and what went back of the money where that counts."""
        if not reading.is_success(reply):
            return reading.refused(reply)
        invoice = reply.json()
        if not _tells_money(batch.only, invoice):
            return Done(reading.read_snapshot(invoice))
        receipts = yield from self.receipts(batch, invoice)
        return receipts if isinstance(receipts, Rejected) else Done(reading.read_snapshot_with_money(invoice, receipts))

    def _id_by_ours(self, batch: Invoices) -> Generator[Request | Call, Reply, str | Rejected | None]:
        """By our id in its metadata, page after page of the customer's invoices."""
        item, after, page = batch.only, None, 1
        if item.customer.external_id is None:
            return None
        while True:
            params = {"customer": item.customer.external_id, "limit": LONGEST_LIST, "starting_after": after}
            reply = yield self.get(batch, f"page.{page}", "/v1/invoices", params, {"data": [], "has_more": False})
            if not reading.is_success(reply):
                return reading.refused(reply)
            shown = reply.json()
            found = [each for each in shown["data"] if each["metadata"].get(INVOICE_KEY) == item.id]
            if found:
                return str(found[-1]["id"])
            if not shown["has_more"]:
                return None
            after, page = shown["data"][-1]["id"], page + 1


def _draft_sample(known: str) -> Params:
    return {"id": known, "status": "draft", "lines": {"data": [], "has_more": False}}


def _read_draft(reply: Reply, known: str | None) -> Done[DocumentResult] | Rejected:
    if not reading.is_success(reply):
        return reading.refused(reply, known)
    return reading.read_document(reply.json())


def _difference(item: InvoiceItem, invoice: Body) -> Rejected | None:
    """Why it must not be finalized: Stripe's figures are not ours."""
    held = reading.totals_of(invoice)
    if held is None:
        return None
    ours = (item.invoice.total, item.invoice.totals.taxes_total)
    if ours == (held.total, held.tax):
        return None
    message = (
        f"Stripe holds a total of {held.total:f} with {held.tax:f} tax, the invoice {ours[0]:f} with {ours[1]:f}. "
        f"Nothing was finalized. Look at the draft {invoice['id']} there, correct or delete it, then retry."
    )
    return Rejected.because("totals_differ", message, path="/totals/total", external_id=invoice["id"])


def _read_issued(item: InvoiceItem, invoice: Body) -> Done[DocumentResult] | Rejected:
    number = invoice.get("number")
    if number != item.number:
        message = f"Stripe holds it as {number}, not as {item.number}. Somebody finalized it there; void it, or take its number."
        return Rejected.because("number_differs", message, path="/number", external_id=invoice["id"])
    return reading.read_document(invoice)


def _tells_money(item: InvoiceItem, invoice: Body) -> bool:
    """Whether the invoice tells of money that none of this app's own payments tells of."""
    is_sent = item.invoice.content.workflow.collection_method.value == "send_invoice"
    is_charged_here = item.collected_here and not is_sent
    return not is_charged_here and invoice["status"] in _ISSUED
