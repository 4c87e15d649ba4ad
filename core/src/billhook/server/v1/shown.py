"""Small pieces of answers in the first form of the API: times, numbers, and objects without what is empty."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.domain.money import plain


def filled(**fields: Any) -> dict[str, Any]:
    """The fields that say something: None, empty lists and empty objects are left out."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {})}


def moment(at: datetime) -> str:
    """An aware datetime in UTC as RFC 3339, ending in Z."""
    return at.isoformat().replace("+00:00", "Z")


def maybe_moment(at: datetime | None) -> str | None:
    """As ``moment``, None kept."""
    return None if at is None else moment(at)


def json_number(value: Decimal) -> Any:
    """A percentage as a JSON number of the same digits; everything else that is exact is a text on the wire."""
    return json.loads(plain(value))
