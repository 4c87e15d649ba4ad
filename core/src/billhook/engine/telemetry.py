"""Metrics, traces and structured logs. OpenTelemetry through its API: a host that installs no SDK pays next to nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

LOGGER = logging.getLogger("billhook")

FIRST_BAD_STATUS = 400
CALL_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0)
"""OpenTelemetry's own bounds for requests in seconds, and two for slow providers: an SDK's default begins at 5, and is meant for milliseconds."""


class Telemetry:
    """Where the engine tells what it does. Providers are passed in; without them the API's own defaults are used."""

    def __init__(self, meters: MeterProvider | None = None, tracers: TracerProvider | None = None) -> None:
        meter = (meters or metrics.get_meter_provider()).get_meter("billhook")
        self._tracer = (tracers or trace.get_tracer_provider()).get_tracer("billhook")
        self._calls = meter.create_counter(
            "billhook.provider.calls", unit="{call}", description="Requests sent to providers"
        )
        self._settled = meter.create_counter(
            "billhook.items.settled", unit="{item}", description="Items settled, by outcome"
        )
        self._call_seconds = meter.create_histogram(
            "billhook.provider.call.duration",
            unit="s",
            description="Time of one request",
            explicit_bucket_boundaries_advisory=CALL_SECONDS,
        )
        self._rounds = meter.create_counter(
            "billhook.commits", unit="{commit}", description="Group commits of the worker"
        )

    @contextmanager
    def sending(self, provider: str, app_id: str, operation: str, step: str) -> Iterator[Span]:
        """Around one request to a provider."""
        attributes = {
            "billhook.provider": provider,
            "billhook.app": app_id,
            "billhook.operation": operation,
            "billhook.step": step,
        }
        name = f"{provider} {operation}"
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as span:
            yield span

    def ended(self, span: Span, verdict: str, status: int | None) -> None:
        """What became of the request of that span, with the status of its answer, None without one. Without a good answer the span is an error."""
        answered = {"billhook.status": status} if status is not None else {}
        span.set_attributes({"billhook.verdict": verdict, **answered})
        if status is None or status >= FIRST_BAD_STATUS:
            span.set_status(StatusCode.ERROR, verdict if status is None else f"{verdict} {status}")

    def called(self, provider: str, operation: str, verdict: str, seconds: float) -> None:
        """One request came to this verdict after so many seconds."""
        attributes = {"billhook.provider": provider, "billhook.operation": operation, "billhook.verdict": verdict}
        self._calls.add(1, attributes)
        self._call_seconds.record(seconds, attributes)

    def settled(self, provider: str, operation: str, outcome: str, count: int) -> None:
        """So many items of an operation ended with this outcome."""
        self._settled.add(
            count, {"billhook.provider": provider, "billhook.operation": operation, "billhook.outcome": outcome}
        )

    def committed(self) -> None:
        """One group commit of the worker."""
        self._rounds.add(1)

    def log(self, level: int, message: str, fields: Mapping[str, Any]) -> None:
        """One structured log record: the fields travel in ``extra``, each under a name that begins with ``billhook_``."""
        if LOGGER.isEnabledFor(level):
            LOGGER.log(level, message, extra={f"billhook_{name}": value for name, value in fields.items()})
