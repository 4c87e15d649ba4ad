"""How invoices are collected, advanced, taxed and paid: what a billing profile says."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Value
from billhook.domain.money import Rounding
from billhook.domain.period import IsoDuration, RecurringPeriod
from billhook.domain.tax import TaxConfig, TaxRounding


class CollectionAlignment(StrEnum):
    SUBSCRIPTION = "subscription"
    ANCHORED = "anchored"


class CollectionMethod(StrEnum):
    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


class ProrationMode(StrEnum):
    BILL_ACTUAL_PERIOD = "bill_actual_period"
    BILL_FULL_PERIOD = "bill_full_period"


class WorkflowConfig(Value):
    """The workflow of a profile, frozen onto each invoice. The defaults are OpenMeter's."""

    collection_alignment: CollectionAlignment = CollectionAlignment.SUBSCRIPTION
    """When pending lines become an invoice: as each is due, or together on the days of `collection_anchor`."""
    collection_anchor: RecurringPeriod | None = None
    collection_interval: IsoDuration = timedelta(hours=1)
    """How long a draft with metered lines waits for late usage, from when the last of them is due."""
    auto_advance: bool = True
    """Whether a draft is issued by itself once its `draft_period` is over; otherwise it waits for approval."""
    draft_period: IsoDuration = timedelta()
    """How long a draft may still be looked at and changed before it is issued."""
    due_after: IsoDuration = timedelta(days=30)
    """When an invoice is due, from when it is issued."""
    progressive_billing: bool = True
    """Kept for OpenMeter's clients: parts of a period are not billed here."""
    subscription_end_proration_mode: ProrationMode = ProrationMode.BILL_ACTUAL_PERIOD
    """Kept for OpenMeter's clients: lines come here prorated."""
    default_tax_config: TaxConfig | None = None
    """The tax of lines that state none."""
    collection_method: CollectionMethod = CollectionMethod.CHARGE_AUTOMATICALLY
    """Whether the payment app charges the customer, or the invoice is sent to be paid."""
    tax_enabled: bool = True
    """Whether taxes are computed, here or by the tax app. Taxes that lines state are kept either way."""
    tax_enforced: bool = False
    """Whether a line that nobody computed a tax for stops the invoice."""
    overdue_after_due: bool = False
    """Whether an unpaid invoice becomes overdue by itself once it was due."""
    rounding: Rounding = Rounding.HALF_UP
    """How amounts are rounded to the currency's smallest unit."""
    tax_rounding: TaxRounding = TaxRounding.PER_LINE
    """Whether taxes are rounded on each line and added up, or once for each rate on the sum of its lines and shared out."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.tax_enforced and not self.tax_enabled:
            raise PydanticCustomError("tax_enforced_while_off", "Tax can be enforced only where it is enabled.")
        if (self.collection_alignment is CollectionAlignment.ANCHORED) != (self.collection_anchor is not None):
            raise PydanticCustomError("collection_anchor_mismatch", "An anchor belongs to anchored collection, only.")
        return self


# Values that only make sense together are overridden together.
_TOGETHER = (
    frozenset({"collection_alignment", "collection_anchor"}),
    frozenset({"tax_enabled", "tax_enforced"}),
)


def amended(workflow: WorkflowConfig, changes: WorkflowConfig) -> dict[str, Any]:
    """The workflow's values with all that the changes state explicitly, yet to be checked together; tax rates stay where a tax configuration states none."""
    stated = {name: getattr(changes, name) for name in changes.model_fields_set}
    tax, before = stated.get("default_tax_config"), workflow.default_tax_config
    if tax is not None and before is not None and "rates" not in tax.model_fields_set:
        stated["default_tax_config"] = tax.model_copy(update={"rates": before.rates})
    return {**dict(workflow), **stated}


def with_overrides(profile: WorkflowConfig, overrides: WorkflowConfig) -> WorkflowConfig:
    """The profile's workflow with every value that the overrides state explicitly, a default included.

    Overrides that are stored must be written without unset values, not without defaults.
    """
    stated = set(overrides.model_fields_set)
    for names in _TOGETHER:
        stated |= names if stated & names else frozenset()
    return WorkflowConfig(**{**dict(profile), **{name: getattr(overrides, name) for name in stated}})
