"""GoCardless as a provider: the operations, each a few requests, and the hooks that read what comes back."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta

from billhook.contract import (
    Batch,
    Call,
    ConnectionItem,
    ConnectionResult,
    CustomerItem,
    CustomerResult,
    Done,
    InvoiceView,
    MappedLine,
    Outgoing,
    PaymentItem,
    PaymentResult,
    Pending,
    RefundItem,
    RefundResult,
    Refusal,
    Rejected,
    Reply,
    Request,
    Retry,
    Steps,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    hookimpl,
    remote_id,
)
from billhook_gocardless import mandates, reading
from billhook_gocardless.config import GoCardlessCredentials, GoCardlessSettings
from billhook_gocardless.declaration import DECLARATION
from billhook_gocardless.encoding import LINKED_CUSTOMER, MARK, PINNED_MANDATE, Entry
from billhook_gocardless.findings import made_for
from billhook_gocardless.incoming import read_events
from billhook_gocardless.money import problems_of, to_major, to_minor
from billhook_gocardless.reading import entry, made_id
from billhook_gocardless.refusals import is_success, reasons_of, refused, verdict_of
from billhook_gocardless.requests import GoCardlessRequests

Asked = Generator[Request | Call, Reply, Done[PaymentResult] | Pending | Rejected]

_OTHER_REFUND = Retry(timedelta(seconds=5), "another refund of the payment was made meanwhile")


class GoCardlessProvider(GoCardlessRequests):
    """Collects invoices by bank debit, days later, against a mandate that the customer signed."""

    declaration = DECLARATION

    # Customers.

    @hookimpl
    def sync_customer(self, batch: Batch[CustomerItem, GoCardlessSettings]) -> Steps[CustomerResult]:
        """Create the customer or change its details, and see which mandate it has.

        A customer that the host's metadata name under `gocardless/customer` is read, and never changed.
        """
        item = batch.only
        reply = yield self._bring(batch)
        customer_id = made_id(reply, "customers")
        if customer_id is None:
            return {item.id: refused(reply)}
        signed = yield from self.every_mandate(batch, customer_id, item.currency)
        if isinstance(signed, Rejected):
            return {item.id: signed}
        pinned = item.metadata.get(PINNED_MANDATE) or None
        mandate_id = mandates.usual(signed, item.currency, pinned)
        return {item.id: reading.read_customer(customer_id, mandate_id, pinned)}

    def _bring(self, batch: Batch[CustomerItem, GoCardlessSettings]) -> Request:
        linked, known = batch.only.metadata.get(LINKED_CUSTOMER), remote_id(batch.only)
        if linked is not None:
            return self.get(batch, "customer", "customers", linked, {})
        if known is not None:
            return self.update_customer(batch, known)
        return self.create_customer(batch)

    # Payments.

    @hookimpl
    def collect_payment(self, batch: Batch[PaymentItem, GoCardlessSettings]) -> Steps[PaymentResult]:
        """Take the money against the customer's mandate. A payment that stands there already is read, never made again."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            reply = yield self._payment(batch, known)
            return {item.id: (yield from self._standing(batch, reply))}
        issues = problems_of(item.amount, item.currency)
        if issues:
            return {item.id: Rejected(issues)}
        customer_id = item.customer.external_id
        if customer_id is None:
            return {item.id: _NO_CUSTOMER}
        signed = yield from self.every_mandate(batch, customer_id, item.currency)
        if isinstance(signed, Rejected):
            return {item.id: signed}
        pinned = reading.pinned_mandate(item.customer.app_data)
        mandate = mandates.choose(signed, item.currency, customer_id, pinned)
        if isinstance(mandate, Rejected):
            return {item.id: mandate}
        reply = yield self.create_payment(batch, mandate["id"])
        made = made_id(reply, "payments")
        if made is not None and not is_success(reply):
            reply = yield self._payment(batch, made)
        return {item.id: (yield from self._standing(batch, reply))}

    @hookimpl
    def check_payment(self, batch: Batch[PaymentItem, GoCardlessSettings]) -> Steps[PaymentResult]:
        """How a payment stands: by its id at GoCardless, or found by ours among the customer's."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            reply = yield self._payment(batch, known)
            return {item.id: (yield from self._standing(batch, reply))}
        customer_id = item.customer.external_id
        if customer_id is None:
            return {item.id: _NO_CUSTOMER}
        listed = yield from self.every(batch, "payments", {"customer": customer_id}, [_payment_sample(item)])
        if isinstance(listed, Rejected):
            return {item.id: listed}
        payment = made_for(listed, "payments", item.id)
        if payment is None:
            return {item.id: reading.not_there("payment", item.id)}
        return {item.id: (yield from self._explained(batch, payment))}

    def _payment(self, batch: Batch[PaymentItem, GoCardlessSettings], payment_id: str) -> Request:
        return self.get(batch, "payment", "payments", payment_id, _payment_sample(batch.only))

    def _standing(self, batch: Batch[PaymentItem, GoCardlessSettings], reply: Reply) -> Asked:
        """How the payment of that answer stands."""
        if not is_success(reply):
            return refused(reply)
        return (yield from self._explained(batch, entry(reply, "payments")))

    def _explained(self, batch: Batch[PaymentItem, GoCardlessSettings], payment: reading.Entry) -> Asked:
        """How a payment stands; where no money came, its events are asked for the reason."""
        if not reading.has_ended_badly(payment):
            return reading.read_payment(payment, batch.settings)
        told = yield from self.every(batch, "events", {"payment": payment["id"]})
        return reading.read_payment(payment, batch.settings, [] if isinstance(told, Rejected) else told)

    # Refunds.

    @hookimpl
    def refund(self, batch: Batch[RefundItem, GoCardlessSettings]) -> Steps[RefundResult]:
        """Give money back. A refund that stands there already is read, never made again."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            reply = yield self._refund(batch, known)
            return {item.id: _refund_outcome(reply)}
        issues = problems_of(item.amount, item.currency)
        if issues:
            return {item.id: Rejected(issues)}
        sample = {"amount": to_minor(item.amount), "amount_refunded": 0}
        paid = yield self.get(batch, "payment", "payments", item.payment_external_id, sample)
        if not is_success(paid):
            return {item.id: refused(paid)}
        payment = entry(paid, "payments")
        left_minor = payment["amount"] - payment["amount_refunded"]
        if to_minor(item.amount) > left_minor:
            return {item.id: _too_much(item, left_minor)}
        reply = yield self.create_refund(batch, payment["amount_refunded"])
        made = made_id(reply, "refunds")
        if made is not None and not is_success(reply):
            reply = yield self._refund(batch, made)
        return {item.id: _refund_outcome(reply)}

    @hookimpl
    def check_refund(self, batch: Batch[RefundItem, GoCardlessSettings]) -> Steps[RefundResult]:
        """How a refund stands: by its id at GoCardless, or found by ours among those of its payment."""
        item, known = batch.only, remote_id(batch.only)
        if known is not None:
            return {item.id: _refund_outcome((yield self._refund(batch, known)))}
        sample = {"amount": to_minor(item.amount), "metadata": {MARK["refunds"]: item.id}}
        listed = yield from self.every(batch, "refunds", {"payment": item.payment_external_id}, [sample])
        if isinstance(listed, Rejected):
            return {item.id: listed}
        made = made_for(listed, "refunds", item.id)
        return {item.id: reading.read_refund(made) if made is not None else reading.not_there("refund", item.id)}

    def _refund(self, batch: Batch[RefundItem, GoCardlessSettings], refund_id: str) -> Request:
        sample = {"amount": to_minor(batch.only.amount), "status": "pending_submission"}
        return self.get(batch, "refund", "refunds", refund_id, sample)

    # Connection.

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, GoCardlessSettings]) -> Steps[ConnectionResult]:
        """Show that the token is let in, and for which creditors it collects."""
        sample = {"id": "sample_creditor", "name": "Sample"}
        creditors = yield from self.every(batch, "creditors", {}, [sample])
        return {batch.only.id: creditors if isinstance(creditors, Rejected) else reading.read_connection(creditors)}

    # Pure and reading hooks.

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: GoCardlessSettings
    ) -> Sequence[ValidationIssue]:
        """A currency or an amount that GoCardless can't collect. An invoice over nothing needs no collecting."""
        return problems_of(invoice.total, invoice.currency) if invoice.total > 0 else ()

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """By status, and by what GoCardless says of used keys, dead tokens and its limit."""
        return verdict_of(reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: GoCardlessCredentials, now: datetime) -> Outgoing:
        """With the app's access token."""
        return request.with_headers(("Authorization", f"Bearer {credentials.access_token.get_secret_value()}"))

    @hookimpl
    def read_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: GoCardlessCredentials | None,
        now: datetime,
        settings: GoCardlessSettings,
    ) -> Sequence[WebhookEvent] | Refusal:
        """The events about payments and refunds, once the signature is checked."""
        secret = secrets.webhook_secret if secrets is not None else None
        return read_events(headers, body, secret.get_secret_value() if secret is not None else None)


_NO_CUSTOMER = Rejected.because(
    "customer_not_there", "The customer does not stand at GoCardless, so it has no mandate there. Sync it, then retry."
)


def _payment_sample(item: PaymentItem) -> Entry:
    metadata = {MARK["payments"]: item.id}
    return {
        "id": "sample_payment",
        "amount": to_minor(item.amount),
        "status": "pending_submission",
        "metadata": metadata,
    }


def _refund_outcome(reply: Reply) -> Done[RefundResult] | Pending | Rejected | Retry:
    if is_success(reply):
        return reading.read_refund(entry(reply, "refunds"))
    # Only for a first send: a repeated one may be refused because of its own success, and is looked up.
    if "total_amount_confirmation_invalid" in reasons_of(reply) and reply.source == "sent":
        return _OTHER_REFUND
    return refused(reply)


def _too_much(item: RefundItem, left_minor: int) -> Rejected:
    message = (
        f"{item.amount:f} {item.currency} can't be refunded: {to_major(left_minor):f} of payment {item.payment_external_id} "
        "is left at GoCardless. Refund at most that; look in its dashboard for refunds made there."
    )
    return Rejected.because("refund_too_large", message, path="/amount")
