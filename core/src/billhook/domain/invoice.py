"""The invoice: what a host submits, one calculated revision of it, and the view that plugins and hosts read.

InvoiceDraft    what a host asks for, not calculated yet
InvoiceContent  one calculated revision; never changes, knows nothing of state or providers
InvoiceView     a revision with the invoice's identity and present state
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Code, CopiedId, Description, Key, Metadata, Name, Value, not_empty
from billhook.domain.currency import CurrencyCode
from billhook.domain.discount import AppliedDiscount, Discount, UsageDiscount
from billhook.domain.exchange import ExchangeRate
from billhook.domain.ids import Ulid, child_ulid
from billhook.domain.money import EXACT, ONE, ZERO, Amount
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import Period, UtcDatetime
from billhook.domain.price import FlatPrice, PaymentTerm, Price, UnitPrice, has_commitment
from billhook.domain.tax import TaxAmount, TaxConfig
from billhook.domain.workflow import WorkflowConfig

# What the parts of a line are called when their ids are made. Changing one changes ids.
FLAT_PRICE = "flat-price"
UNIT_PRICE_USAGE = "unit-price-usage"

MAX_LINES = 10_000
MAX_DISCOUNTS_PER_LINE = 16
MAX_TAXES_PER_LINE = 16


class DocumentType(StrEnum):
    STANDARD = "standard"
    CREDIT_NOTE = "credit_note"


class ManagedBy(StrEnum):
    SUBSCRIPTION = "subscription"
    SYSTEM = "system"
    MANUAL = "manual"


class LineCategory(StrEnum):
    REGULAR = "regular"
    COMMITMENT = "commitment"


class LineDraft(Value):
    """A line to be calculated. Without a quantity, a flat price counts once and a metered line is asked for its usage.

    Taxes that are stated here were computed by the sender and are kept as they are.
    """

    id: Ulid | None = None
    name: Name
    description: Description | None = None
    item_code: Code | None = None
    feature_key: Code | None = None
    period: Period | None = None
    invoice_at: UtcDatetime | None = None
    quantity: Amount | None = None
    pre_line_period_quantity: Amount = ZERO
    price: Price
    tax_config: TaxConfig | None = None
    taxes: Annotated[tuple[TaxAmount, ...], Field(max_length=MAX_TAXES_PER_LINE)] = ()
    discounts: Annotated[tuple[Discount, ...], Field(max_length=MAX_DISCOUNTS_PER_LINE)] = ()
    metadata: Metadata = Field(default_factory=dict)
    managed_by: ManagedBy = ManagedBy.MANUAL

    @model_validator(mode="after")
    def _flat_price_counts_once(self) -> Self:
        if not isinstance(self.price, FlatPrice):
            return self
        if self.quantity is not None and self.quantity != ONE:
            raise PydanticCustomError("quantity_on_flat_price", "A flat price counts once. Use a unit price instead.")
        if any(isinstance(discount, UsageDiscount) for discount in self.discounts):
            raise PydanticCustomError("usage_discount_on_flat_price", "A flat price has no usage to discount.")
        return self


LineDrafts = Annotated[tuple[LineDraft, ...], Field(max_length=MAX_LINES), AfterValidator(not_empty)]


class ExpectedTotals(Value):
    """What the sender's own system came to, in major units. What is stated is compared; at least one figure is.

    `net` is without any tax, `taxes_total` all taxes, `total` what is to be paid.
    """

    net: Amount | None = None
    taxes_total: Amount | None = None
    total: Amount | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.stated:
            raise PydanticCustomError("expected_totals_empty", "State net, taxes_total, total, or any of them.")
        return self

    @property
    def stated(self) -> dict[str, Decimal]:
        """The figures that are compared, by name."""
        return {name: value for name, value in self if value is not None}


class InvoiceDraft(Value):
    """What a host asks for. The key makes asking twice harmless: the same key with the same content is one invoice.

    `number` is for hosts that number by themselves. `issued_at` and `due_at` are the days that the document bears; without them it bears
    the day on which it is issued, and is due after the workflow's `due_after`. Workflow values that are stated win over the billing
    profile's. A document that comes to anything else than `expected_totals` is stopped before anything is sent.

    `external_id` is for a credit note that somebody made at the app of the invoice that it credits: its id there, beside its `number` there. It
    counts here as well, and nothing is sent.
    """

    key: Key | None = None
    type: DocumentType = DocumentType.STANDARD
    customer_id: Ulid | None = None
    customer_key: Key | None = None
    currency: CurrencyCode
    lines: LineDrafts
    expected_totals: ExpectedTotals | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    period: Period | None = None
    supplier: Supplier | None = None
    workflow: WorkflowConfig | None = None
    exchange_rate: ExchangeRate | None = None
    credited_invoice_id: Ulid | None = None
    number: Key | None = None
    external_id: CopiedId | None = None
    issued_at: UtcDatetime | None = None
    due_at: UtcDatetime | None = None

    @model_validator(mode="after")
    def _stands_there_whole(self) -> Self:
        if self.external_id is None:
            return self
        if self.type is not DocumentType.CREDIT_NOTE:
            raise PydanticCustomError(
                "external_id_of_invoice", "Only a credit note may stand at an app already. Leave out external_id."
            )
        if self.credited_invoice_id is None or self.number is None:
            raise PydanticCustomError(
                "credit_note_unclear",
                "A credit note that stands at an app already has a number there and credits an invoice: state number and credited_invoice_id.",
            )
        return self

    @model_validator(mode="after")
    def _names_one_customer(self) -> Self:
        if (self.customer_id is None) == (self.customer_key is None):
            raise PydanticCustomError(
                "customer_missing", "Name the customer by customer_id or by customer_key, not both."
            )
        return self

    @model_validator(mode="after")
    def _exchanges_its_own_currency(self) -> Self:
        if self.exchange_rate is not None and self.exchange_rate.from_currency != self.currency:
            raise PydanticCustomError(
                "exchange_rate_currency_mismatch", "The exchange rate starts from the invoice's own currency."
            )
        return self

    @model_validator(mode="after")
    def _names_each_line_once(self) -> Self:
        ids = [line.id for line in self.lines if line.id is not None]
        if len(set(ids)) != len(ids):
            raise PydanticCustomError("line_id_repeated", "Two lines have the same id.")
        return self


class Totals(Value):
    """What adds up to a total. `amount` contains inclusive taxes; commitments are charges."""

    amount: Amount = ZERO
    charges_total: Amount = ZERO
    discounts_total: Amount = ZERO
    credits_total: Amount = ZERO
    taxes_inclusive_total: Amount = ZERO
    taxes_exclusive_total: Amount = ZERO

    @property
    def taxes_total(self) -> Decimal:
        """All taxes, inside prices and on top of them."""
        return EXACT.add(self.taxes_inclusive_total, self.taxes_exclusive_total)

    @property
    def before_taxes(self) -> Decimal:
        """What exclusive taxes come on top of: amount and charges less discounts and credits."""
        charged = EXACT.add(self.amount, self.charges_total)
        return EXACT.subtract(charged, EXACT.add(self.discounts_total, self.credits_total))

    @property
    def total(self) -> Decimal:
        """What is to be paid."""
        return EXACT.add(self.before_taxes, self.taxes_exclusive_total)

    @property
    def net(self) -> Decimal:
        """The total without any taxes."""
        return EXACT.subtract(self.before_taxes, self.taxes_inclusive_total)


class DetailedLine(Value):
    """One thing a line is made of: a tier, a minimum spend, or simply quantity times price."""

    id: Ulid
    name: Name
    quantity: Amount = ONE
    per_unit_amount: Amount
    category: LineCategory = LineCategory.REGULAR
    payment_term: PaymentTerm = PaymentTerm.IN_ARREARS
    discounts: tuple[AppliedDiscount, ...] = ()
    taxes: tuple[TaxAmount, ...] = ()
    totals: Totals


class Line(Value):
    """A calculated line.

    `metered` lines got their quantity from a usage source, and are asked again when the invoice is collected.
    `detailed_lines` is empty where the line is plainly quantity times price; `details_of` gives that one detail too.
    `discounts` stand on the line itself there, else on the details, but for usage discounts, always here.
    """

    id: Ulid
    name: Name
    description: Description | None = None
    item_code: Code | None = None
    feature_key: Code | None = None
    period: Period | None = None
    invoice_at: UtcDatetime | None = None
    quantity: Amount = ONE
    metered_quantity: Amount | None = None
    metered: bool = False
    price: Price
    tax_config: TaxConfig | None = None
    agreed_discounts: tuple[Discount, ...] = ()
    discounts: tuple[AppliedDiscount, ...] = ()
    detailed_lines: tuple[DetailedLine, ...] = ()
    taxes: tuple[TaxAmount, ...] = ()
    taxes_stated: bool = False
    totals: Totals
    metadata: Metadata = Field(default_factory=dict)
    managed_by: ManagedBy = ManagedBy.MANUAL


class InvoiceContent(Value):
    """One calculated revision of an invoice."""

    type: DocumentType = DocumentType.STANDARD
    currency: CurrencyCode
    customer: CustomerSnapshot
    supplier: Supplier
    lines: tuple[Line, ...] = ()
    totals: Totals
    period: Period | None = None
    workflow: WorkflowConfig = Field(default_factory=WorkflowConfig)
    exchange_rate: ExchangeRate | None = None
    credited_invoice_id: Ulid | None = None
    description: Description | None = None
    metadata: Metadata = Field(default_factory=dict)
    expected_totals: ExpectedTotals | None = None


def is_plain(price: Price) -> bool:
    """Whether a line of that price is quantity times price and nothing else."""
    return isinstance(price, FlatPrice | UnitPrice) and not has_commitment(price)


def details_of(line: Line) -> tuple[DetailedLine, ...]:
    """Everything the line is made of; a plain line is made of one detail, or none where nothing was used."""
    price = line.price
    if line.detailed_lines or not isinstance(price, FlatPrice | UnitPrice):
        return line.detailed_lines
    if isinstance(price, FlatPrice):
        return (_only_detail(line, FLAT_PRICE, line.name, ONE, price.amount, price.payment_term),)
    if not line.quantity:
        return ()
    name = usage_name(line.name)
    return (_only_detail(line, UNIT_PRICE_USAGE, name, line.quantity, price.amount, PaymentTerm.IN_ARREARS),)


def _only_detail(
    line: Line, reference: str, name: str, quantity: Decimal, per_unit_amount: Decimal, payment_term: PaymentTerm
) -> DetailedLine:
    return DetailedLine(
        id=child_ulid(line.id, reference),
        name=name,
        quantity=quantity,
        per_unit_amount=per_unit_amount,
        payment_term=payment_term,
        discounts=tuple(discount for discount in line.discounts if discount.quantity is None),
        taxes=line.taxes,
        totals=line.totals,
    )


def usage_name(name: str) -> str:
    """What the usage part of a line of that name is called."""
    return f"{name}: usage in period"


def discounts_of(line: Line) -> tuple[AppliedDiscount, ...]:
    """All discounts of the line, its details' included."""
    return line.discounts + tuple(discount for detail in line.detailed_lines for discount in detail.discounts)


def whole_period(lines: Iterable[LineDraft | Line]) -> Period | None:
    """From the start of the earliest line to the end of the latest; None where no line has a period."""
    periods = [line.period for line in lines if line.period is not None]
    if not periods:
        return None
    return Period(start=min(period.start for period in periods), end=max(period.end for period in periods))


def period_of(content: InvoiceContent) -> Period | None:
    """What the invoice is for: the period that it states, or else its lines'."""
    return content.period or whole_period(content.lines)


def parse_content(body: bytes) -> InvoiceContent:
    """The revision that `content_json` wrote."""
    return InvoiceContent.model_validate_json(body)


def content_json(content: InvoiceContent) -> bytes:
    """The revision as compact JSON without defaults. Equal revisions of equal digits give equal bytes."""
    return content.__pydantic_serializer__.to_json(content, exclude_defaults=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceView:
    """An invoice as plugins and hosts read it: a revision's content and the facts of the moment.

    `version` counts every change of the row; `revision` counts changes of the content.
    """

    id: str
    namespace: str
    status: str
    revision: int
    version: int
    customer_id: str
    content: InvoiceContent
    created_at: datetime
    updated_at: datetime
    key: str | None = None
    number: str | None = None
    issued_at: datetime | None = None
    due_at: datetime | None = None
    draft_until: datetime | None = None
    collection_at: datetime | None = None
    sent_to_customer_at: datetime | None = None
    voided_at: datetime | None = None
    deleted_at: datetime | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)
    line_external_ids: Mapping[str, str] = field(default_factory=dict)
    discount_external_ids: Mapping[str, str] = field(default_factory=dict)
    amount_paid: Decimal = ZERO
    amount_credited: Decimal = ZERO
    amount_refunded: Decimal = ZERO
    """What was given back of what was paid. An invoice that is paid stays paid."""
    amount_due: Decimal = ZERO
    """What the customer still owes: nothing once it is paid, whatever is refunded afterwards."""

    @property
    def type(self) -> DocumentType:
        return self.content.type

    @property
    def currency(self) -> str:
        return self.content.currency

    @property
    def customer(self) -> CustomerSnapshot:
        return self.content.customer

    @property
    def supplier(self) -> Supplier:
        return self.content.supplier

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.content.lines

    @property
    def totals(self) -> Totals:
        return self.content.totals

    @property
    def total(self) -> Decimal:
        return self.content.totals.total
