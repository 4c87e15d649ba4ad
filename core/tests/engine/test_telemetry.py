"""What a host that watches collects: spans that show which call failed, and times that can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from engine_kit import Behaviour, Shop, answers, arrives, lost_before, not_sent
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from billhook.engine.telemetry import Telemetry

OpenShop = Callable[..., Shop]


def spans_of(open_shop: OpenShop, behaviour: Behaviour) -> Sequence[ReadableSpan]:
    """The spans of an invoice whose first request meets that."""
    kept = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    shop = open_shop(telemetry=Telemetry(tracers=tracers))
    shop.wire.plan(behaviour)
    shop.submit()
    shop.run()
    return kept.get_finished_spans()


@pytest.mark.parametrize(
    "behaviour, told, status",
    [
        (arrives, {"billhook.verdict": "arrived", "billhook.status": 200}, StatusCode.UNSET),
        (not_sent, {"billhook.verdict": "notsent"}, StatusCode.ERROR),
        (lost_before, {"billhook.verdict": "lost"}, StatusCode.ERROR),
        (answers(500), {"billhook.verdict": "arrived", "billhook.status": 500}, StatusCode.ERROR),
        (answers(401), {"billhook.verdict": "arrived", "billhook.status": 401}, StatusCode.ERROR),
    ],
)
def test_a_span_tells_what_became_of_its_call(
    a_shop: OpenShop, behaviour: Behaviour, told: dict[str, Any], status: StatusCode
):
    first = spans_of(a_shop, behaviour)[0]
    attributes = dict(first.attributes or {})
    assert (first.name, first.status.status_code) == ("books sync_draft", status)
    assert {name: attributes.get(name) for name in told} == told
    assert ("billhook.status" in attributes) == ("billhook.status" in told)


def test_the_times_of_calls_fall_in_buckets_that_tell_them_apart(a_shop: OpenShop):
    reader = InMemoryMetricReader()
    shop = a_shop(telemetry=Telemetry(meters=MeterProvider([reader])))
    shop.submit()
    shop.run()
    (of_resource,) = reader.get_metrics_data().resource_metrics
    metrics = {each.name: each for scope in of_resource.scope_metrics for each in scope.metrics}
    (point,) = metrics["billhook.provider.call.duration"].data.data_points
    assert point.count == 1
    assert sum(bound < 1 for bound in point.explicit_bounds) >= 8
