"""What is to be seen while the demo runs: on standard error, and only where a person looks on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from billhook.demo.standing import Standing

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

REFRESHES_PER_SECOND = 10


class Watch(Protocol):
    """Whoever looks on."""

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Call what it gives with how many more are done."""
        ...

    def show(self, standing: Standing, calls: int) -> None:
        """How far it is now."""
        ...


class NobodyWatches:
    """Shows nothing."""

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Counts nothing."""
        return lambda _done: None

    def show(self, standing: Standing, calls: int) -> None:
        """Shows nothing."""


class LiveWatch:
    """Shows states, calls and money as they move."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Shows how many of them are done."""
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            self._live.update(f"{what}: {done} of {total}")

        return count

    def show(self, standing: Standing, calls: int) -> None:
        """Draws the state of everything anew."""
        self._live.update(_drawn(standing, calls))


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watch]:
    """A live view while the block runs, on a terminal; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield NobodyWatches()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=REFRESHES_PER_SECOND, transient=True) as live:
        yield LiveWatch(live)


def _drawn(standing: Standing, calls: int) -> RenderableType:
    from rich.table import Table

    drawn = Table(title="One trading day", title_justify="left")
    drawn.add_column("what")
    drawn.add_column("state")
    drawn.add_column("count", justify="right")
    for state, count in standing.invoices.items():
        drawn.add_row("invoices", state, str(count))
    for state, count in standing.credit_notes.items():
        drawn.add_row("credit notes", state, str(count))
    drawn.add_section()
    drawn.add_row("calls to the provider", "", str(calls))
    drawn.add_row("paid", "GBP", f"{standing.amount_paid:f}")
    return drawn
