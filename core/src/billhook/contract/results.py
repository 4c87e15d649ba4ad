"""What an operation achieved: one result type per operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billhook.errors import ContractViolation


@dataclass(frozen=True, slots=True)
class ProviderTotals:
    """The totals as the provider holds them, in major units of the document's currency. None: the provider did not say."""

    total: Decimal | None = None
    tax: Decimal | None = None
    discounts: Decimal | None = None
    line_totals: Mapping[str, Decimal] = field(default_factory=dict)
    """By our line id, as far as the provider tells."""


@dataclass(frozen=True, slots=True)
class CustomerResult:
    """A customer stands at the provider."""

    external_id: str
    payment_method: str | None = None
    """The provider's reference of the stored payment method."""
    app_data: Mapping[str, str] = field(default_factory=dict)
    """What is to be remembered of the customer besides. An empty text takes an entry away; what is not named stays."""


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """An invoice or credit note stands at the provider. What is None or empty leaves what was known before."""

    external_id: str | None = None
    number: str | None = None
    line_ids: Mapping[str, str] = field(default_factory=dict)
    """The provider's id by our line id."""
    discount_ids: Mapping[str, str] = field(default_factory=dict)
    """The provider's id by our discount id."""
    totals: ProviderTotals | None = None
    url: str | None = None
    sent_at: datetime | None = None
    payment_external_id: str | None = None
    kept_as_credit: Decimal | None = None
    """What of a credit note the customer keeps there as credit that pays later invoices, in major units. None where the provider does not tell."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The document was sent to the customer."""

    sent_at: datetime


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """The document is void or gone at the provider (or never was there)."""

    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class WriteOffResult:
    """The document counts as uncollectible at the provider (or never was there)."""

    external_id: str | None = None


class PaymentStatus(StrEnum):
    """How a payment stands at the provider. A status that you don't know is ``processing``, never success or failure."""

    PROCESSING = "processing"
    ACTION_REQUIRED = "action_required"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNCOLLECTIBLE = "uncollectible"


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """A payment as the provider holds it. ``amount`` is what was really received, in major units. Raises ContractViolation for more on
    account than that."""

    status: PaymentStatus
    amount: Decimal
    external_id: str | None = None
    action_url: str | None = None
    """Where the payer must act, when the status is ``action_required``. A webhook tells at once that it happened; looks without one grow rare."""
    code: str | None = None
    """The provider's own code of a failure."""
    message: str | None = None
    refunded: Decimal | None = None
    """What of it was given back until now, by whomever, without what came back, in major units. None where the provider does not tell."""
    on_account: Decimal = Decimal(0)
    """Of a payment that was noted in its books: what of it stands on account there, in major units, because the invoice had no room for it."""

    def __post_init__(self) -> None:
        if not 0 <= self.on_account <= max(self.amount, Decimal(0)):
            raise ContractViolation(
                f"{self.on_account} of a payment of {self.amount} stand on account. Tell what of it the invoice did not take."
            )


class RefundStatus(StrEnum):
    """How a refund stands at the provider."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundResult:
    """A refund as the provider holds it."""

    status: RefundStatus
    amount: Decimal
    external_id: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class LineTax:
    """Tax on one line, in major units. ``taxable_amount`` None: the line before taxes. ``included``: whether the price holds it
    already (None: as the line's own tax configuration says)."""

    name: str
    amount: Decimal
    percentage: Decimal
    taxable_amount: Decimal | None = None
    included: bool | None = None


@dataclass(frozen=True, slots=True)
class TaxResult:
    """Tax by our line id. A line without an entry keeps the tax it has; one with an empty entry is not taxed."""

    lines: Mapping[str, tuple[LineTax, ...]]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment that a document received at the provider. Raises ContractViolation for amounts that no payment can have."""

    external_id: str
    """The provider's own id of it, by which its webhooks name it and it can be refunded."""
    amount: Decimal
    """What came, in major units, before anything was given back."""
    refunded: Decimal = Decimal(0)
    """What of it was given back until now, by whomever."""

    def __post_init__(self) -> None:
        if not 0 <= self.refunded <= self.amount or not self.amount:
            raise ContractViolation(
                f"Receipt {self.external_id} has {self.refunded} given back of {self.amount} received. Tell what came and what of it went back."
            )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the provider holds now. ``found`` False means that it holds no such document."""

    found: bool
    external_id: str | None = None
    number: str | None = None
    status: str | None = None
    """The provider's own word."""
    totals: ProviderTotals | None = None
    """As ``issue`` tells them: others mean that somebody changed the document there."""
    amount_paid: Decimal | None = None
    """What it received for the document, less what it gave back."""
    receipts: tuple[Receipt, ...] = ()
    """The payments that brought it, as far as the provider tells them apart, also those that were noted there. Any other then counts under
    its id, can be refunded, and what is given back of it later is known here; what ``amount_paid`` holds beyond them has no id."""
    voided: bool = False
    """Whether it stands there as void or canceled, and nobody owes it any more."""
    amount_due: Decimal | None = None
    """What it still asks of the customer there. Together with ``amount_paid`` it tells what was credited there without being known here."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a credential reaches at the provider."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ConnectionResult:
    """The credential works, and reaches these accounts."""

    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationResult:
    """Where a person grants access."""

    url: str


@dataclass(frozen=True, slots=True)
class CredentialsResult:
    """New credentials, as the provider's credentials model takes them. Never journalled."""

    credentials: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None = None
