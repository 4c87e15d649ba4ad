"""What an invoice is to be from now on, as callers of the third form of the API say it: a full replacement.

What this form has no word for stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from billhook.domain.base import Description, Key, Name
from billhook.domain.calculation import InvoiceEdit, as_draft
from billhook.domain.discount import AmountDiscount, Discount
from billhook.domain.ids import Ulid
from billhook.domain.invoice import MAX_LINES, InvoiceContent, Line, LineDraft, whole_period
from billhook.domain.parsing import parse
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import IsoDuration, UtcDatetime
from billhook.domain.price import FlatPrice
from billhook.domain.workflow import WorkflowConfig
from billhook.errors import InvalidInput
from billhook.server.v1.line_input import FeatureKey, LineName, Percentage, refuse_none
from billhook.server.v1.placing import placed
from billhook.server.v3.labels import metadata_with
from billhook.server.v3.line_wire import agreed_discounts_v3
from billhook.server.v3.party_wire import AddressInput, SupplierInput
from billhook.server.v3.price_wire import PriceInput, price_of
from billhook.server.v3.wire import Labels, Numeric, WireModel
from billhook.server.v3.workflow_wire import DEFAULTS, ChargeAutomaticallyInput, SendInvoiceInput


class PeriodInput(WireModel):
    """From a time, included, to another, excluded. An empty one says nothing."""

    start: UtcDatetime = Field(alias="from")
    end: UtcDatetime = Field(alias="to")

    def values(self) -> dict[str, Any] | None:
        """The values of a period, None for an empty one."""
        return None if self.start == self.end else {"start": self.start, "end": self.end}


class DiscountsInput(WireModel):
    """What is agreed to come off a line."""

    percentage: Percentage | None = None
    usage: Numeric | None = None

    def values(self) -> list[dict[str, Any]]:
        """The values of the discounts."""
        share = [] if self.percentage is None else [{"type": "percentage", "percentage": self.percentage}]
        return share + ([] if self.usage is None else [{"type": "usage", "quantity": self.usage}])


class TaxCodeInput(WireModel):
    """A tax code by its id."""

    id: Ulid


class TaxConfigInput(WireModel):
    """How a line is taxed. There are no tax codes with ids here, so that this can't be said."""

    behavior: Literal["inclusive", "exclusive"] | None = None
    code: TaxCodeInput


class RateCardInput(WireModel):
    """What a line costs."""

    price: PriceInput
    tax_config: TaxConfigInput | None = None
    feature_key: FeatureKey | None = None
    discounts: DiscountsInput | None = None


class LineInput(WireModel):
    """A line of an invoice from now on: the one of that id, or a new one."""

    id: Ulid | None = None
    type: Literal["standard_line"]
    name: LineName
    description: Description | None = None
    labels: Labels | None = None
    service_period: PeriodInput
    rate_card: RateCardInput


class SubjectsInput(WireModel):
    """The subjects whose usage is charged to the customer."""

    subject_keys: Annotated[tuple[Key, ...], Field(max_length=1000)]


class CustomerInput(WireModel):
    """Who buys. The customer itself can't be changed."""

    id: Ulid
    key: Key | None = None
    name: Name
    usage_attribution: SubjectsInput | None = None
    billing_address: AddressInput | None = None


class InvoicingInput(WireModel):
    """How the invoice goes on. What is left out has its default again."""

    auto_advance: StrictBool = DEFAULTS.auto_advance
    draft_period: IsoDuration = DEFAULTS.draft_period


class SettingsInput(WireModel):
    """What of a workflow can be changed once an invoice has it."""

    invoicing: InvoicingInput = InvoicingInput()
    payment: Annotated[ChargeAutomaticallyInput | SendInvoiceInput, Field(discriminator="collection_method")] = (
        ChargeAutomaticallyInput(collection_method="charge_automatically")
    )


class WorkflowInput(WireModel):
    """The invoice's own workflow."""

    workflow: SettingsInput


class InvoiceInput(WireModel):
    """The whole invoice, as far as a caller can say it. Without lines, it keeps those that it has."""

    type: Literal["standard"]
    description: Description | None = None
    labels: Labels | None = None
    supplier: SupplierInput
    customer: CustomerInput
    workflow: WorkflowInput
    lines: Annotated[tuple[LineInput, ...] | None, Field(max_length=MAX_LINES)] = None


def invoice_edit(stated: InvoiceInput, content: InvoiceContent) -> InvoiceEdit:
    """The edit that makes the invoice what is stated. Raises InvalidInput that says where something is wrong."""
    values: dict[str, Any] = {
        "description": stated.description,
        "metadata": metadata_with(stated.labels, content.metadata),
        "supplier": _supplier(stated, content.supplier),
        "customer": _customer(stated.customer, content.customer),
        "workflow": _workflow(stated.workflow.workflow, content.workflow),
    }
    if stated.lines is not None:
        lines = tuple(_lines(stated.lines, content))
        refuse_none(lines)
        values |= {"lines": lines, "period": whole_period(lines)}
    return parse(InvoiceEdit, values)


def _lines(stated: tuple[LineInput, ...], content: InvoiceContent) -> Iterator[LineDraft]:
    known = {line.id: line for line in content.lines}
    for place, line in enumerate(stated):
        # Each line is replaced once; the same id again is another line.
        yield _line(line, f"/lines/{place}", known.pop(line.id, None) if line.id else None)


def _line(stated: LineInput, path: str, known: Line | None) -> LineDraft:
    card = stated.rate_card
    if card.tax_config is not None:
        raise InvalidInput(
            "tax_code_id_unknown", "There are no tax codes with ids here. Leave it out.", f"{path}/rate_card/tax_config"
        )
    before = None if known is None else as_draft(known)
    with placed(f"{path}/rate_card/price"):
        price = price_of(card.price, before.price if before else None)
    kept = {"invoice_at": stated.service_period.end} if before is None else _kept(before, price)
    with placed(path):
        values = {
            **kept,
            "name": stated.name,
            "description": stated.description,
            "metadata": metadata_with(stated.labels, before.metadata if before else {}),
            "period": stated.service_period.values(),
            "price": price,
            "feature_key": card.feature_key,
            "discounts": _discounts(card.discounts, before),
        }
        return parse(LineDraft, values)


def _kept(before: LineDraft, price: Any) -> dict[str, Any]:
    quantity: Decimal | None = None if isinstance(price, FlatPrice) else before.quantity
    names = ("id", "item_code", "invoice_at", "taxes", "tax_config", "managed_by")
    return {"quantity": quantity, **{name: getattr(before, name) for name in names}}


class _Discounts(WireModel):
    discounts: tuple[Discount, ...]


def _discounts(stated: DiscountsInput | None, before: LineDraft | None) -> tuple[Discount, ...]:
    fixed = [discount for discount in (before.discounts if before else ()) if isinstance(discount, AmountDiscount)]
    values = stated.values() if stated is not None else []
    wanted = parse(_Discounts, {"discounts": [*values, *fixed]}).discounts
    same = before is not None and agreed_discounts_v3(wanted) == agreed_discounts_v3(before.discounts)
    return before.discounts if before is not None and same else wanted


def _supplier(stated: InvoiceInput, before: Supplier) -> Supplier:
    with placed("/supplier"):
        kept = {"id": before.id, "email": before.email}
        return parse(Supplier, {**stated.supplier.values(), **kept, "key": before.key})


def _customer(stated: CustomerInput, before: CustomerSnapshot) -> CustomerSnapshot:
    if stated.id != before.id:
        raise InvalidInput("customer_differs", f"The invoice is for the customer {before.id}.", "/customer/id")
    values = {
        "key": stated.key,
        "name": stated.name,
        "subject_keys": stated.usage_attribution.subject_keys if stated.usage_attribution else (),
        "addresses": (stated.billing_address.parts(),) if stated.billing_address else (),
    }
    with placed("/customer"):
        return parse(CustomerSnapshot, {**dict(before), **values})


def _workflow(stated: SettingsInput, before: WorkflowConfig) -> WorkflowConfig:
    due = {"due_after": stated.payment.due_after} if isinstance(stated.payment, SendInvoiceInput) else {}
    values = {**dict(stated.invoicing), "collection_method": stated.payment.collection_method, **due}
    with placed("/workflow/workflow"):
        return parse(WorkflowConfig, {**dict(before), **values})
