"""Where metered quantities come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

from billhook.domain.period import Period


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """How much of a feature a customer used in a period, for one line."""

    line_id: str
    customer_id: str
    feature_key: str
    period: Period


@runtime_checkable
class UsageSource(Protocol):
    """Answers for metered lines. Called outside any transaction; the answers are frozen into the invoice."""

    def quantities(self, questions: Sequence[UsageQuestion]) -> dict[str, Decimal]:
        """The quantity of each question by its line id. A question left out stops its invoice."""
        ...
