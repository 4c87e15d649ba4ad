"""What is read of OpenMeter's invoices. Anything else that they say is left alone, so that a newer OpenMeter is still understood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

ZERO = Decimal(0)


class Wire(BaseModel):
    """A part of an answer. What is null or an empty text there says nothing, like what is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, told: Any) -> Any:
        if not isinstance(told, Mapping):
            return told
        return {name: value for name, value in told.items() if value is not None and value != ""}


class Totals(Wire):
    """What a line or an invoice comes to, in major units."""

    amount: Decimal = ZERO
    charges_total: Decimal = ZERO
    discounts_total: Decimal = ZERO
    credits_total: Decimal = ZERO
    taxes_inclusive_total: Decimal = ZERO
    taxes_exclusive_total: Decimal = ZERO
    total: Decimal = ZERO


class Address(Wire):
    """Where a party is."""

    country: str | None = None
    postal_code: str | None = None
    state: str | None = None
    city: str | None = None
    line1: str | None = None
    line2: str | None = None
    phone_number: str | None = None


class TaxId(Wire):
    """A party's tax identification."""

    code: str | None = None


class UsageAttribution(Wire):
    """Which subjects' usage is the customer's."""

    subject_keys: tuple[str, ...] = ()


class Party(Wire):
    """The supplier or the customer."""

    id: str | None = None
    key: str | None = None
    name: str | None = None
    tax_id: TaxId | None = None
    addresses: tuple[Address, ...] = ()
    usage_attribution: UsageAttribution = UsageAttribution()


class Customer(Wire):
    """A customer as OpenMeter knows him now; his invoices show him as he was when they were made."""

    name: str | None = None
    primary_email: str | None = None
    billing_address: Address | None = None
    currency: str | None = None
    metadata: Mapping[str, str] = Field(default_factory=dict)


class TaxCode(Wire):
    """The code of a tax at an app."""

    code: str | None = None


class TaxConfig(Wire):
    """How a line is taxed."""

    behavior: str | None = None
    custom_invoicing: TaxCode | None = None
    stripe: TaxCode | None = None


class TaxItem(Wire):
    """One tax on one line."""

    percent: Decimal | None = None
    surcharge: Decimal | None = None
    behavior: str | None = None


class AmountDiscount(Wire):
    """What a discount took off a line."""

    id: str
    amount: Decimal
    description: str | None = None
    deleted_at: datetime | None = None


class Discounts(Wire):
    """The discounts of a line that are amounts; one of usage shows in the quantity already."""

    amount: tuple[AmountDiscount, ...] = ()


class Period(Wire):
    """From, included, to, excluded."""

    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")


class RateCard(Wire):
    """The terms of a line."""

    price: Mapping[str, Any] | None = None
    feature_key: str | None = None
    tax_config: TaxConfig | None = None
    quantity: Decimal | None = None


class Line(Wire):
    """A line, or one of the detailed lines that it is made of."""

    id: str
    name: str
    description: str | None = None
    metadata: Mapping[str, str] = Field(default_factory=dict)
    deleted_at: datetime | None = None
    discounts: Discounts = Discounts()
    taxes: tuple[TaxItem, ...] = ()
    tax_config: TaxConfig | None = None
    totals: Totals
    period: Period | None = None
    feature_key: str | None = None
    quantity: Decimal | None = None
    per_unit_amount: Decimal | None = None
    price: Mapping[str, Any] | None = None
    rate_card: RateCard | None = None
    children: tuple[Line, ...] = ()


class StatusDetails(Wire):
    """Where the invoice stands, in full."""

    extended_status: str


class PaymentSettings(Wire):
    """How the money is collected."""

    collection_method: str | None = None


class Workflow(Wire):
    """The workflow that the invoice follows upstream."""

    payment: PaymentSettings = PaymentSettings()


class AppReference(Wire):
    """The app of a profile; only its id where apps were not asked for."""

    id: str
    type: str | None = None


class Apps(Wire):
    """The apps of an invoice."""

    invoicing: AppReference | None = None


class WorkflowSettings(Wire):
    """The workflow with its apps."""

    apps: Apps = Apps()
    workflow: Workflow = Workflow()


class Invoice(Wire):
    """An invoice, as OpenMeter tells it."""

    id: str
    number: str
    type: str = "standard"
    currency: str
    description: str | None = None
    metadata: Mapping[str, str] = Field(default_factory=dict)
    deleted_at: datetime | None = None
    supplier: Party
    customer: Party
    totals: Totals
    status_details: StatusDetails
    workflow: WorkflowSettings = WorkflowSettings()
    lines: tuple[Line, ...] = ()
    period: Period | None = None
    issued_at: datetime | None = None
    due_at: datetime | None = None
