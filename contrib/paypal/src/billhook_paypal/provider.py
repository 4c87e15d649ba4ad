"""The provider: each hook, and the registered functions that read a look-up's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract import (
    Absent,
    Batch,
    ConnectionItem,
    ConnectionResult,
    CredentialsResult,
    DocumentResult,
    Done,
    Finding,
    Found,
    InvoiceItem,
    InvoiceView,
    Line,
    MappedLine,
    Outgoing,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Pending,
    Provider,
    RefundItem,
    RefundResult,
    RefundStatus,
    Refusal,
    Rejected,
    RemovalResult,
    Reply,
    Snapshot,
    Steps,
    ValidationIssue,
    WebhookEvent,
    hookimpl,
    registered,
    remote_id,
)
from billhook_paypal import requests
from billhook_paypal.amounts import plain
from billhook_paypal.declaration import DECLARATION
from billhook_paypal.encoding import encode_payment, encode_refund, memo_of, note_of
from billhook_paypal.lookups import find_listed, find_new_refund
from billhook_paypal.reading import (
    CANCELLED,
    LOOK_AGAIN_AFTER,
    NOT_ISSUED,
    issues_of,
    read_document,
    read_payment,
    read_snapshot,
    refused,
)
from billhook_paypal.settings import PaypalCredentials, PaypalSettings
from billhook_paypal.tokens import read_token, sign_in
from billhook_paypal.validation import find_faults
from billhook_paypal.webhooks import events_in, why_refused

NOT_FOUND = 404
_SAMPLE_MARKED_AS_PAID = {"payments": {"transactions": [{"type": "EXTERNAL", "method": "OTHER"}]}}


class PaypalProvider(Provider[PaypalSettings]):
    """A draft under our number, made payable and mailed by one request, and paid by the customer at its link."""

    declaration = DECLARATION

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: PaypalSettings) -> MappedLine:
        """Under its name. PayPal has no accounts."""
        return MappedLine(line.id, line.name, rule="the line's name")

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: PaypalSettings
    ) -> Sequence[ValidationIssue]:
        """What PayPal refuses, and what it would compute another way."""
        return tuple(find_faults(invoice, lines, email_recipient=settings.email_recipient))

    @hookimpl
    def sync_draft(self, batch: Batch[InvoiceItem, PaypalSettings]) -> Steps[DocumentResult]:
        """Make the draft under its number, or replace the whole of it."""
        item, id = batch.only, remote_id(batch.only)
        if id:
            match = self.function("match_content", id=item.id, memo=memo_of(item))
            reply = yield requests.update_draft(batch, id, match)
        else:
            match = self.function("match_listed", id=item.id, number=item.number, memo=memo_of(item))
            reply = yield requests.create_draft(batch, match)
        return {item.id: refused(reply) or Done(read_document(reply.json(), item, emailed=False))}

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, PaypalSettings]) -> Steps[DocumentResult]:
        """Make the draft payable, mail it, and read what stands there then."""
        item, settings = batch.only, batch.settings
        id = remote_id(item) or requests.SAMPLE_ID
        notice = {"send_to_invoicer": False, "send_to_recipient": settings.email_recipient}
        match = self.function("match_issued", id=item.id)
        reply = yield requests.act(settings, id, step="send", match=match, content=notice)
        rejected = refused(reply)
        if rejected:
            return {item.id: rejected}
        shown = yield requests.look(settings, id, requests.sample_invoice(item, "SENT"))
        told = shown.json()
        if told["status"] in NOT_ISSUED:
            pending = Pending("PayPal accepted it, and sends it later", told["id"], check_after=LOOK_AGAIN_AFTER)
            return {item.id: pending}
        return {item.id: Done(read_document(told, item, emailed=settings.email_recipient))}

    @hookimpl
    def void(self, batch: Batch[InvoiceItem, PaypalSettings]) -> Steps[RemovalResult]:
        """Cancel it. The customer is told where he was mailed the invoice."""
        item, id = batch.only, remote_id(batch.only)
        if not id:
            return {item.id: Done(RemovalResult())}
        notice = {"send_to_invoicer": False, "send_to_recipient": batch.settings.email_recipient}
        match = self.function("match_cancelled", id=item.id)
        reply = yield requests.act(batch.settings, id, step="cancel", match=match, content=notice)
        if reply.status >= 400 and "INVOICE_CANCELED_ALREADY" in issues_of(reply):
            return {item.id: Done(RemovalResult(id))}
        return {item.id: refused(reply) or Done(RemovalResult(id))}

    @hookimpl
    def delete(self, batch: Batch[InvoiceItem, PaypalSettings]) -> Steps[RemovalResult]:
        """Take the draft away."""
        item, id = batch.only, remote_id(batch.only)
        if not id:
            return {item.id: Done(RemovalResult())}
        reply = yield requests.delete_draft(batch.settings, id, self.function("match_gone", id=item.id))
        if reply.status == NOT_FOUND:
            return {item.id: Done(RemovalResult(id))}
        return {item.id: refused(reply) or Done(RemovalResult(id))}

    @hookimpl
    def fetch(self, batch: Batch[InvoiceItem, PaypalSettings]) -> Steps[Snapshot]:
        """What stands there now."""
        item, id = batch.only, remote_id(batch.only)
        if not id:
            return {item.id: Done(Snapshot(found=False))}
        reply = yield requests.look(batch.settings, id, requests.sample_invoice(item, "SENT"))
        if reply.status == NOT_FOUND:
            return {item.id: Done(Snapshot(found=False))}
        return {item.id: refused(reply) or Done(read_snapshot(reply.json()))}

    @hookimpl
    def collect_payment(self, batch: Batch[PaymentItem, PaypalSettings]) -> Steps[PaymentResult]:
        """Tell where the customer pays, or that he has."""
        return (yield from self._payment(batch))

    @hookimpl
    def check_payment(self, batch: Batch[PaymentItem, PaypalSettings]) -> Steps[PaymentResult]:
        """Whether the customer has paid."""
        return (yield from self._payment(batch))

    @hookimpl
    def record_payment(self, batch: Batch[PaymentItem, PaypalSettings]) -> Steps[PaymentResult]:
        """Note money that came another way."""
        item, id = batch.only, batch.only.invoice_external_id
        if not id:
            return {item.id: _not_invoiced_here()}
        match = self.function("match_recorded", id=item.id, note=note_of(item))
        content = encode_payment(item, batch.now.date())
        sample = {"payment_id": "EXTR-SAMPLE"}
        reply = yield requests.act(
            batch.settings,
            id,
            step="payments",
            match=match,
            content=content,
            sample=sample,
            look_after=requests.LATEST_ARRIVAL,
        )
        rejected = refused(reply)
        if rejected:
            return {item.id: rejected}
        return {item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, reply.json()["payment_id"]))}

    @hookimpl
    def refund(self, batch: Batch[RefundItem, PaypalSettings]) -> Steps[RefundResult]:
        """Note a refund of money that somebody recorded at PayPal; refuse one of money that PayPal took."""
        item, id = batch.only, batch.only.payment_external_id
        shown = yield requests.look(batch.settings, id, _SAMPLE_MARKED_AS_PAID)
        rejected = refused(shown) or _taken_by_paypal(shown)
        if rejected:
            return {item.id: rejected}
        told = shown.json()
        known = [one["refund_id"] for one in told.get("refunds", {}).get("transactions", [])]
        match = self.function("match_refunded", id=item.id, known=known, amount=plain(item.amount))
        method = told["payments"]["transactions"][0]["method"]
        content = encode_refund(item, method, batch.now.date())
        sample = {"refund_id": "EXTR-SAMPLE"}
        reply = yield requests.act(
            batch.settings,
            id,
            step="refunds",
            match=match,
            content=content,
            sample=sample,
            look_after=requests.LATEST_ARRIVAL,
        )
        return {item.id: refused(reply) or Done(_refunded(item, reply))}

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, PaypalSettings]) -> Steps[ConnectionResult]:
        """Whether PayPal takes the token, and lets it read invoices."""
        reply = yield requests.list_one(batch.settings)
        return {batch.only.id: refused(reply) or Done(ConnectionResult())}

    @hookimpl
    def refresh_credentials(self, batch: Batch[ConnectionItem, PaypalSettings]) -> Steps[CredentialsResult]:
        """A new token for the app's id and secret."""
        reply = yield requests.ask_for_token(batch.settings)
        return {batch.only.id: read_token(reply, batch.now)}

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: PaypalCredentials, now: datetime) -> Outgoing:
        """The token; or, where a token is asked for, the app's id and secret."""
        return sign_in(request, credentials)

    @hookimpl
    def read_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: PaypalCredentials,
        now: datetime,
        settings: PaypalSettings,
    ) -> Sequence[WebhookEvent] | Refusal:
        """The events of one that PayPal signed for this app's webhook."""
        return why_refused(headers, body, secrets, now) or events_in(body)

    @registered
    def match_listed(self, reply: Reply, id: str, number: str, memo: str) -> Mapping[str, Finding]:
        """Whether our draft is among those that a search found."""
        return {id: find_listed(reply, number, memo)}

    @registered
    def match_content(self, reply: Reply, id: str, memo: str) -> Mapping[str, Finding]:
        """Whether that content stands there."""
        if reply.status == NOT_FOUND:
            return {id: Absent()}
        told = reply.json()
        return {id: Found(Reply.of(told)) if told["detail"].get("memo") == memo else Absent()}

    @registered
    def match_issued(self, reply: Reply, id: str) -> Mapping[str, Finding]:
        """Whether it is no draft any more."""
        is_issued = reply.status != NOT_FOUND and reply.json()["status"] != "DRAFT"
        return {id: Found(Reply.of({})) if is_issued else Absent()}

    @registered
    def match_cancelled(self, reply: Reply, id: str) -> Mapping[str, Finding]:
        """Whether it is cancelled."""
        is_cancelled = reply.status != NOT_FOUND and reply.json()["status"] == CANCELLED
        return {id: Found(Reply(204)) if is_cancelled else Absent()}

    @registered
    def match_gone(self, reply: Reply, id: str) -> Mapping[str, Finding]:
        """Whether nothing stands there."""
        return {id: Found(Reply(204)) if reply.status == NOT_FOUND else Absent()}

    @registered
    def match_recorded(self, reply: Reply, id: str, note: str) -> Mapping[str, Finding]:
        """Whether a payment with our note stands there."""
        payments = reply.json().get("payments", {}).get("transactions", []) if reply.status < 400 else []
        ours = [one for one in payments if one.get("note") == note]
        return {id: Found(Reply.of({"payment_id": ours[0]["payment_id"]})) if ours else Absent()}

    @registered
    def match_refunded(self, reply: Reply, id: str, known: list[str], amount: str) -> Mapping[str, Finding]:
        """Whether a refund over the amount is there that was not there before."""
        return {id: find_new_refund(reply, known, Decimal(amount))}

    def _payment(self, batch: Batch[PaymentItem, PaypalSettings]) -> Steps[PaymentResult]:
        item = batch.only
        id = item.external_id or item.invoice_external_id
        if not id:
            return {item.id: _not_invoiced_here()}
        reply = yield requests.look(batch.settings, id, _sample_to_pay(id))
        return {item.id: refused(reply) or read_payment(reply.json())}


def _sample_to_pay(id: str) -> dict[str, Any]:
    return {"id": id, "status": "SENT", "detail": {}}


def _not_invoiced_here() -> Rejected:
    return Rejected.because("not_invoiced_here", "The invoice is not at PayPal. Let PayPal do the invoicing too.")


def _taken_by_paypal(shown: Reply) -> Rejected | None:
    payments = shown.json().get("payments", {}).get("transactions", [])
    if payments and all(one.get("type") == "EXTERNAL" for one in payments):
        return None
    message = "The money was paid through PayPal. Give it back at PayPal; it is not noted here."
    return Rejected.because("refund_at_paypal", message)


def _refunded(item: RefundItem, reply: Reply) -> RefundResult:
    return RefundResult(RefundStatus.SUCCEEDED, item.amount, reply.json()["refund_id"])
