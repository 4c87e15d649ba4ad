"""Stripe as a provider: the operations come from their own modules; here are its declaration and its plain hooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from billhook.contract import (
    Batch,
    Call,
    ConnectionItem,
    ConnectionResult,
    InvoiceView,
    Line,
    MappedLine,
    Outgoing,
    Refusal,
    Reply,
    Request,
    Steps,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    hookimpl,
)
from billhook_stripe import preflight, reading
from billhook_stripe.collecting import Collecting
from billhook_stripe.crediting import Crediting
from billhook_stripe.declaration import DECLARATION
from billhook_stripe.invoicing import Invoicing
from billhook_stripe.settings import StripeCredentials, StripeSettings
from billhook_stripe.webhooks import read_events


class StripeProvider(Invoicing, Crediting, Collecting):
    """Invoices that live at Stripe, and payments of invoices that live anywhere."""

    declaration = DECLARATION

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, StripeSettings]) -> Steps[ConnectionResult]:
        """Show that the key works, and whose it is."""
        reply = yield self.get(batch, "account", "/v1/account", {}, {"id": "acct_sample"})
        return {batch.only.id: reading.read_connection(reply)}

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: StripeSettings) -> MappedLine:
        """A line goes under its own name. An item code that is a Stripe product (prod_...) stays one."""
        return MappedLine(line_id=line.id, description=line.name, rule="stripe default", item_code=line.item_code)

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: StripeSettings
    ) -> Sequence[ValidationIssue]:
        """What Stripe would refuse, or hold another way."""
        return preflight.invoice_problems(invoice, lines)

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """By status, and by what Stripe documents of locks and keys."""
        return reading.verdict_of(reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: StripeCredentials, now: datetime) -> Outgoing:
        """With the app's key."""
        return request.with_headers(("Authorization", f"Bearer {credentials.api_key.get_secret_value()}"))

    @hookimpl
    def read_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: StripeCredentials | None,
        now: datetime,
        settings: StripeSettings,
    ) -> Sequence[WebhookEvent] | Refusal:
        """The event, once its signature and age are checked; none where it is another account's."""
        secret = secrets.webhook_secret if secrets is not None else None
        key = secret.get_secret_value() if secret is not None else None
        return read_events(headers, body, key, now, settings.account)
