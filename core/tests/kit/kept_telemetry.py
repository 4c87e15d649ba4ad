"""What a host with an SDK of OpenTelemetry collects, told through OpenTelemetry's own interfaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.metrics import Histogram, Meter, NoOpMeter, NoOpMeterProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, StatusCode, Tracer, TracerProvider


class KeptSpan(NonRecordingSpan):
    """A span that keeps what it is told."""

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)
        self.name = name
        self.attributes = attributes
        self.status = StatusCode.UNSET

    def set_attributes(self, attributes: Any) -> None:
        self.attributes.update(attributes)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status


@dataclass
class KeptSpans(TracerProvider, Tracer):
    """Every span that was started."""

    spans: list[KeptSpan] = field(default_factory=list)

    def get_tracer(self, *names: Any, **options: Any) -> Tracer:
        return self

    def start_span(self, name: str, *, attributes: Any = None, **options: Any) -> KeptSpan:  # type: ignore[override]
        self.spans.append(KeptSpan(name, dict(attributes or {})))
        return self.spans[-1]

    @contextmanager  # type: ignore[override]
    def start_as_current_span(self, name: str, **options: Any) -> Iterator[KeptSpan]:
        yield self.start_span(name, **options)


class KeptBounds(NoOpMeterProvider, NoOpMeter):
    """By the name of a histogram, the bounds that it asks for."""

    def __init__(self) -> None:
        NoOpMeter.__init__(self, "billhook")
        self.bounds: dict[str, Sequence[float]] = {}

    def get_meter(self, *names: Any, **options: Any) -> Meter:
        return self

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        self.bounds[name] = explicit_bucket_boundaries_advisory or ()
        return super().create_histogram(name, unit, description)
