"""Two workers on one database: who holds nothing waits, and does not ask again and again."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from engine_kit import NOON, Shop

from billhook.engine.moments import to_micros
from billhook.engine.running import LONGEST_SLEEP_SECONDS, SHORTEST_SLEEP_SECONDS, RunningWorker
from billhook.store import schema

OpenShop = Callable[..., Shop]


def held_by(shop: Shop, owner: str | None) -> None:
    """Let that worker hold the app, in which something is due."""
    values = {"owner": owner, "fence": 1, "next_due": to_micros(NOON), "expires_at": to_micros(NOON) + 300_000_000}
    shop.engine.database.write(lambda tx: tx.execute(sa.update(schema.app_lease).values(values)))


def test_a_worker_does_not_poll_an_app_that_another_one_holds(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    shop.submit()
    waiting = RunningWorker(shop.engine, lambda: None)  # type: ignore[arg-type, return-value]
    with shop.engine.database.liveness.claim("other"):
        held_by(shop, "other")
        assert shop.engine.next_due() == NOON
        assert shop.engine.next_due("ours") is None
        assert waiting._pause_seconds("ours") == LONGEST_SLEEP_SECONDS
        assert waiting._pause_seconds("other") == SHORTEST_SLEEP_SECONDS
    held_by(shop, None)
    assert waiting._pause_seconds("ours") == SHORTEST_SLEEP_SECONDS


def test_a_worker_takes_over_what_a_dead_one_held(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = shop.submit()
    held_by(shop, "dead")
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
