"""Values as plain JSON: amounts as decimal strings, moments in UTC, durations in ISO 8601."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """The value as JSON knows it: nothing but objects, lists, texts, whole numbers, booleans and null."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return _duration(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case Mapping():
            return {str(key): plain(entry) for key, entry in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    # Pydantic's own encoder knows the wire form of every field.
    return value.model_dump(mode="json")


def _duration(value: timedelta) -> str:
    from billhook.domain.period import format_duration

    return format_duration(value)
