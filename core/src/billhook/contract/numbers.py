"""What ``assign_number`` shapes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """A sequence value that the engine reserved for a document, bound to it for ever.

    ``suggested`` is what the series' own template makes of it.
    """

    series: str
    sequence: int
    suggested: str
    document_id: str
    customer_name: str
    customer_key: str | None
    currency: str
    at: datetime
