"""The tax desk of the sandbox: a rate for each code, rounded line by line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billhook.errors import InvalidInput
from billhook.testing.sandbox.desk import Ask, Route, SandboxRules, answer_batch
from billhook.testing.sandbox.fields import EXACT, Item, currency_of, items_of, money, plain, rounded, text
from billhook.testing.simulator.messages import SimReply

_BATCH = 50
_MAX_LINES = 10_000


class TaxDesk:
    """Computes tax and stores nothing. Without a currency an item is taken to have two decimals.

    The amount of a line that says `inclusive: true` contains its tax already.
    """

    def __init__(self, rules: SandboxRules) -> None:
        self._rates = rules.tax_rates

    def routes(self) -> list[Route]:
        return [("POST", "/v1/tax", self._compute)]

    def _compute(self, ask: Ask) -> SimReply:
        return answer_batch(items_of(ask.body, "items", _BATCH), self._compute_one, None)

    def _compute_one(self, item: Item) -> dict[str, Any]:
        exponent = currency_of(item)[1] if "currency" in item else 2
        lines = items_of(item, "lines", _MAX_LINES)
        taxed = [self._line(line, exponent, f"/lines/{index}") for index, line in enumerate(lines)]
        return {"reference": text(item, "reference"), "ok": True, "lines": taxed}

    def _line(self, line: Item, exponent: int, path: str) -> dict[str, Any]:
        code = text(line, "tax_code", path)
        rate = self._rates.get(code)
        if rate is None:
            message = f"There is no rate for {code!r}. Known codes: {', '.join(sorted(self._rates))}."
            raise InvalidInput("tax_code_unknown", message, f"{path}/tax_code")
        amount = money(line, "amount", exponent, path)
        tax = _contained(amount, rate, exponent) if line.get("inclusive") is True else _added(amount, rate, exponent)
        return {
            "reference": text(line, "reference", path),
            "tax_code": code,
            "rate": plain(rate),
            "tax_amount": plain(tax),
        }


def _added(amount: Decimal, rate: Decimal, exponent: int) -> Decimal:
    return rounded(EXACT.multiply(amount, rate), exponent)


def _contained(amount: Decimal, rate: Decimal, exponent: int) -> Decimal:
    net = rounded(EXACT.divide(amount, EXACT.add(Decimal(1), rate)), exponent)
    return EXACT.subtract(amount, net)
