"""Looks that nobody asked for leave a part of every rate limit to what somebody asks for next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from billhook.engine.moments import from_micros
from billhook.engine.work import Lane, WorkRow

_HALF, _TENTH = 2, 10


def share_left(works: Collection[WorkRow], late_after: timedelta, now: datetime) -> int | None:
    """One part in how many of each rate this work leaves to others; None for work of which somebody asked for some.

    It leaves less once it is late: whoever always uses half of a limit would never have an invoice looked at.
    """
    if any(work.lane != Lane.UNASKED for work in works):
        return None
    oldest = min(work.due for work in works)
    return _TENTH if from_micros(oldest) + late_after <= now else _HALF
