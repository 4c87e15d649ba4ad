"""A month end: every tenant's invoices carried through a simulated provider by the whole engine, on a clock that is turned."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from places import PLACES, Limit, Place, Tenant, kind_of

from billhook import Engine, ProviderCatalog
from billhook.clock import TurnedClock
from billhook.contract.requests import Outgoing
from billhook.engine.context import Policy
from billhook.engine.effects import Arrived, Transmission
from billhook.engine.namespace import Namespace
from billhook.engine.queries import InvoiceFilter
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier
from billhook.testing.transport import SimulatorTransport
from billhook.testing.turning import Timeline, TurnedSenders, work_through

BEGINS_AT = datetime(2026, 7, 31, 22, tzinfo=UTC)
AT_A_TIME = 5_000
INVOICES_A_CUSTOMER = 100
FEWEST_CUSTOMERS = 10
JITTER = 0.05
"""How much longer or shorter than usual a call takes at most."""
BANK = {"account_holder": "Acme", "bank_name": "Bank of Acme", "iban": "GB33BUKB20201555555555"}
LINES = (
    {"name": "Seats", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}},
    {"name": "Support", "price": {"type": "flat", "amount": "18"}},
)


@dataclass(frozen=True)
class Month:
    """What is to be done. ``connections``: how many calls one worker may have under way, over all its apps."""

    provider: str
    tenants: int
    invoices_each: int
    connections: int = 32
    with_another: bool = True
    begins_at: datetime = BEGINS_AT

    @property
    def invoices(self) -> int:
        """Of all tenants."""
        return self.tenants * self.invoices_each


@dataclass(frozen=True)
class Outcome:
    """What it came to. ``share``: of what the limit named by ``bound_by`` allows, the other consumer's calls left out.

    ``refused_by_our_own``: 429s that our own calls alone would have brought about; the others took somebody else to happen.
    """

    month: Month
    store: str
    calls: Counter[str]
    refused: int
    refused_by_our_own: int
    another_made: int
    another_was_refused: int
    seconds: float
    bound_by: str
    share: float
    documents: int
    duplicates: int
    unfinished: int
    real_seconds: float

    @property
    def is_whole(self) -> bool:
        """Whether every invoice is issued there, once."""
        return self.documents == self.month.invoices and not (self.duplicates or self.unfinished)


class CountingTransport(SimulatorTransport):
    """Sends to the simulators, and counts every call by its kind and by what came back."""

    def __init__(self, place: Place, clock: TurnedClock) -> None:
        super().__init__(place.simulators)
        self._clock = clock
        self.kinds: Counter[str] = Counter()
        self.refused = self.refused_by_our_own = 0
        self.last_at = clock.now()
        self._limits = place.limits
        self._taken: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of it."""
        came = super().send(request, timeout_seconds)
        kind, self.last_at = kind_of(request.method, urlsplit(request.url).path), self._clock.now()
        self.kinds[kind] += 1
        counted = [self._taken_of(limit, request) for limit in self._limits if limit.counts(kind)]
        if isinstance(came, Arrived) and came.reply.status == 429:
            self.refused += 1
            self.refused_by_our_own += any(len(taken) >= limit.calls for limit, taken in counted)
        else:
            for _, taken in counted:
                taken.append(self.last_at)
        return came

    def _taken_of(self, limit: Limit, request: Outgoing) -> tuple[Limit, deque[datetime]]:
        """Our own calls of the limit's last stretch."""
        tenant = (
            "" if limit.is_common else f"{urlsplit(request.url).netloc} {dict(request.headers).get('xero-tenant-id')}"
        )
        taken = self._taken[limit.name, tenant]
        while taken and taken[0] <= self.last_at - limit.per:
            taken.popleft()
        return limit, taken


class Another:
    """Somebody else, who calls every tenant again and again, and takes a 429 for an answer."""

    def __init__(self, place: Place, timeline: Timeline, dice: random.Random) -> None:
        self._place, self._timeline = place, timeline
        self.statuses: Counter[int] = Counter()
        for tenant in place.tenants:
            timeline.after(place.another_calls_every * dice.random(), self._calling(tenant))

    def _calling(self, tenant: Tenant) -> Any:
        def call() -> None:
            self.statuses[tenant.books.handle(tenant.call_of_another).status] += 1
            self._timeline.after(self._place.another_calls_every, call)

        return call


def end_of(month: Month, store_url: str, seed: int = 1) -> Outcome:
    """Submit everything, and work it through to its end."""
    clock, dice = TurnedClock(month.begins_at), random.Random(seed)
    place = PLACES[month.provider](clock, month.tenants)
    timeline, transport = Timeline(clock), CountingTransport(place, clock)
    senders = TurnedSenders(timeline, lambda: place.latency * dice.uniform(1 - JITTER, 1 + JITTER), month.connections)
    with _engine(store_url, clock, transport) as engine:
        for number, tenant in enumerate(place.tenants):
            _submit(engine.namespace(f"tenant-{number}"), place.provider, tenant, month.invoices_each)
        another = Another(place, timeline, dice) if month.with_another else None
        began, began_real = clock.now(), perf_counter()
        work_through(engine, timeline, senders)
        took, took_real = transport.last_at - began, perf_counter() - began_real
        unfinished = sum(_unfinished(engine.namespace(f"tenant-{number}")) for number in range(month.tenants))
    statuses = another.statuses if another is not None else Counter()
    bound_by, share = _tightest(month, place, transport.kinds, statuses, took)
    outcome = Outcome(
        month=month,
        store=store_url.partition(":")[0] if "://" in store_url else "sqlite",
        calls=transport.kinds,
        refused=transport.refused,
        refused_by_our_own=transport.refused_by_our_own,
        another_made=statuses.total(),
        another_was_refused=statuses[429],
        seconds=took.total_seconds(),
        bound_by=bound_by,
        share=share,
        documents=sum(len(books.documents()) for books in place.simulators.values()),
        duplicates=sum(len(books.duplicates()) for books in place.simulators.values()),
        unfinished=unfinished,
        real_seconds=took_real,
    )
    for books in place.simulators.values():
        books.close()
    return outcome


@contextmanager
def _engine(url: str, clock: TurnedClock, transport: CountingTransport) -> Iterator[Engine]:
    given: dict[str, Any] = {"catalog": ProviderCatalog(), "credential_keys": CREDENTIAL_KEYS, "policy": Policy()}
    with Engine.open(url, clock=clock, transport=transport, **given) as engine:
        yield engine


def _submit(space: Namespace, provider: str, tenant: Tenant, invoices: int) -> None:
    settings, credentials = dict(tenant.connection.settings), dict(tenant.connection.credentials)
    books = space.apps.install(provider, settings=settings, credentials=credentials).id
    bank = space.apps.install("manual", settings=BANK).id
    apps = {"tax_app_id": books, "invoicing_app_id": books, "payment_app_id": bank}
    space.profiles.create(name="Default", is_default=True, supplier=a_supplier(), **apps)
    customers = max(invoices // INVOICES_A_CUSTOMER, FEWEST_CUSTOMERS)
    for number in range(customers):
        space.customers.create(f"Customer {number}", key=f"customer-{number}", email=f"customer-{number}@example.com")
    drafts = [
        {"key": f"i{number}", "customer_key": f"customer-{number % customers}", "currency": "GBP", "lines": LINES}
        for number in range(invoices)
    ]
    for start in range(0, invoices, AT_A_TIME):
        space.invoices.submit_many(drafts[start : start + AT_A_TIME])


def _unfinished(space: Namespace) -> int:
    issued = InvoiceFilter(statuses=("payment_processing",))
    every, waiting = space.invoices.list(page_size=1), space.invoices.list(issued, page_size=1)
    return every.total_count - waiting.total_count


def _tightest(
    month: Month, place: Place, kinds: Counter[str], another: Counter[int], took: timedelta
) -> tuple[str, float]:
    """Which limit was used to the greatest part, and to which."""
    shares = {limit.name: _share(limit, month, kinds, another, took) for limit in place.limits}
    shares["the worker's connections"] = kinds.total() * place.latency / (took * month.connections)
    return max(shares.items(), key=lambda named: named[1])


def _share(limit: Limit, month: Month, kinds: Counter[str], another: Counter[int], took: timedelta) -> float:
    calls = sum(number for kind, number in kinds.items() if limit.counts(kind))
    others = another[200] if limit.others_count else 0
    tenants = 1 if limit.is_common else month.tenants
    allowed = limit.calls * (took / limit.per) * tenants - others
    return calls / allowed
