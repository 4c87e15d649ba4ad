"""Whether small tenants wait for a big one: many apps under two rate limits, on a clock that is turned from due time to due time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from billhook.clock import TurnedClock
from billhook.engine import leases
from billhook.engine.engine import Engine
from billhook.testing.bench.figures import Figure, Sheet
from billhook.testing.bench.providers import CALLS_IN_ALL, CALLS_PER_APP, LimitedProvider, NotingTransport
from billhook.testing.bench.scene import furnish, open_engine
from billhook.testing.bench.stores import Store

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND_MICROS = 1_000_000
BIG = "big"


@dataclass(frozen=True)
class Crowd:
    """One tenant with much to do, due first, and many with little."""

    big: int
    tenants: int
    each: int

    @property
    def small_seconds(self) -> float:
        """How soon the small tenants can be done at best."""
        return max(self.tenants * self.each / CALLS_IN_ALL, self.each / CALLS_PER_APP)

    @property
    def all_seconds(self) -> float:
        """How soon everything can be done at best."""
        return max(self.big / CALLS_PER_APP, (self.big + self.tenants * self.each) / CALLS_IN_ALL)


@dataclass(frozen=True)
class Run:
    """What happened: calls by app, in microseconds since the start, and how often an app was claimed for nothing."""

    calls: Mapping[str, Sequence[int]]
    big_app: str
    wasted_claims: int

    @property
    def ends(self) -> dict[str, float]:
        """When each app made its last call."""
        return {app: times[-1] / SECOND_MICROS for app, times in self.calls.items()}

    @property
    def over_budget(self) -> int:
        """Calls that came earlier than a limit allows, counted from the calls alone."""
        everything = sorted(time for times in self.calls.values() for time in times)
        per_app = sum(_too_early(times, CALLS_PER_APP) for times in self.calls.values())
        return per_app + _too_early(everything, CALLS_IN_ALL)


def measure_fairness(store: Store, crowd: Crowd) -> list[Figure]:
    """Let them all loose, and compare with what the limits allow at best."""
    url = store.fresh()
    run = let_loose(url, crowd)
    store.drop(url)
    small = [end for app, end in run.ends.items() if app != run.big_app]
    sheet = Sheet("fairness", store.name, crowd.big + crowd.tenants * crowd.each)
    best = f"the optimum of {crowd.small_seconds:.0f} s for {crowd.tenants} tenants with {crowd.each}"
    best_of_all = f"the optimum of {crowd.all_seconds:.0f} s, with one tenant's {crowd.big} due first"
    return [
        sheet.ratio("makespan, median small tenant", [median(small)], [crowd.small_seconds], best),
        sheet.ratio("makespan, last small tenant", [max(small)], [crowd.small_seconds], best),
        sheet.ratio("makespan, everybody", [max(run.ends.values())], [crowd.all_seconds], best_of_all),
        sheet.figure("wasted claims", "", [run.wasted_claims]),
        sheet.figure("calls over budget", "", [run.over_budget]),
    ]


def let_loose(url: str, crowd: Crowd) -> Run:
    """Submit everything, the big tenant first, and turn the clock until all is done."""
    clock = TurnedClock(START)
    transport = NotingTransport(clock)
    with open_engine(url, clock=clock, transport=transport) as engine:
        big_app = _submit(engine, BIG, crowd.big)
        for number in range(crowd.tenants):
            _submit(engine, f"small-{number}", crowd.each)
        wasted = _work_off(engine, clock, transport)
    return Run(_by_app(transport.calls), big_app, wasted)


def _submit(engine: Engine, namespace: str, invoices: int) -> str:
    space = engine.namespace(namespace)
    app_id = furnish(space, LimitedProvider.declaration.type, customers=1)
    space.invoices.submit_many([_draft(number) for number in range(invoices)])
    return app_id


def _draft(number: int) -> dict[str, Any]:
    line = {"name": "Fee", "quantity": "1", "price": {"type": "unit", "amount": "9.99"}}
    return {"key": f"fee-{number}", "customer_key": "customer-0", "currency": "EUR", "lines": [line]}


def _work_off(engine: Engine, clock: TurnedClock, transport: NotingTransport) -> int:
    wasted = 0
    with _claims() as claims:
        while True:
            seen = len(transport.calls)
            engine.run_until_idle()
            called = Counter(app_id for app_id, _ in transport.calls[seen:])
            wasted += sum(max(times - called[app_id], 0) for app_id, times in claims.items())
            claims.clear()
            due = engine.next_due()
            if due is None:
                return wasted
            clock.advance(max(due - clock.now(), timedelta(microseconds=1)))


@contextmanager
def _claims() -> Iterator[Counter[str]]:
    """How often each app was claimed."""
    counted: Counter[str] = Counter()
    original = leases.claim

    def claim(*args: Any, **kwargs: Any) -> list[leases.Lease]:
        taken = original(*args, **kwargs)
        counted.update(lease.app_id for lease in taken)
        return taken

    leases.claim = claim
    try:
        yield counted
    finally:
        leases.claim = original


def _by_app(calls: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for app_id, at in calls:
        found[app_id].append(at)
    return dict(found)


def _too_early(times: Sequence[int], calls: int) -> int:
    return sum(later - earlier < SECOND_MICROS for earlier, later in zip(times, times[calls:], strict=False))
