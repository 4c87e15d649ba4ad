"""What a worker leaves that goes on by itself: how much, from when, and why not before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, careful_draft, not_sent

from billhook.contract import RateLimit
from billhook.engine.context import Policy
from billhook.engine.standing import standing_of

OpenShop = Callable[..., Shop]
MINUTE = timedelta(minutes=1)


def left(shop: Shop) -> list[tuple[int, str]]:
    standing = standing_of(shop.engine.context, shop.namespace)
    assert not standing.needs_a_person
    return [(each.items, each.reason) for each in standing.left]


def test_what_a_limit_keeps_back_and_what_is_due_later_are_told_apart(a_shop_anywhere: OpenShop):
    limit = RateLimit(name="calls", calls=1, per=MINUTE)
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, limits=[limit]), workflow={"draft_period": "P1D"})
    shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    began = shop.clock.now()
    shop.engine.run_until_idle()
    assert left(shop) == [(2, "A limit of its provider is used up."), (1, "The first of it is due then.")]
    kept, later = standing_of(shop.engine.context, shop.namespace).left
    assert kept.goes_on_at is not None
    assert MINUTE <= kept.goes_on_at - began < 2 * MINUTE
    assert later.goes_on_at == began + timedelta(days=1)
    shop.ns.apps.disable(shop.app.id)
    assert left(shop) == []  # nothing of it goes on by itself


@pytest.mark.parametrize(
    "behaviour, reason",
    [
        (answers(429, retry_after="60"), "Its provider asked to be left alone so long."),
        (not_sent, "It gave no answer to the last 1 requests. See why: billhook apps check"),
    ],
)
def test_an_app_that_is_left_alone_for_a_while_says_why_and_how_long(a_shop: OpenShop, behaviour: Any, reason: str):
    shop = a_shop(policy=Policy(circuit_failures=1))
    shop.wire.plan(behaviour)
    began = shop.clock.now()
    shop.ns.invoices.submit_many([shop.draft(), shop.draft()])
    shop.engine.run_until_idle()
    (left,) = standing_of(shop.engine.context, shop.namespace).left
    assert left.reason.startswith(reason)
    assert left.goes_on_at is not None
    assert began < left.goes_on_at <= began + MINUTE
    assert left.goes_on_at == shop.engine.next_due()
