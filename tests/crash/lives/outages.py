"""A database server that ends every session at some moment, while the process goes on: it is told, and asks again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from life import Life

from billhook.errors import StoreUnavailable
from billhook.faults import NO_FAULTS
from billhook.testing.postgres import database_name

MOST_TRIES = 10
LATEST_VISIT = 25
ENDED = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"


class Outage:
    """Ends every session of a database at one visit of a fault point."""

    def __init__(self, url: str, visit: int) -> None:
        self.ended_at: str | None = None
        self._url = url
        self._left = visit

    def reach(self, point: str) -> None:
        self._left -= 1
        if not self._left:
            self.ended_at = point
            server = psycopg.conninfo.make_conninfo(self._url, dbname="postgres")
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(ENDED, (database_name(self._url),))


def sessions_end(life: Life, step: Callable[[Life], Any]) -> str:
    """Take the step while that happens; whoever is told that the database is away does the same again, by the same key."""
    visit = life.chance.randint(1, LATEST_VISIT)
    if not life.url.startswith("postgres"):
        return f"nothing, {step(life)},"
    outage = Outage(life.url, visit)
    before = life.chance.getstate()
    life.weather.now = outage
    try:
        for _ in range(MOST_TRIES):
            life.chance.setstate(before)
            try:
                done = step(life)
            except StoreUnavailable:
                continue
            return f"sessions end at {outage.ended_at}, {done},"
    finally:
        life.weather.now = NO_FAULTS
    life.troubles.append(f"step {life.count}, {step.__name__}: the database stays away")
    return "the database stays away"
