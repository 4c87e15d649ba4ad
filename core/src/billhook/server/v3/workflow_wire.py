"""A workflow in the third form of the API: as it is shown, and as callers say it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from billhook.domain.base import Code
from billhook.domain.period import IsoDuration, UtcDatetime, format_duration
from billhook.domain.tax import TaxBehavior, TaxConfig
from billhook.domain.workflow import CollectionAlignment, CollectionMethod, ProrationMode, WorkflowConfig
from billhook.errors import InvalidInput
from billhook.server.v1.shown import filled, moment
from billhook.server.v1.tax_wire import STRIPE_CODE
from billhook.server.v3.wire import WireModel

DEFAULTS = WorkflowConfig()


class RecurringPeriodInput(WireModel):
    """A moment and how often it comes again."""

    interval: IsoDuration
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
    """How a draft goes on."""

    auto_advance: StrictBool = DEFAULTS.auto_advance
    draft_period: IsoDuration = DEFAULTS.draft_period
    progressive_billing: StrictBool = DEFAULTS.progressive_billing
    subscription_end_proration_mode: ProrationMode = DEFAULTS.subscription_end_proration_mode


class ChargeAutomaticallyInput(WireModel):
    """The stored method pays."""

    collection_method: Literal["charge_automatically"]


class SendInvoiceInput(WireModel):
    """The invoice is sent, and says by when it is due."""

    collection_method: Literal["send_invoice"]
    due_after: IsoDuration = DEFAULTS.due_after


class TaxCodeInput(WireModel):
    """A tax code, as the provider calls it."""

    code: Code


class TaxCodeReferenceInput(WireModel):
    """A tax code by its id."""

    id: str


class TaxConfigInput(WireModel):
    """A tax configuration. At most one code may be given."""

    behavior: TaxBehavior | None = None
    stripe: TaxCodeInput | None = None
    external_invoicing: TaxCodeInput | None = None
    tax_code_id: str | None = None
    tax_code: TaxCodeReferenceInput | None = None

    def values(self, path: str) -> dict[str, Any]:
        """What is stated of a tax configuration. Raises InvalidInput for what means nothing here."""
        for name in ("tax_code_id", "tax_code"):
            if getattr(self, name) is not None:
                raise InvalidInput(
                    "tax_code_id_unknown",
                    "There are no tax codes with ids here. Give the provider's code under external_invoicing.",
                    f"{path}/{name}",
                )
        codes = {given.code for given in (self.stripe, self.external_invoicing) if given is not None}
        if len(codes) > 1:
            raise InvalidInput("tax_code_ambiguous", "Two tax codes are given. Give one of them.", path)
        return {"behavior": self.behavior or TaxBehavior.EXCLUSIVE, "code": codes.pop() if codes else None}


class TaxSettingsInput(WireModel):
    """Whether and how invoices are taxed."""

    enabled: StrictBool = DEFAULTS.tax_enabled
    enforced: StrictBool = DEFAULTS.tax_enforced
    default_tax_config: TaxConfigInput | None = None


class WorkflowInput(WireModel):
    """The workflow of a profile."""

    collection: CollectionInput = CollectionInput()
    invoicing: InvoicingInput = InvoicingInput()
    payment: Annotated[ChargeAutomaticallyInput | SendInvoiceInput, Field(discriminator="collection_method")] = (
        ChargeAutomaticallyInput(collection_method="charge_automatically")
    )
    tax: TaxSettingsInput = TaxSettingsInput()

    def values(self, path: str = "/workflow") -> dict[str, Any]:
        """Everything that this form of the API can say of a workflow. Raises InvalidInput.

        When an invoice that is charged automatically is due can't be said.
        """
        tax = self.tax.default_tax_config
        due = {"due_after": self.payment.due_after} if isinstance(self.payment, SendInvoiceInput) else {}
        return {
            **self.collection.values(),
            **dict(self.invoicing),
            "collection_method": CollectionMethod(self.payment.collection_method),
            **due,
            "tax_enabled": self.tax.enabled,
            "tax_enforced": self.tax.enforced,
            "default_tax_config": tax.values(f"{path}/tax/default_tax_config") if tax is not None else None,
        }


def workflow_v3(workflow: WorkflowConfig) -> dict[str, Any]:
    """The workflow, as far as this form of the API can say it."""
    return {
        "collection": {"alignment": _alignment(workflow), "interval": format_duration(workflow.collection_interval)},
        "invoicing": {
            "auto_advance": workflow.auto_advance,
            "draft_period": format_duration(workflow.draft_period),
            "progressive_billing": workflow.progressive_billing,
            "subscription_end_proration_mode": workflow.subscription_end_proration_mode.value,
        },
        "payment": _payment(workflow),
        "tax": filled(
            enabled=workflow.tax_enabled,
            enforced=workflow.tax_enforced,
            default_tax_config=None if workflow.default_tax_config is None else _taxes(workflow.default_tax_config),
        ),
    }


def _alignment(workflow: WorkflowConfig) -> dict[str, Any]:
    anchor = workflow.collection_anchor
    if anchor is None:
        return {"type": "subscription"}
    recurring = {"interval": format_duration(anchor.interval), "anchor": moment(anchor.anchor)}
    return {"type": "anchored", "recurring_period": recurring}


def _payment(workflow: WorkflowConfig) -> dict[str, Any]:
    method = {"collection_method": workflow.collection_method.value}
    if workflow.collection_method is CollectionMethod.SEND_INVOICE:
        return {**method, "due_after": format_duration(workflow.due_after)}
    return method


def _taxes(config: TaxConfig) -> dict[str, Any]:
    if config.code is None:
        return {"behavior": config.behavior.value}
    by = "stripe" if STRIPE_CODE.fullmatch(config.code) else "external_invoicing"
    return {"behavior": config.behavior.value, by: {"code": config.code}}
