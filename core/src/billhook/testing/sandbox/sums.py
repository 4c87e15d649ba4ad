"""What a document comes to, computed from its lines alone. A total that was stated and differs is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billhook.errors import InvalidInput, Problem
from billhook.testing.sandbox.fields import (
    EXACT,
    Item,
    currency_of,
    items_of,
    money,
    noted,
    number,
    optional_money,
    optional_text,
    plain,
    raise_noted,
    rounded,
    text,
)
from billhook.testing.sandbox.records import Discount, Line

_MAX_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Sums:
    """Lines, discounts and totals of a document."""

    currency: str
    lines: tuple[Line, ...]
    discounts: tuple[Discount, ...]
    amount: Decimal
    discounted: Decimal
    tax: Decimal
    total: Decimal


def sums_of(item: Item, document_id: str) -> Sums:
    """The sums of a document. InvalidInput names every line that can't be read, or whose figures differ."""
    currency, exponent = currency_of(item)
    problems: list[Problem] = []
    lines: list[Line] = []
    discounts: list[Discount] = []
    for index, sent in enumerate(items_of(item, "lines", _MAX_LINES)):
        with noted(problems):
            line = _line(sent, document_id, exponent, f"/lines/{index}")
            lines.append(line)
            discounts.extend(_line_discounts(sent, line, exponent, f"/lines/{index}"))
    with noted(problems):
        discounts.extend(_document_discount(item, document_id, exponent))
    raise_noted(problems)
    _refuse_repeated(lines)
    sums = _added(currency, lines, discounts, exponent)
    _compare("total", optional_money(item, "total", exponent), sums.total, "")
    return sums


def added(amounts: Iterable[Decimal], exponent: int) -> Decimal:
    """The exact sum, with that many decimals."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return rounded(total, exponent)


def _added(currency: str, lines: Sequence[Line], discounts: Sequence[Discount], exponent: int) -> Sums:
    amount = added((line.amount for line in lines), exponent)
    discounted = added((discount.amount for discount in discounts), exponent)
    tax = added((line.tax for line in lines), exponent)
    total = added((amount, -discounted, tax), exponent)
    return Sums(currency, tuple(lines), tuple(discounts), amount, discounted, tax, total)


def _line(sent: Item, document_id: str, exponent: int, path: str) -> Line:
    reference = text(sent, "reference", path)
    quantity, unit_price = number(sent, "quantity", path), number(sent, "unit_price", path)
    amount = rounded(EXACT.multiply(quantity, unit_price), exponent)
    _compare("amount", optional_money(sent, "amount", exponent, path), amount, path)
    return Line(
        id=part_id(document_id, reference),
        reference=reference,
        description=text(sent, "description", path),
        quantity=quantity,
        unit_price=unit_price,
        amount=amount,
        tax=optional_money(sent, "tax_amount", exponent, path) or rounded(Decimal(0), exponent),
        account=optional_text(sent, "account", path),
        item=optional_text(sent, "item", path),
        tax_code=optional_text(sent, "tax_code", path),
    )


def _line_discounts(sent: Item, line: Line, exponent: int, path: str) -> list[Discount]:
    found = []
    for index, each in enumerate(items_of(sent, "discounts", _MAX_LINES, path)):
        place = f"{path}/discounts/{index}"
        reference = text(each, "reference", place)
        amount = money(each, "amount", exponent, place)
        found.append(Discount(part_id(line.id, reference), reference, amount, line.reference))
    return found


def _document_discount(item: Item, document_id: str, exponent: int) -> list[Discount]:
    sent = item.get("discount")
    if sent is None:
        return []
    if not isinstance(sent, dict):
        raise InvalidInput("discount_invalid", "discount must be an object of reference and amount.", "/discount")
    reference = text(sent, "reference", "/discount")
    return [Discount(part_id(document_id, reference), reference, money(sent, "amount", exponent, "/discount"))]


def part_id(whole_id: str, reference: str) -> str:
    """The id of a part: the same again when a draft is replaced, so that what was remembered stays true."""
    return f"{whole_id}-{hashlib.sha256(reference.encode()).hexdigest()[:10]}"


def _refuse_repeated(lines: Sequence[Line]) -> None:
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if line.reference in seen:
            message = f"Two lines share the reference {line.reference!r}. Give each line its own."
            raise InvalidInput("line_reference_repeated", message, f"/lines/{index}/reference")
        seen.add(line.reference)


def _compare(name: str, stated: Decimal | None, computed: Decimal, path: str) -> None:
    if stated is not None and stated != computed:
        message = f"{name} was stated as {plain(stated)}, but the figures sent give {plain(computed)}."
        raise InvalidInput(f"{name}_differs", message, f"{path}/{name}")
