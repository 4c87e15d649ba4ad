"""What is told to those who watch: spans that show which call failed, and times that can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from engine_kit import Behaviour, Shop, answers, lost_before, not_sent
from kept_telemetry import KeptBounds, KeptSpans
from opentelemetry.trace import StatusCode

from billhook.engine.telemetry import Telemetry

OpenShop = Callable[..., Shop]


def test_a_call_that_was_answered_is_told_with_its_status(a_shop: OpenShop):
    kept = KeptSpans()
    shop = a_shop(telemetry=Telemetry(tracers=kept))
    shop.submit()
    shop.run()
    first = kept.spans[0]
    assert (first.name, first.status) == ("books sync_draft", StatusCode.UNSET)
    assert (first.attributes["billhook.verdict"], first.attributes["billhook.status"]) == ("arrived", 200)
    assert first.attributes["billhook.app"] == shop.app.id


@pytest.mark.parametrize(
    "behaviour, told",
    [
        (not_sent, {"billhook.verdict": "notsent"}),
        (lost_before, {"billhook.verdict": "lost"}),
        (answers(500), {"billhook.verdict": "arrived", "billhook.status": 500}),
        (answers(401), {"billhook.verdict": "arrived", "billhook.status": 401}),
    ],
)
def test_a_call_without_a_good_answer_is_an_error(a_shop: OpenShop, behaviour: Behaviour, told: dict[str, object]):
    kept = KeptSpans()
    shop = a_shop(telemetry=Telemetry(tracers=kept))
    shop.wire.plan(behaviour)
    shop.submit()
    shop.run()
    first = kept.spans[0]
    assert first.status is StatusCode.ERROR
    assert {
        name: value for name, value in first.attributes.items() if name in ("billhook.verdict", "billhook.status")
    } == told


def test_the_times_of_calls_fall_in_buckets_that_tell_them_apart():
    meters = KeptBounds()
    Telemetry(meters=meters)
    bounds = meters.bounds["billhook.provider.call.duration"]
    assert all(shorter < longer for shorter, longer in pairwise(bounds))
    assert sum(bound < 1 for bound in bounds) >= 8
