"""The sandbox as a provider: every operation, nothing kept back, so that it shows how a provider is written."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from billhook.contract import (
    Batch,
    Call,
    Capability,
    ConnectionItem,
    ConnectionResult,
    CreditNoteItem,
    CustomerItem,
    CustomerResult,
    Declaration,
    DocumentResult,
    Done,
    Full,
    InstallMethod,
    InvoiceItem,
    InvoiceView,
    KeyRules,
    Line,
    MappedLine,
    MoneyRules,
    OperationRules,
    Outgoing,
    PaymentItem,
    PaymentResult,
    Pending,
    RefundItem,
    RefundResult,
    Refusal,
    Rejected,
    RemovalResult,
    Reply,
    Request,
    Retry,
    SendResult,
    Severity,
    Snapshot,
    Steps,
    TaxResult,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    hookimpl,
    remote_id,
)
from sandbox_of_contract_1_0 import encoding, findings, reading
from sandbox_of_contract_1_0.config import SandboxCredentials, SandboxSettings
from sandbox_of_contract_1_0.encoding import Entry, left_behind
from sandbox_of_contract_1_0.incoming import read_events
from sandbox_of_contract_1_0.requests import KEYS_HONOURED, SandboxRequests, money_sample

STEERING_KEY = "openmeter.io/sandbox/target-payment-status"
STEERED_STATUSES = ("paid", "failed", "uncollectible", "action_required", "processing")

_LONGEST = timedelta(seconds=5)
_BATCH = OperationRules(batch=50, atomic=False, concurrency=4, longest=_LONGEST)
_SINGLE = OperationRules(concurrency=4, longest=_LONGEST)
_OPERATIONS: Mapping[Capability, OperationRules] = {
    Capability.SYNC_CUSTOMER: _BATCH,
    Capability.SYNC_DRAFT: _BATCH,
    Capability.ISSUE: _BATCH,
    Capability.SEND: _SINGLE,
    Capability.VOID: _SINGLE,
    Capability.DELETE: _SINGLE,
    Capability.CREDIT: _BATCH,
    Capability.CALCULATE_TAX: _BATCH,
    Capability.COLLECT_PAYMENT: _SINGLE,
    Capability.CHECK_PAYMENT: _BATCH,
    Capability.RECORD_PAYMENT: _SINGLE,
    Capability.REFUND: _SINGLE,
    Capability.FETCH: _BATCH,
    Capability.CHECK_CONNECTION: _SINGLE,
}

Listed = Generator[Request | Call, Reply, dict[str, list[Entry]] | Rejected | Retry]


class SandboxProvider(SandboxRequests):
    """Carries invoices to a sandbox and collects their money there.

    Metadata of an invoice steer what the sandbox does with it; see its simulator.
    """

    declaration = Declaration(
        type="sandbox",
        contract="1.0",
        name="Sandbox",
        description="A made-up provider with books of its own, for tests and demonstrations. Needs no account anywhere.",
        capabilities={
            **dict.fromkeys(_OPERATIONS, Full()),
            Capability.MAP_LINE: Full(),
            Capability.VALIDATE_INVOICE: Full(),
            Capability.READ_WEBHOOK: Full(),
        },
        operations=_OPERATIONS,
        money=MoneyRules(unit_price_scale=12, quantity_scale=12, max_lines=10_000),
        keys=KeyRules(window=KEYS_HONOURED),
        settings=SandboxSettings,
        credentials=SandboxCredentials,
        install_methods=(InstallMethod.API_KEY,),
    )

    # Customers and documents.

    @hookimpl
    def sync_customer(self, batch: Batch[CustomerItem, SandboxSettings]) -> Steps[CustomerResult]:
        """Create the new ones and change the others, in one request."""
        entries = [encoding.customer_entry(item) for item in batch.items]
        reply = yield self.upsert_request(batch, "customers", "/v1/customers", entries)
        return reading.outcomes_of(reply, batch.items, lambda _item, entry: reading.read_customer(entry))

    @hookimpl
    def sync_draft(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[DocumentResult]:
        """Create the new ones and replace the others, in one request."""
        entries = [encoding.invoice_entry(item) for item in batch.items]
        reply = yield self.upsert_request(batch, "drafts", "/v1/invoices", entries, status="draft")
        return reading.outcomes_of(reply, batch.items, lambda _item, entry: reading.read_draft(entry))

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[DocumentResult]:
        """Make drafts final under the engine's numbers. What has no draft there is refused."""
        ids = {item.id: known for item in batch.items if (known := remote_id(item)) is not None}
        missing = {item.id: _NO_DOCUMENT for item in batch.items if item.id not in ids}
        drafts = [item for item in batch.items if item.id in ids]
        if not drafts:
            return missing
        reply = yield self.issue_request(batch, drafts, ids)
        issued = reading.outcomes_of(reply, drafts, lambda item, entry: reading.read_issued(item.number, entry))
        return {**issued, **missing}

    @hookimpl
    def credit(self, batch: Batch[CreditNoteItem, SandboxSettings]) -> Steps[DocumentResult]:
        """Issue credit notes, in one request."""
        entries = [encoding.credit_note_entry(item) for item in batch.items]
        reply = yield self.upsert_request(batch, "credit_notes", "/v1/credit_notes", entries, status="issued")
        return reading.outcomes_of(reply, batch.items, lambda item, entry: reading.read_issued(item.number, entry))

    @hookimpl
    def send(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[SendResult]:
        """Send an issued invoice."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: _NO_DOCUMENT}
        reply = yield self.move_request(batch, "POST", known, "send", {"sent_at": batch.now.isoformat()})
        return {item.id: reading.read_sent(reply)}

    @hookimpl
    def void(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[RemovalResult]:
        """Make an issued invoice void; nothing to do where it never stood."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(RemovalResult())}
        reply = yield self.move_request(batch, "POST", known, "void", {"id": known})
        return {item.id: reading.read_removal(reply, known)}

    @hookimpl
    def delete(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[RemovalResult]:
        """Remove a draft; nothing to do where it never stood."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(RemovalResult())}
        reply = yield self.move_request(batch, "DELETE", known, "delete", {"id": known})
        return {item.id: reading.read_removal(reply, known)}

    @hookimpl
    def fetch(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[Snapshot]:
        """What the sandbox holds under our references."""
        listed = yield from self._listed(batch, "/v1/invoices")
        if not isinstance(listed, dict):
            return dict.fromkeys((item.id for item in batch.items), listed)
        return {item.id: reading.read_snapshot(_same_document(listed.get(item.id, []), item)) for item in batch.items}

    @hookimpl
    def calculate_tax(self, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[TaxResult]:
        """Tax of every line that has a code. Lines without one are not taxed here."""
        entries = {item.id: entry for item in batch.items if (entry := encoding.tax_entry(item)) is not None}
        untaxed = {item.id: Done(TaxResult({})) for item in batch.items if item.id not in entries}
        if not entries:
            return untaxed
        reply = yield self.tax_request(batch, list(entries.values()))
        asked = [item for item in batch.items if item.id in entries]
        return {**reading.outcomes_of(reply, asked, reading.read_taxes), **untaxed}

    # Money.

    @hookimpl
    def collect_payment(self, batch: Batch[PaymentItem, SandboxSettings]) -> Steps[PaymentResult]:
        """Charge the customer. A payment that stands there already is read, never charged again."""
        item = batch.only
        entry = encoding.charge_entry(item)
        reply = yield self._paying(batch, remote_id(item), "charge", "/v1/payments", entry, "charged")
        return {item.id: reading.read_payment_reply(reply)}

    @hookimpl
    def record_payment(self, batch: Batch[PaymentItem, SandboxSettings]) -> Steps[PaymentResult]:
        """Note a payment on its invoice, which must stand in the sandbox."""
        item = batch.only
        if item.invoice_external_id is None:
            return {item.id: _NO_DOCUMENT}
        entry = encoding.record_entry(item, batch.now)
        # The external id of a payment that came another way is its payer's or its bank's, not one of the sandbox.
        known = left_behind(item)
        reply = yield self._paying(batch, known, "record", "/v1/payments/record", entry, "recorded")
        return {item.id: reading.read_payment_reply(reply)}

    @hookimpl
    def check_payment(self, batch: Batch[PaymentItem, SandboxSettings]) -> Steps[PaymentResult]:
        """How payments stand, by our references."""
        listed = yield from self._listed(batch, "/v1/payments")
        if not isinstance(listed, dict):
            return dict.fromkeys((item.id for item in batch.items), listed)
        return {item.id: _standing(listed.get(item.id, []), item) for item in batch.items}

    @hookimpl
    def refund(self, batch: Batch[RefundItem, SandboxSettings]) -> Steps[RefundResult]:
        """Give money back. A refund that stands there already is read, never made again."""
        item, known = batch.only, remote_id(batch.only)
        entry = encoding.refund_entry(item)
        if known is None:
            reply = yield self.money_request(batch, "refund", "/v1/refunds", entry, "/v1/refunds", None)
            return {item.id: reading.read_refund_reply(reply)}
        reply = yield self.get_request(batch, "refund", f"/v1/refunds?id={known}", {"items": [money_sample(entry)]})
        return {item.id: reading.read_listed_refund(reply, known)}

    def _paying(
        self,
        batch: Batch[PaymentItem, SandboxSettings],
        known: str | None,
        step: str,
        path: str,
        entry: Entry,
        origin: str,
    ) -> Request:
        if known is not None:
            return self.get_request(batch, "payment", f"/v1/payments/{known}", money_sample(entry))
        return self.money_request(batch, step, path, entry, "/v1/payments", origin)

    def _listed(self, batch: Batch[Any, SandboxSettings], path: str) -> Listed:
        """Everything with the batch's references, by reference, page after page."""
        found: dict[str, list[Entry]] = {}
        number, cursor = 1, ""
        while True:
            reply = yield self.page_request(batch, number, path, cursor)
            if not reading.is_success(reply):
                return reading.refused(reply)
            page = reply.json()
            for entry in page["items"]:
                found.setdefault(entry["reference"], []).append(entry)
            if not page["has_more"]:
                return found
            if not page["items"]:
                return Retry(timedelta(seconds=1), "the list goes on without showing more")
            number, cursor = number + 1, page["next_cursor"]

    # Connection.

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, SandboxSettings]) -> Steps[ConnectionResult]:
        """Show that the token is let in."""
        reply = yield self.get_request(batch, "account", "/v1/account", {"id": "sample", "name": "Sandbox"})
        return {batch.only.id: reading.read_connection(reply)}

    # Pure hooks.

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: SandboxSettings) -> MappedLine:
        """Everything goes to sales, under its own item and tax code."""
        return MappedLine(
            line_id=line.id,
            description=line.name,
            rule="sandbox default",
            account="sales",
            item_code=line.item_code,
            tax_code=encoding.tax_code_of(line, invoice),
        )

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: SandboxSettings
    ) -> Sequence[ValidationIssue]:
        """The sandbox takes any invoice, but refuses to steer a payment to a status that it does not know."""
        status = invoice.content.metadata.get(STEERING_KEY)
        if status in {None, *STEERED_STATUSES}:
            return ()
        message = f"The sandbox knows no payment status {status!r}. Use one of: {', '.join(STEERED_STATUSES)}."
        issue = ValidationIssue(
            severity=Severity.CRITICAL, code="payment_status_unknown", message=message, path="/metadata"
        )
        return (issue,)

    # Reading.

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """By status, and by what the sandbox says of keys in flight."""
        return reading.verdict_of(reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: SandboxCredentials, now: datetime) -> Outgoing:
        """With the app's token."""
        return request.with_headers(("Authorization", f"Bearer {credentials.token.get_secret_value()}"))

    @hookimpl
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: SandboxCredentials | None, now: datetime
    ) -> Sequence[WebhookEvent] | Refusal:
        """The event, once its signature and age are checked."""
        secret = secrets.webhook_secret if secrets is not None else None
        return read_events(headers, body, secret.get_secret_value() if secret is not None else None, now)


_NO_DOCUMENT = Rejected.because(
    "document_not_there", "The invoice does not stand in the sandbox. Sync its draft first."
)


def _same_document(entries: list[Entry], item: InvoiceItem) -> Entry | None:
    known = remote_id(item)
    return next((entry for entry in entries if known in {None, entry["id"]}), None)


def _standing(entries: list[Entry], item: PaymentItem) -> Done[PaymentResult] | Pending | Rejected:
    if not entries:
        return reading.not_there("payment", item.id)
    return reading.read_payment(findings.best_payment(entries, item.external_id))
