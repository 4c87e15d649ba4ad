"""Numbers that one round read ahead for several operations: each value goes where it was read for, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from engine_kit import Shop

from billhook.engine.number_plan import NumberClaim, NumberPlan, take_claims
from billhook.engine.numbers import NumberedDocument, Numbers


@pytest.fixture
def taken(a_shop: Callable[..., Shop]) -> Callable[..., tuple[set[str], list[str]]]:
    """What is taken of the numbers that were read ahead for operations ``a``, ``b`` and ``c``, in this order of urgency."""
    shop = a_shop()
    numbers, context = Numbers(shop.engine.context), shop.engine.context

    def take(*urgency: str) -> tuple[set[str], list[str]]:
        def job(tx: Any) -> tuple[set[str], list[str]]:
            app = context.apps.get(tx, shop.app.id)
            documents = [a_document(name) for name in "abc"]
            claims = NumberPlan(numbers).assign(tx, app, "invoice", documents).claims
            wanted: dict[str, list[NumberClaim]] = {name: [claims[name]] for name in urgency}
            dropped = take_claims(tx, numbers, wanted, set())
            bound = numbers.bound(tx, list("abc"))
            return dropped, [f"{id} has {issued.sequence}" for id, issued in sorted(bound.items())]

        return context.database.write(job)

    return take


def a_document(id: str) -> NumberedDocument:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return NumberedDocument(
        id=id,
        namespace="default",
        customer_id="jane",
        customer_name="Jane Doe",
        customer_key="jane",
        profile="Default",
        currency="GBP",
        at=at,
    )


def test_the_most_urgent_need_not_have_read_the_first(taken):
    assert taken("c", "a", "b") == (set(), ["a has 1", "b has 2", "c has 3"])


@pytest.mark.parametrize("kept_back, left", [("a", "bc"), ("b", "ac"), ("b", "ca")])
def test_where_one_is_kept_back_nobody_takes_a_number_beyond_it(taken, kept_back, left):
    assert taken(*left) == (set(left), [])
    assert taken(*left, kept_back) == (set(), ["a has 1", "b has 2", "c has 3"])
