"""The five kinds of price on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from billhook.domain.money import plain
from billhook.domain.price import DynamicPrice, FlatPrice, PackagePrice, Price, Tier, TieredPrice, UnitPrice
from billhook.server.v1.shown import filled


def price_v1(price: Price) -> dict[str, Any]:
    """A price, with what was agreed as the least and the most."""
    return _SHOWN[type(price)](price)


def flat_price_v1(amount: Decimal, payment_term: str) -> dict[str, Any]:
    """One amount, and when it is paid."""
    return {"type": "flat", "amount": plain(amount), "paymentTerm": str(payment_term)}


def _flat(price: FlatPrice) -> dict[str, Any]:
    return flat_price_v1(price.amount, price.payment_term)


def _unit(price: UnitPrice) -> dict[str, Any]:
    return {"type": "unit", "amount": plain(price.amount), **_commitments(price)}


def _tiered(price: TieredPrice) -> dict[str, Any]:
    tiers = [_tier(tier) for tier in price.tiers]
    return {"type": "tiered", "mode": price.mode.value, "tiers": tiers, **_commitments(price)}


def _tier(tier: Tier) -> dict[str, Any]:
    # A tier names both of its prices, the one that it does not have as null.
    limit = {} if tier.up_to_amount is None else {"upToAmount": plain(tier.up_to_amount)}
    return {**limit, "flatPrice": _part("flat", tier.flat_price), "unitPrice": _part("unit", tier.unit_price)}


def _part(type: str, amount: Decimal | None) -> dict[str, Any] | None:
    return None if amount is None else {"type": type, "amount": plain(amount)}


def _dynamic(price: DynamicPrice) -> dict[str, Any]:
    return {"type": "dynamic", "multiplier": plain(price.multiplier), **_commitments(price)}


def _package(price: PackagePrice) -> dict[str, Any]:
    size = plain(price.quantity_per_package)
    return {"type": "package", "amount": plain(price.amount), "quantityPerPackage": size, **_commitments(price)}


def _commitments(price: UnitPrice | TieredPrice | DynamicPrice | PackagePrice) -> dict[str, Any]:
    return filled(minimumAmount=_maybe(price.minimum_amount), maximumAmount=_maybe(price.maximum_amount))


def _maybe(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


_SHOWN: Mapping[type[Any], Callable[[Any], dict[str, Any]]] = {
    FlatPrice: _flat,
    UnitPrice: _unit,
    TieredPrice: _tiered,
    DynamicPrice: _dynamic,
    PackagePrice: _package,
}
