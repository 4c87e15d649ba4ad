"""Reading the values of a JSON item. What can't be read is refused with a code and the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

from iso4217 import Currency

from billhook.errors import InvalidInput, Problem

Item = Mapping[str, Any]

# Wide enough for the product of any two decimals that are taken here.
EXACT = Context(prec=80, rounding=ROUND_HALF_UP)

_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,12})?")


def text(item: Item, name: str, path: str = "") -> str:
    """A text that must be there."""
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name}_missing", f"{name} must be a text that is not empty.", f"{path}/{name}")
    return value


def optional_text(item: Item, name: str, path: str = "") -> str | None:
    """A text, or None when it is absent."""
    return None if item.get(name) is None else text(item, name, path)


def number(item: Item, name: str, path: str = "") -> Decimal:
    """A decimal, written as a text. JSON numbers are refused: on their way through floats they lose digits."""
    value = item.get(name)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        message = f'{name} must be a decimal written as a text, such as "12.50", not {value!r}.'
        raise InvalidInput("amount_not_decimal_text", message, f"{path}/{name}")
    return Decimal(value)


def money(item: Item, name: str, exponent: int, path: str = "") -> Decimal:
    """An amount with no more decimals than its currency has."""
    amount = number(item, name, path)
    if amount != rounded(amount, exponent):
        message = f"{name} is {amount}, but the currency has {exponent} decimals."
        raise InvalidInput("amount_has_too_many_decimals", message, f"{path}/{name}")
    return rounded(amount, exponent)


def optional_money(item: Item, name: str, exponent: int, path: str = "") -> Decimal | None:
    """An amount, or None when it is absent."""
    return None if item.get(name) is None else money(item, name, exponent, path)


def items_of(value: Any, name: str, limit: int, path: str = "") -> list[Item]:
    """The objects of a list; a list that is longer than `limit`, or holds something else, is refused."""
    found = value.get(name, []) if isinstance(value, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise InvalidInput(f"{name}_invalid", f"{name} must be a list of objects.", f"{path}/{name}")
    if len(found) > limit:
        message = f"{name} holds {len(found)} entries; at most {limit} are taken at once."
        raise InvalidInput(f"too_many_{name}", message, f"{path}/{name}")
    return found


def metadata_of(item: Item, path: str = "") -> dict[str, str]:
    """The metadata of an item: texts by name."""
    found = item.get("metadata") or {}
    if not isinstance(found, Mapping) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidInput("metadata_invalid", "metadata must be an object of texts.", f"{path}/metadata")
    return dict(found)


def currency_of(item: Item, path: str = "") -> tuple[str, int]:
    """The currency code of an item, and how many decimals that currency has."""
    code = text(item, "currency", path)
    exponent = exponent_of(code)
    if exponent is None:
        raise InvalidInput("currency_unknown", f"{code!r} is no currency with a minor unit.", f"{path}/currency")
    return code, exponent


@lru_cache(maxsize=256)
def exponent_of(code: str) -> int | None:
    """How many decimals a currency has; None for what is no currency."""
    try:
        return Currency(code).exponent
    except ValueError:
        return None


def rounded(amount: Decimal, exponent: int) -> Decimal:
    """The amount, rounded half up to that many decimals."""
    return EXACT.quantize(amount, Decimal(1).scaleb(-exponent))


def plain(amount: Decimal) -> str:
    """The decimal as a text without an exponent."""
    return format(amount, "f")


@contextmanager
def noted(problems: list[Problem]) -> Iterator[None]:
    """Note what is refused within the block, and go on after it, so that one answer names every problem."""
    try:
        yield
    except InvalidInput as refused:
        problems.extend(refused.problems)


def raise_noted(problems: list[Problem]) -> None:
    """Refuse, if anything was noted."""
    if problems:
        first = problems[0]
        raise InvalidInput(first.code, first.message, first.path, problems=problems)
