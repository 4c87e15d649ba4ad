"""Invoices with the basket sizes of a real shop: most are small, a few are huge. The same for the same count and seed."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

Draft = dict[str, Any]

# Lines per document below which a share of all documents stays, read from a year of a real wholesaler's invoices.
LINES_BY_SHARE: Sequence[tuple[float, int]] = (
    (0.0, 1),
    (0.10, 1),
    (0.25, 2),
    (0.50, 10),
    (0.75, 23),
    (0.90, 47),
    (0.95, 64),
    (0.99, 192),
    (0.999, 370),
    (1.0, 1114),
)
CURRENCY = "GBP"
INVOICES_PER_CUSTOMER = 5

_COLOURS = ("WHITE", "RED", "CREAM", "PINK", "BLUE", "VINTAGE", "ANTIQUE SILVER")
_THINGS = (
    "HANGING HEART T-LIGHT HOLDER",
    "METAL LANTERN",
    "CUPID HEARTS COAT HANGER",
    "RETROSPOT CAKE STAND",
    "BUNTING",
)


def line_counts(documents: int, seed: int) -> list[int]:
    """How many lines each document has: the real shape at any count, in an order that chance has made."""
    counts = [_lines_at((place + 0.5) / documents) for place in range(documents)]
    random.Random(seed).shuffle(counts)
    return counts


def drafts(documents: int, seed: int, prefix: str = "bench") -> list[Draft]:
    """Drafts as a host would hand them in, each under a key of its own."""
    chance = random.Random(seed)
    return [
        {
            "key": f"{prefix}-{number}",
            "customer_key": customer_key(number // INVOICES_PER_CUSTOMER),
            "currency": CURRENCY,
            "lines": [_line(chance) for _ in range(lines)],
        }
        for number, lines in enumerate(line_counts(documents, seed))
    ]


def customer_count(documents: int) -> int:
    """How many customers the drafts name."""
    return math.ceil(documents / INVOICES_PER_CUSTOMER)


def customer_key(number: int) -> str:
    """The key of a customer."""
    return f"customer-{number}"


def _lines_at(share: float) -> int:
    shares = [at for at, _ in LINES_BY_SHARE]
    place = min(bisect_right(shares, share), len(shares) - 1)
    (low, fewer), (high, more) = LINES_BY_SHARE[place - 1], LINES_BY_SHARE[place]
    # Between two shares the counts grow by a factor, as incomes and basket sizes do.
    factor = math.exp(math.log(more / fewer) * (share - low) / (high - low))
    return round(fewer * factor)


def _line(chance: random.Random) -> Draft:
    return {
        "name": f"{chance.choice(_COLOURS)} {chance.choice(_THINGS)}",
        "item_code": f"{chance.randrange(10_000, 99_999)}{chance.choice('ABC')}",
        "quantity": str(chance.randrange(1, 48)),
        "price": {"type": "unit", "amount": f"{chance.randrange(0, 12)}.{chance.randrange(1, 100):02d}"},
    }
