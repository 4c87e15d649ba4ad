"""Lines, as callers say them: to be invoiced later, to be tried, or to stand on an invoice from now on.

What an invoice's line has and this form of the API has no word for (an item code, tax rates, a fixed amount off, a stated quantity)
stays as it is when the line is replaced.
"""

from __future__ import annotations

from collections.abc import Sized
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from billhook.domain.base import Description, Metadata
from billhook.domain.calculation import as_draft
from billhook.domain.discount import AmountDiscount, Discount
from billhook.domain.invoice import Line, LineDraft
from billhook.domain.money import ZERO
from billhook.domain.parsing import parse
from billhook.domain.period import UtcDatetime
from billhook.domain.price import FlatPrice, Price
from billhook.domain.tax import TaxConfig
from billhook.errors import InvalidInput
from billhook.server.v1.discount_wire import agreed_discounts_v1
from billhook.server.v1.placing import placed
from billhook.server.v1.price_input import PriceInput, price_of
from billhook.server.v1.tax_input import TaxConfigInput
from billhook.server.v1.wire import Numeric, UlidText, WireModel

LineName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
FeatureKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9]+(?:_[a-z0-9]+)*$")]

Percentage = Annotated[Decimal, Field(ge=0, le=100)]
"""A JSON number: 12.5 means 12.5 %."""


class PeriodInput(WireModel):
    """From a time, included, to another, excluded. An empty one says nothing."""

    start: UtcDatetime = Field(alias="from")
    end: UtcDatetime = Field(alias="to")

    def values(self) -> dict[str, Any] | None:
        """The values of a period, None for an empty one."""
        return None if self.start == self.end else {"start": self.start, "end": self.end}


class PercentageInput(WireModel):
    """A share of what the line comes to."""

    percentage: Percentage
    correlation_id: UlidText | None = None


class UsageInput(WireModel):
    """A quantity that is not charged."""

    quantity: Numeric
    correlation_id: UlidText | None = None


class DiscountsInput(WireModel):
    """What is agreed to come off a line."""

    percentage: PercentageInput | None = None
    usage: UsageInput | None = None

    def values(self) -> list[dict[str, Any]]:
        """The values of the discounts."""
        stated = {"percentage": self.percentage, "usage": self.usage}
        return [{"type": type, **dict(each)} for type, each in stated.items() if each is not None]


class RateCardInput(WireModel):
    """What a line costs."""

    price: PriceInput | None = None
    feature_key: FeatureKey | None = None
    tax_config: TaxConfigInput | None = None
    discounts: DiscountsInput | None = None


class LineInput(WireModel):
    """A line. Its price stands in its rate card, or, as in older clients, on the line itself."""

    name: LineName
    description: Description | None = None
    metadata: Metadata | None = None
    period: PeriodInput
    invoice_at: UtcDatetime
    rate_card: RateCardInput | None = None
    price: PriceInput | None = None
    feature_key: FeatureKey | None = None
    tax_config: TaxConfigInput | None = None


class PendingLineInput(LineInput):
    """A line to be invoiced later. OpenMeter meters every quantity; here it may be stated, and is not asked for then."""

    quantity: Numeric | None = None


class InvoiceLineInput(LineInput):
    """A line of an invoice from now on: the one of that id, or a new one."""

    id: UlidText | None = None


class SimulatedLineInput(InvoiceLineInput):
    """A line to be tried."""

    quantity: Numeric
    pre_line_period_quantity: Numeric = ZERO


def line_draft(line: LineInput, path: str, known: Line | None = None) -> LineDraft:
    """The line as the engine is asked for it; with what it keeps of the line that it replaces. Raises InvalidInput."""
    before = None if known is None else as_draft(known)
    card = line.rate_card or RateCardInput()
    price = _price_of(line, card, path, before.price if before else None)
    feature_before = before.feature_key if before else None
    feature_key = _chosen(line, card.feature_key, line.feature_key, feature_before, f"{path}/featureKey")
    stated = {
        "name": line.name,
        "description": line.description,
        "metadata": line.metadata or {},
        "period": line.period.values(),
        "invoice_at": line.invoice_at,
        "price": price,
        "feature_key": feature_key,
        "tax_config": _tax_config_of(line, card, path, before.tax_config if before else None),
    }
    with placed(path):
        return parse(LineDraft, {**_kept(before, price), **stated, "discounts": _discounts(card.discounts, before)})


def refuse_none(lines: Sized) -> None:
    """Raise InvalidInput for an invoice without lines, which could never be issued."""
    if not lines:
        raise InvalidInput(
            "lines_empty", "An invoice keeps at least one line. To take all of it away, delete the invoice.", "/lines"
        )


def pending_line(line: PendingLineInput, path: str) -> LineDraft:
    """The line with the quantity that it states. Raises InvalidInput."""
    draft = line_draft(line, path)
    with placed(path):
        return parse(LineDraft, {**dict(draft), "quantity": line.quantity})


def simulated_line(line: SimulatedLineInput, path: str) -> LineDraft:
    """The line with its quantity. A flat price counts once, whatever its quantity. Raises InvalidInput."""
    draft = line_draft(line, path)
    counted = {} if isinstance(draft.price, FlatPrice) else {"quantity": line.quantity}
    with placed(path):
        values = {**dict(draft), **counted, "pre_line_period_quantity": line.pre_line_period_quantity}
        return parse(LineDraft, {**values, "id": line.id})


def _price_of(line: LineInput, card: RateCardInput, path: str, before: Price | None) -> Price:
    in_card: Price | None = _price(card.price, f"{path}/rateCard/price")
    on_line: Price | None = _price(line.price, f"{path}/price")
    price: Price | None = _chosen(line, in_card, on_line, before, f"{path}/price")
    if price is None:
        raise InvalidInput("price_missing", f"The line {line.name!r} has no price.", f"{path}/rateCard/price")
    return price


def _price(stated: PriceInput | None, path: str) -> Price | None:
    if stated is None:
        return None
    with placed(path):
        return price_of(stated)


def _tax_config_of(line: LineInput, card: RateCardInput, path: str, before: TaxConfig | None) -> TaxConfig | None:
    in_card = _tax(card.tax_config, before, f"{path}/rateCard/taxConfig")
    on_line = _tax(line.tax_config, before, f"{path}/taxConfig")
    taxes: TaxConfig | None = _chosen(line, in_card, on_line, before, f"{path}/taxConfig")
    return taxes


def _tax(stated: TaxConfigInput | None, before: TaxConfig | None, path: str) -> TaxConfig | None:
    if stated is None:
        return None
    values = stated.values(path)
    if before is not None and (before.behavior, before.code) == (values["behavior"], values["code"]):
        return before
    with placed(path):
        return parse(TaxConfig, values)


def _discounts(stated: DiscountsInput | None, before: LineDraft | None) -> list[dict[str, Any]] | tuple[Discount, ...]:
    values = [] if stated is None else stated.values()
    if before is None:
        return values
    fixed = [discount for discount in before.discounts if isinstance(discount, AmountDiscount)]
    wanted = parse(_Discounts, {"discounts": [*values, *fixed]}).discounts
    same = agreed_discounts_v1(wanted) == agreed_discounts_v1(before.discounts)
    return before.discounts if same else wanted


class _Discounts(WireModel):
    discounts: tuple[Discount, ...]


def _kept(before: LineDraft | None, price: Price) -> dict[str, Any]:
    if before is None:
        return {}
    quantity: Decimal | None = None if isinstance(price, FlatPrice) else before.quantity
    return {
        "id": before.id,
        "item_code": before.item_code,
        "quantity": quantity,
        "taxes": before.taxes,
        "managed_by": before.managed_by,
    }


def _chosen(line: LineInput, in_card: Any, on_line: Any, before: Any, path: str) -> Any:
    """The value that the caller means, of the two places where it may stand.

    Who reads an invoice and sends it back with one of the two changed means that one.
    """
    if line.rate_card is None:
        return on_line
    if on_line is None or on_line in (in_card, before):
        return in_card
    if in_card is None or in_card == before:
        return on_line
    raise InvalidInput(
        "rate_card_differs",
        "The rate card and the line itself say different things. State it in the rate card alone.",
        path,
    )
