"""The hooks, by topic. Each docstring says when the hook is called, what it may do and what it returns.

Three kinds, told apart by what they are. An **operation** is a generator function that yields requests and returns outcomes by item id (or
a plain function where the provider declares it ``local``). A **pure** hook is a plain function; None lets the next implementation
answer, so a host can override it for one app. A **reading** hook is a plain function that the provider alone implements. **Observers** are
engine-wide, and all of them are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pluggy

from billhook.contract.events import AppStatusChanged, InvoiceTransitioned, OperationSettled
from billhook.contract.items import (
    Batch,
    ConnectionItem,
    CreditNoteItem,
    CustomerItem,
    InvoiceItem,
    PaymentItem,
    RefundItem,
)
from billhook.contract.numbers import NumberRequest
from billhook.contract.outcomes import Steps
from billhook.contract.requests import Call, Outgoing, Reply, Request
from billhook.contract.results import (
    AuthorizationResult,
    ConnectionResult,
    CredentialsResult,
    CustomerResult,
    DocumentResult,
    PaymentResult,
    RefundResult,
    RemovalResult,
    SendResult,
    Snapshot,
    TaxResult,
    WriteOffResult,
)
from billhook.contract.verdict import Verdict
from billhook.contract.webhooks import Refusal, WebhookEvent
from billhook.domain.invoice import InvoiceView, Line
from billhook.domain.issue import ValidationIssue
from billhook.domain.mapping import MappedLine

PROJECT = "billhook"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class CustomerSpec:
    """Customers at the provider."""

    @hookspec(firstresult=True)
    def sync_customer(self, batch: Batch[CustomerItem, Any]) -> Steps[CustomerResult]:  # type: ignore[empty-body]
        """Operation. Bring customers to the provider: create, or update where ``external_id`` is set.

        Called once per customer and app before any invoice needs it, and again after the customer was edited.
        """


class InvoicingSpec:
    """Invoices and credit notes at the provider."""

    @hookspec(firstresult=True)
    def sync_draft(self, batch: Batch[InvoiceItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Put the draft there: create it, or replace the one that ``external_id`` names. Return the totals the provider holds."""

    @hookspec(firstresult=True)
    def issue(self, batch: Batch[InvoiceItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Make the invoice final under ``item.number`` (or return the number that the provider gave)."""

    @hookspec(firstresult=True)
    def send(self, batch: Batch[InvoiceItem, Any]) -> Steps[SendResult]:  # type: ignore[empty-body]
        """Operation. Send the issued invoice to the customer, once."""

    @hookspec(firstresult=True)
    def void(self, batch: Batch[InvoiceItem, Any]) -> Steps[RemovalResult]:  # type: ignore[empty-body]
        """Operation. Make an issued invoice void. Already void is Done."""

    @hookspec(firstresult=True)
    def mark_uncollectible(self, batch: Batch[InvoiceItem, Any]) -> Steps[WriteOffResult]:  # type: ignore[empty-body]
        """Operation. Note on an issued invoice that nobody expects its money any more; it may still come. Already noted is Done."""

    @hookspec(firstresult=True)
    def delete(self, batch: Batch[InvoiceItem, Any]) -> Steps[RemovalResult]:  # type: ignore[empty-body]
        """Operation. Remove a draft. Already gone is Done."""

    @hookspec(firstresult=True)
    def credit(self, batch: Batch[CreditNoteItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Issue a credit note, applied to the invoice that ``applies_to`` names if there is one."""


class PaymentSpec:
    """Money."""

    @hookspec(firstresult=True)
    def collect_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Take the money with the customer's stored method. An unknown remote status is Pending."""

    @hookspec(firstresult=True)
    def capture_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Take ``item.amount`` of a payment that was only authorized; the rest of it goes back. Already taken is Done."""

    @hookspec(firstresult=True)
    def cancel_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Have a payment that is authorized or still open come to nothing. Where the money came all the same, say so: a
        payment that can't be canceled any more is Done with the status it has."""

    @hookspec(firstresult=True)
    def check_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Read how a payment stands. Called at ``check_after`` and when a webhook hints at it."""

    @hookspec(firstresult=True)
    def record_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Note at this app a payment that came another way, so that its books agree."""

    @hookspec(firstresult=True)
    def refund(self, batch: Batch[RefundItem, Any]) -> Steps[RefundResult]:  # type: ignore[empty-body]
        """Operation. Give money back from a payment that this app collected."""

    @hookspec(firstresult=True)
    def check_refund(self, batch: Batch[RefundItem, Any]) -> Steps[RefundResult]:  # type: ignore[empty-body]
        """Operation. Read how a refund stands; one that was paid can bounce. Called at ``check_after`` and when a webhook hints at it."""


class TaxSpec:
    """Tax from outside."""

    @hookspec(firstresult=True)
    def calculate_tax(self, batch: Batch[InvoiceItem, Any]) -> Steps[TaxResult]:  # type: ignore[empty-body]
        """Operation. Tax per line, asked for while the draft is validated. A failed look-up stops the invoice; it never means no tax."""


class ReconciliationSpec:
    """Reading back."""

    @hookspec(firstresult=True)
    def fetch(self, batch: Batch[InvoiceItem, Any]) -> Steps[Snapshot]:  # type: ignore[empty-body]
        """Operation. Read what the provider holds for a document now. Changes nothing."""


class ConnectionSpec:
    """The app's connection and its credentials."""

    @hookspec(firstresult=True)
    def check_connection(self, batch: Batch[ConnectionItem, Any]) -> Steps[ConnectionResult]:  # type: ignore[empty-body]
        """Operation. Show that the credentials work, and what they reach."""

    @hookspec(firstresult=True)
    def authorize_url(self, batch: Batch[ConnectionItem, Any]) -> Steps[AuthorizationResult]:  # type: ignore[empty-body]
        """Operation. The address where a person grants access."""

    @hookspec(firstresult=True)
    def exchange_code(self, batch: Batch[ConnectionItem, Any]) -> Steps[CredentialsResult]:  # type: ignore[empty-body]
        """Operation. Turn the code that came back into credentials. Never journalled."""

    @hookspec(firstresult=True)
    def list_accounts(self, batch: Batch[ConnectionItem, Any]) -> Steps[ConnectionResult]:  # type: ignore[empty-body]
        """Operation. The accounts that the credentials reach."""

    @hookspec(firstresult=True)
    def refresh_credentials(self, batch: Batch[ConnectionItem, Any]) -> Steps[CredentialsResult]:  # type: ignore[empty-body]
        """Operation. New credentials for old. One at a time per credential. Never journalled."""


class LineSpec:
    """Mapping of lines."""

    @hookspec(firstresult=True)
    def map_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine | None:
        """Pure. Where a line goes: account, item, tax code, and the rule that chose them. None: ask the next; if nobody knows, the
        invoice stops with the issue ``line_not_mapped``."""


class NumberingSpec:
    """External numbers."""

    @hookspec(firstresult=True)
    def assign_number(self, number: NumberRequest, settings: Any) -> str | None:
        """Pure. Shape the sequence value that the engine reserved into the document's number. None: the series' own template."""


class ValidationSpec:
    """What the provider would refuse."""

    @hookspec(firstresult=True)
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: Any
    ) -> Sequence[ValidationIssue] | None:
        """Pure. Everything wrong with an invoice, all at once, before anything is written. Critical issues stop it.

        An app that only collects is asked too, where the profile collects by itself: of an invoice that lives elsewhere, with no ``lines``.
        """


class ReadingSpec:
    """Reading what comes back. The provider alone implements these."""

    @hookspec(firstresult=True)
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """What a reply says about whether the request was executed. Only ``Answered`` reaches the operation."""

    @hookspec(firstresult=True)
    def authenticate(self, request: Outgoing, credentials: Any, now: datetime) -> Outgoing | None:
        """The request with its credentials added, at the moment of sending. The result is never stored."""

    @hookspec(firstresult=True)
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal | None:
        """The verified events of a webhook (header names in lower case, body as received), or why it is refused. A missing secret is
        a refusal. ``secrets`` is the app's credentials model. Leave out what ``settings`` show to be another account's: one
        address may get the events of many."""


PROVIDER_SPECS: tuple[type, ...] = (
    CustomerSpec,
    InvoicingSpec,
    PaymentSpec,
    TaxSpec,
    ReconciliationSpec,
    ConnectionSpec,
    LineSpec,
    NumberingSpec,
    ValidationSpec,
    ReadingSpec,
)


class ObserverSpec:
    """Engine-wide: whoever wants to know. Called after commit; what an observer raises is logged and stops nothing."""

    @hookspec
    def invoice_transitioned(self, event: InvoiceTransitioned) -> None:
        """An invoice moved. ``event.hops`` lists every state it passed."""

    @hookspec
    def operation_settled(self, event: OperationSettled) -> None:
        """An operation ended for one item, with this outcome."""

    @hookspec
    def app_status_changed(self, event: AppStatusChanged) -> None:
        """An app became ready or unauthorized, or was disabled."""
