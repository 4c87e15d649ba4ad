"""Figures for whoever watches the server: how it is called, and how much work waits. They name no tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import Scope

from billhook.engine.engine import Engine
from billhook.engine.moments import to_micros
from billhook.engine.work import READY
from billhook.server.paths import route_taken
from billhook.store import schema

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
NO_ROUTE = "none"


class Metrics:
    """The figures of one application. Nothing global: two applications in one process count apart."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "billhook_http_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "billhook_http_request_seconds",
            "Time to answer a request.",
            ("method", "route"),
            buckets=BUCKETS_SECONDS,
            registry=self._registry,
        )
        self.worker_alive = Gauge(
            "billhook_worker_alive", "1 while this process's worker is at work.", registry=self._registry
        )
        self._registry.register(_Waiting(engine))

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer. The route's own path is counted, never the one that was called."""
        route = route_taken(scope) or NO_ROUTE
        self._requests.labels(scope["method"], route, status).inc()
        self._seconds.labels(scope["method"], route).observe(seconds)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Waiting(Collector):
    """What waits in the database now."""

    def __init__(self, engine: Engine) -> None:
        self._context = engine.context

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Look at the database."""
        now = to_micros(self._context.clock.now())
        with self._context.database.read() as tx:
            counts = [tx.scalar(_COUNT.select_from(gauge.table).where(gauge.counted(now))) for gauge in _GAUGES]
        for gauge, count in zip(_GAUGES, counts, strict=True):
            yield GaugeMetricFamily(gauge.name, gauge.promise, value=count)


class _Gauge(NamedTuple):
    """How many rows of a table are of a kind, at a time in microseconds."""

    name: str
    promise: str
    table: sa.Table
    counted: Callable[[int], sa.ColumnElement[bool]]


_COUNT = sa.select(sa.func.count())
_work, _operation, _lane = schema.work, schema.operation, schema.notification_lane
_GAUGES = (
    _Gauge(
        "billhook_work_due",
        "Things to be done now that nobody has begun.",
        _work,
        lambda now: sa.and_(_work.c.state == READY, _work.c.due <= now),
    ),
    _Gauge(
        "billhook_operations_in_doubt",
        "Operations of which nobody knows the outcome.",
        _operation,
        lambda _now: _operation.c.status == "in_doubt",
    ),
    _Gauge(
        "billhook_notification_channels_due",
        "Channels of notifications for which something is to be sent now.",
        _lane,
        lambda now: _lane.c.next_due <= now,
    ),
    _Gauge(
        "billhook_notification_channels_failing",
        "Channels of notifications whose receiver has taken nothing since its last failure.",
        _lane,
        lambda _now: _lane.c.failing_since.is_not(None),
    ),
)
