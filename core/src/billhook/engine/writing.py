"""Writing what was decided from rows that somebody else may have changed meanwhile."""

from __future__ import annotations

from typing import TypeVar

from billhook.engine.context import Context
from billhook.errors import StaleWrite
from billhook.store.writer import Job

T = TypeVar("T")

STALE_RETRIES = 5


def write_afresh(context: Context, act: Job[T]) -> T:
    """Run the job in a transaction; again from the start, a few times, when somebody else changed a row first."""
    for _ in range(STALE_RETRIES):
        try:
            return context.database.write(act)
        except StaleWrite:
            continue
    return context.database.write(act)
