"""A workflow as callers say it. What they leave out has OpenMeter's defaults, as in OpenMeter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool

from billhook.domain.period import IsoDuration, UtcDatetime
from billhook.domain.workflow import CollectionAlignment, CollectionMethod, ProrationMode, WorkflowConfig
from billhook.server.v1.tax_input import TaxConfigInput
from billhook.server.v1.wire import WireModel

DEFAULTS = WorkflowConfig()

_NAMED_INTERVALS = {"DAY": "P1D", "WEEK": "P7D", "MONTH": "P1M", "YEAR": "P1Y"}


def _named_interval(value: object) -> object:
    return _NAMED_INTERVALS.get(value, value) if isinstance(value, str) else value


class RecurringPeriodInput(WireModel):
    """A moment and how often it comes again."""

    interval: Annotated[IsoDuration, BeforeValidator(_named_interval)]
    anchor: UtcDatetime


class SubscriptionAlignmentInput(WireModel):
    """Lines are collected when they become due."""

    type: Literal["subscription"]


class AnchoredAlignmentInput(WireModel):
    """Lines are collected on days of their own."""

    type: Literal["anchored"]
    recurring_period: RecurringPeriodInput


class CollectionInput(WireModel):
    """When pending lines become an invoice."""

    alignment: Annotated[SubscriptionAlignmentInput | AnchoredAlignmentInput, Field(discriminator="type")] = (
        SubscriptionAlignmentInput(type="subscription")
    )
    interval: IsoDuration = DEFAULTS.collection_interval

    def values(self) -> dict[str, Any]:
        """What it says of a workflow."""
        recurring = self.alignment.recurring_period if isinstance(self.alignment, AnchoredAlignmentInput) else None
        return {
            "collection_alignment": CollectionAlignment(self.alignment.type),
            "collection_anchor": dict(recurring) if recurring else None,
            "collection_interval": self.interval,
        }


class InvoicingInput(WireModel):
    """How a draft goes on, and when the money is due."""

    auto_advance: StrictBool = DEFAULTS.auto_advance
    draft_period: IsoDuration = DEFAULTS.draft_period
    due_after: IsoDuration = DEFAULTS.due_after
    progressive_billing: StrictBool = DEFAULTS.progressive_billing
    subscription_end_proration_mode: ProrationMode = DEFAULTS.subscription_end_proration_mode
    default_tax_config: TaxConfigInput | None = None

    def values(self, path: str) -> dict[str, Any]:
        """What it says of a workflow. Raises InvalidInput."""
        tax = self.default_tax_config
        return {
            **dict(self),
            "default_tax_config": tax.values(f"{path}/defaultTaxConfig") if tax is not None else None,
        }


class PaymentInput(WireModel):
    """How the money comes."""

    collection_method: CollectionMethod = DEFAULTS.collection_method


class TaxSettingsInput(WireModel):
    """Whether invoices are taxed."""

    enabled: StrictBool = DEFAULTS.tax_enabled
    enforced: StrictBool = DEFAULTS.tax_enforced


class WorkflowInput(WireModel):
    """The workflow of a profile."""

    collection: CollectionInput = CollectionInput()
    invoicing: InvoicingInput = InvoicingInput()
    payment: PaymentInput = PaymentInput()
    tax: TaxSettingsInput = TaxSettingsInput()

    def values(self, path: str = "/workflow") -> dict[str, Any]:
        """Everything that this form of the API can say of a workflow. Raises InvalidInput."""
        return {
            **self.collection.values(),
            **self.invoicing.values(f"{path}/invoicing"),
            "collection_method": self.payment.collection_method,
            "tax_enabled": self.tax.enabled,
            "tax_enforced": self.tax.enforced,
        }
