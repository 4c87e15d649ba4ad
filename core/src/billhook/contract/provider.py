"""The base class of every provider. It declares every hook with types, so that a type checker finds a missing yield or a wrong return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

from billhook.contract.declaration import Declaration
from billhook.contract.hooks import hookimpl
from billhook.contract.items import (
    Batch,
    ConnectionItem,
    CreditNoteItem,
    CustomerItem,
    InvoiceItem,
    PaymentItem,
    RefundItem,
    SettingsT,
)
from billhook.contract.numbers import NumberRequest
from billhook.contract.outcomes import Outcomes, Steps
from billhook.contract.requests import Call, Function, Json, Outgoing, Reply, Request
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
from billhook.contract.verdict import Verdict, classify_by_status
from billhook.contract.webhooks import Refusal, WebhookEvent
from billhook.domain.invoice import InvoiceView, Line
from billhook.domain.issue import ValidationIssue
from billhook.domain.mapping import MappedLine
from billhook.errors import ContractViolation

F = TypeVar("F", bound=Callable[..., Any])

_REGISTERED = "billhook_registered"


def registered(function: F) -> F:
    """Mark a method that requests may name: a ``match``, an ``identify``, or the function of a ``Call``."""
    setattr(function, _REGISTERED, True)
    return function


def is_registered(member: object) -> bool:
    """Whether that attribute of a provider is marked with ``@registered``."""
    return bool(getattr(member, _REGISTERED, False) or getattr(getattr(member, "__func__", None), _REGISTERED, False))


class Provider(Generic[SettingsT]):
    """A provider: plugin code for one outside system.

    Override the hooks that the declaration names, each marked with ``@hookimpl``. An instance holds no state; whatever an operation
    needs is in its batch.
    """

    declaration: ClassVar[Declaration]

    def function(self, name: str, **args: Json) -> Function:
        """A reference to one of this provider's registered functions, for ``match``, ``identify`` and ``Call``.

        None of its arguments can be called ``name``.
        Raises ContractViolation when no such function is registered.
        """
        self.registered_function(name)
        return Function(name, args)

    def registered_function(self, name: str) -> Callable[..., Any]:
        """The function registered under that name. Raises ContractViolation when there is none."""
        candidate = getattr(self, name, None)
        if candidate is None or not getattr(candidate, _REGISTERED, False):
            raise ContractViolation(
                f"{type(self).__name__} has no registered function {name!r}. Define it and mark it with @registered."
            )
        return candidate  # type: ignore[no-any-return]

    # Operations: generator functions that yield requests (or plain functions where declared local).

    def sync_customer(self, batch: Batch[CustomerItem, SettingsT]) -> Steps[CustomerResult] | Outcomes[CustomerResult]:
        """See CustomerSpec.sync_customer."""
        self._missing("sync_customer")

    def sync_draft(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[DocumentResult] | Outcomes[DocumentResult]:
        """See InvoicingSpec.sync_draft."""
        self._missing("sync_draft")

    def issue(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[DocumentResult] | Outcomes[DocumentResult]:
        """See InvoicingSpec.issue."""
        self._missing("issue")

    def send(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[SendResult] | Outcomes[SendResult]:
        """See InvoicingSpec.send."""
        self._missing("send")

    def void(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[RemovalResult] | Outcomes[RemovalResult]:
        """See InvoicingSpec.void."""
        self._missing("void")

    def mark_uncollectible(
        self, batch: Batch[InvoiceItem, SettingsT]
    ) -> Steps[WriteOffResult] | Outcomes[WriteOffResult]:
        """See InvoicingSpec.mark_uncollectible."""
        self._missing("mark_uncollectible")

    def delete(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[RemovalResult] | Outcomes[RemovalResult]:
        """See InvoicingSpec.delete."""
        self._missing("delete")

    def credit(self, batch: Batch[CreditNoteItem, SettingsT]) -> Steps[DocumentResult] | Outcomes[DocumentResult]:
        """See InvoicingSpec.credit."""
        self._missing("credit")

    def calculate_tax(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[TaxResult] | Outcomes[TaxResult]:
        """See TaxSpec.calculate_tax."""
        self._missing("calculate_tax")

    def collect_payment(self, batch: Batch[PaymentItem, SettingsT]) -> Steps[PaymentResult] | Outcomes[PaymentResult]:
        """See PaymentSpec.collect_payment."""
        self._missing("collect_payment")

    def capture_payment(self, batch: Batch[PaymentItem, SettingsT]) -> Steps[PaymentResult] | Outcomes[PaymentResult]:
        """See PaymentSpec.capture_payment."""
        self._missing("capture_payment")

    def cancel_payment(self, batch: Batch[PaymentItem, SettingsT]) -> Steps[PaymentResult] | Outcomes[PaymentResult]:
        """See PaymentSpec.cancel_payment."""
        self._missing("cancel_payment")

    def check_payment(self, batch: Batch[PaymentItem, SettingsT]) -> Steps[PaymentResult] | Outcomes[PaymentResult]:
        """See PaymentSpec.check_payment."""
        self._missing("check_payment")

    def record_payment(self, batch: Batch[PaymentItem, SettingsT]) -> Steps[PaymentResult] | Outcomes[PaymentResult]:
        """See PaymentSpec.record_payment."""
        self._missing("record_payment")

    def refund(self, batch: Batch[RefundItem, SettingsT]) -> Steps[RefundResult] | Outcomes[RefundResult]:
        """See PaymentSpec.refund."""
        self._missing("refund")

    def check_refund(self, batch: Batch[RefundItem, SettingsT]) -> Steps[RefundResult] | Outcomes[RefundResult]:
        """See PaymentSpec.check_refund."""
        self._missing("check_refund")

    def fetch(self, batch: Batch[InvoiceItem, SettingsT]) -> Steps[Snapshot] | Outcomes[Snapshot]:
        """See ReconciliationSpec.fetch."""
        self._missing("fetch")

    def check_connection(
        self, batch: Batch[ConnectionItem, SettingsT]
    ) -> Steps[ConnectionResult] | Outcomes[ConnectionResult]:
        """See ConnectionSpec.check_connection."""
        self._missing("check_connection")

    def authorize_url(
        self, batch: Batch[ConnectionItem, SettingsT]
    ) -> Steps[AuthorizationResult] | Outcomes[AuthorizationResult]:
        """See ConnectionSpec.authorize_url."""
        self._missing("authorize_url")

    def exchange_code(
        self, batch: Batch[ConnectionItem, SettingsT]
    ) -> Steps[CredentialsResult] | Outcomes[CredentialsResult]:
        """See ConnectionSpec.exchange_code."""
        self._missing("exchange_code")

    def list_accounts(
        self, batch: Batch[ConnectionItem, SettingsT]
    ) -> Steps[ConnectionResult] | Outcomes[ConnectionResult]:
        """See ConnectionSpec.list_accounts."""
        self._missing("list_accounts")

    def refresh_credentials(
        self, batch: Batch[ConnectionItem, SettingsT]
    ) -> Steps[CredentialsResult] | Outcomes[CredentialsResult]:
        """See ConnectionSpec.refresh_credentials."""
        self._missing("refresh_credentials")

    # Pure hooks: None lets the next implementation answer.

    def map_line(self, line: Line, invoice: InvoiceView, settings: SettingsT) -> MappedLine | None:
        """See LineSpec.map_line."""
        self._missing("map_line")

    def assign_number(self, number: NumberRequest, settings: SettingsT) -> str | None:
        """See NumberingSpec.assign_number."""
        self._missing("assign_number")

    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: SettingsT
    ) -> Sequence[ValidationIssue] | None:
        """See ValidationSpec.validate_invoice."""
        self._missing("validate_invoice")

    # Reading hooks.

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """By status, as ``classify_by_status`` says. Override it where the provider documents more."""
        return classify_by_status(request, reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: Any, now: datetime) -> Outgoing | None:
        """Unchanged: no credentials."""
        return request

    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: SettingsT
    ) -> Sequence[WebhookEvent] | Refusal | None:
        """See ReadingSpec.read_webhook."""
        self._missing("read_webhook")

    def _missing(self, hook: str) -> NoReturn:
        raise ContractViolation(
            f"{type(self).__name__} does not implement {hook}. Declare the capability and override the hook."
        )
