"""Driving an operation with made-up answers: every request that it would make, and nothing is sent."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import Batch
from billhook.contract.requests import Call, Reply, Request
from billhook.engine.telling import told
from billhook.plugins.handle import ProviderHandle

MOST_STEPS = 100
"""An operation that still asks after so many samples goes round in circles."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The requests of one operation. ``stopped`` says why it could not be driven to its end, with the ``call`` where that was one;
    ``outcomes`` are what it came to."""

    requests: tuple[Request, ...]
    outcomes: Mapping[str, Any]
    stopped: str | None = None
    call: Call | None = None


def rehearse(handle: ProviderHandle, capability: Capability, batch: Batch[Any, Any]) -> Rehearsal:
    """Drive the operation as far as its samples carry. Raises nothing for what the plugin does wrong: that stops the rehearsal."""
    requests: list[Request] = []
    try:
        returned = handle.start(capability, batch)
        if not isinstance(returned, Generator):
            return Rehearsal((), returned)
        return _driven(returned, requests)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is its fault, told as one
        return Rehearsal(tuple(requests), {}, f"The provider failed: {told(error)}")


def _driven(steps: Generator[Request | Call, Reply, Any], requests: list[Request]) -> Rehearsal:
    try:
        position = next(steps)
        while True:
            stopped = _shown(position, requests)
            if stopped is not None:
                return Rehearsal(tuple(requests), {}, stopped, position if isinstance(position, Call) else None)
            position = steps.send(_sample(position))
    except StopIteration as stop:
        outcomes = stop.value if isinstance(stop.value, Mapping) else {}
        return Rehearsal(tuple(requests), outcomes)
    finally:
        steps.close()


def _shown(position: Request | Call, requests: list[Request]) -> str | None:
    """Keep the request. Why the rehearsal can't go on after it, None when it can."""
    if isinstance(position, Call):
        return f"Step {position.step} calls {position.function.name}, and a call has no preview."
    requests.append(position)
    if position.sample is None:
        return f"Step {position.step} has no sample of its answer, so what follows it can't be shown."
    return f"The operation goes on after {MOST_STEPS} samples." if len(requests) >= MOST_STEPS else None


def _sample(position: Request | Call) -> Reply:
    assert position.sample is not None
    return replace(position.sample, source="sample")
