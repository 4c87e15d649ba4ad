"""Times as the store keeps them: microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime) -> int:
    """The stored form of an aware datetime."""
    return (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=4096)  # the same few moments stand on every row of a batch
def from_micros(micros: int) -> datetime:
    """The aware datetime of a stored time."""
    return EPOCH + timedelta(microseconds=micros)


def maybe_micros(at: datetime | None) -> int | None:
    """The stored form, None kept."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def maybe_from_micros(micros: int | None) -> datetime | None:
    """The datetime of a stored time, None kept."""
    return None if micros is None else from_micros(micros)


def span_micros(span: timedelta) -> int:
    """A duration in microseconds."""
    return span // MICROSECOND
