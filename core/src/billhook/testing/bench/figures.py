"""What was measured: a figure for each thing, with its spread and what it is divided by. And the watch that measures it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from billhook.engine.garbage import collected_seldom


@dataclass(frozen=True)
class Figure:
    """One figure. ``values`` holds one value for each round; a ratio is made of two values of the same round."""

    part: str
    name: str
    store: str
    unit: str
    values: tuple[float, ...]
    n: int
    divided_by: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "part": self.part,
            "name": self.name,
            "store": self.store,
            "unit": self.unit,
            "n": self.n,
            "rounds": len(self.values),
            "median": round(self.median, 6),
            "min": round(min(self.values), 6),
            "max": round(max(self.values), 6),
            "divided_by": self.divided_by or None,
        }


@dataclass(frozen=True)
class Sheet:
    """Makes the figures of one part on one store, all of the same ``n``."""

    part: str
    store: str
    n: int

    def figure(self, name: str, unit: str, values: Sequence[float], divided_by: str = "") -> Figure:
        """One figure."""
        return Figure(self.part, name, self.store, unit, tuple(values), self.n, divided_by)

    def ratio(self, name: str, above: Sequence[float], below: Sequence[float], divided_by: str) -> Figure:
        """How many times ``below`` goes into ``above``, round by round."""
        return self.figure(name, "x", [a / b for a, b in zip(above, below, strict=True)], divided_by)

    def per_second(self, name: str, seconds: Sequence[float]) -> Figure:
        """How many of ``n`` are done in a second."""
        return self.figure(name, "/s", [self.n / each for each in seconds], "seconds of wall time")


class Watch:
    """Adds up the time spent in some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def run(*args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += perf_counter() - began

        return run


@contextmanager
def watching(*functions: tuple[Any, str]) -> Iterator[Watch]:
    """Count the time spent in these functions, given by the module or class that holds them. None of them calls another."""
    watch = Watch()
    originals = [(owner, name, getattr(owner, name)) for owner, name in functions]
    for owner, name, original in originals:
        setattr(owner, name, watch.watched(original))
    try:
        yield watch
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def timed_seconds(act: Callable[[], object]) -> float:
    """How long it takes in a process as a worker's own is. What is in memory already is kept out of the garbage collector's way."""
    gc.collect()
    gc.freeze()
    try:
        with collected_seldom():
            began = perf_counter()
            act()
            return perf_counter() - began
    finally:
        gc.unfreeze()
