"""A bench: one app at one simulator, worked by the engine's own driver without a store, so that every request can be struck.

What the engine would commit is written down and read again as its store does; a restart begins with that and with a fresh provider.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from billhook.clock import TurnedClock
from billhook.contract import (
    Batch,
    Call,
    Capability,
    ConnectionItem,
    CredentialsResult,
    DocumentResult,
    Done,
    Find,
    InvoiceItem,
    PaymentResult,
    PaymentStatus,
    Pending,
    Provider,
    Rejected,
    Request,
    Retry,
    Snapshot,
)
from billhook.contract.operations import OPERATIONS
from billhook.domain.ids import new_ulid
from billhook.engine.calling import called
from billhook.engine.driver import Driver, Rhythm
from billhook.engine.effects import (
    Alone,
    Doubt,
    Effect,
    Fault,
    Look,
    Park,
    Release,
    Send,
    Settle,
    Transmission,
)
from billhook.engine.journal import COLUMNS, SENDING, Attempt, thaw_attempt
from billhook.engine.outgoing import outgoing
from billhook.engine.settle import check_of
from billhook.plugins import ProviderHandle
from billhook.testing.desk import ANSWERED_WITHIN_SECONDS, Desk, Ran, in_words
from billhook.testing.kit.door import the_door
from billhook.testing.kit.subject import Authorizing, SimulatorProtocol, Subject
from billhook.testing.kit.telling import told_with_place
from billhook.testing.transport import SimulatorTransport

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
URL = "http://there.test"
MOST_TURNS = 400
MOST_ROUNDS = 6
MOST_LOOKS = 40
NOTHING_AUTHORIZES = "its simulator has no `authorizing_connection`, by which a payment would come to stand authorized"
LONG_ENOUGH = timedelta(hours=1)
"""When a story has come to rest: later than anything that was still under way."""


class Stuck(AssertionError):
    """An operation that comes to no end, or whose plugin failed."""


@dataclass(frozen=True, slots=True)
class Blow:
    """What is done to one request of an operation, counted from 1: a fault of the simulator, or a death of the engine.

    ``then`` strikes the request after it as well. A death is before the request leaves, or once it was answered; with ``upgrade`` the
    engine is started again with another release of the provider.
    """

    at: int
    fault: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    then: str | None = None
    dies: Literal["before", "after"] | None = None
    downtime: timedelta = timedelta(seconds=5)
    upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that left, a call in place of one, or a look-up."""

    request: Request | Call
    key: str | None
    is_look_up: bool


@dataclass(slots=True)
class Worked:
    """An operation that came to an end, with everything that was sent for it. ``ended``: what its outcomes became where some were
    pending and were looked at until they were not."""

    outcomes: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    leftovers: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[Sent] = field(default_factory=list)

    @property
    def at_the_end(self) -> Mapping[str, Any]:
        """The outcomes, as far as anybody looked."""
        return {**self.outcomes, **self.ended}

    @property
    def doubts(self) -> list[str]:
        """Why outcomes are in doubt."""
        return [outcome.reason for outcome in self.at_the_end.values() if isinstance(outcome, Doubt)]

    @property
    def refusals(self) -> list[str]:
        """Why items were rejected."""
        rejected = (outcome for outcome in self.at_the_end.values() if isinstance(outcome, Rejected))
        return [issue.message for outcome in rejected for issue in outcome.issues]


class Bench(Desk):
    """A desk whose operations are worked by the engine's driver. Everything in it is the same for the same seed."""

    def __init__(
        self,
        subject: Subject,
        *,
        seed: int = 0,
        currency: str | None = None,
        url: str = URL,
        first_operation: int = 10_000,
    ) -> None:
        self.subject = subject
        clock = TurnedClock(BEGINS_AT)
        currency = currency or subject.currency
        self.books: SimulatorProtocol = subject.new_simulator(clock, currency)
        self.turned = clock
        self.named: set[str] = set()
        """The ids by which outcomes named things, and by which the engine would know them."""
        self._dice = random.Random(seed)
        self._url = url
        connection = self.books.connection(url)
        handle = ProviderHandle(subject.provider)
        super().__init__(
            handle,
            SimulatorTransport({url: self.books}),
            settings=handle.settings(connection.settings),
            credentials=handle.credentials(connection.credentials),
            clock=clock,
            currency=currency,
            first_operation=first_operation,
        )

    def close(self) -> None:
        """Let go of the books."""
        self.books.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def transmit(
        self,
        request: Request | Call,
        key: str | None = "key-1",
        credentials: Any = None,
        within: timedelta = timedelta(seconds=ANSWERED_WITHIN_SECONDS),
    ) -> Transmission:
        """What became of it. What a call sends by itself comes in by the door, and the simulator answers it as ever."""
        known, within_seconds = credentials or self.credentials, within.total_seconds()
        if isinstance(request, Call):
            with the_door().held_open(
                request, self._url, lambda sent: self.transport.send(sent, within_seconds)
            ) as call:
                return called(self.handle, call, known)
        signed = self.handle.authenticate(outgoing(request, key), known, self.clock.now())
        return self.transport.send(signed, within_seconds)

    def can(self, capability: Capability) -> bool:
        """Whether the provider does that."""
        return self.subject.can(capability)

    def authorize_first(self) -> None:
        """From now on payments are only authorized. Raises Stuck where the simulator offers no such connection."""
        if not isinstance(self.books, Authorizing):
            raise Stuck(NOTHING_AUTHORIZES)
        self.settings = self.handle.settings(self.books.authorizing_connection(self._url).settings)

    def run(self, capability: Capability, *items: Any) -> Ran:
        """The whole operation, with nothing going wrong, and what the provider takes its time for looked at until it is done."""
        worked = self.work(capability, *items)
        return Ran(self.to_the_end(capability, items, worked.outcomes), [call.request for call in worked.calls])

    def to_the_end(self, capability: Capability, items: Iterable[Any], outcomes: Mapping[str, Any]) -> dict[str, Any]:
        """The outcomes, what is pending looked at until it is not, as the engine does. Money stays pending: scenes look at it as far as
        they want it. Raises Stuck where there is no end."""
        if capability in _MONEY:
            return dict(outcomes)
        return {item.id: self.end_of(capability, item, outcomes[item.id]) for item in items}

    def end_of(self, capability: Capability, item: Any, outcome: Any) -> Any:
        """What a pending outcome comes to. Raises Stuck where there is no end."""
        look = check_of(self.handle.declaration, capability)
        for _ in range(MOST_LOOKS):
            if not isinstance(outcome, Pending):
                return outcome
            item = replace(item, external_id=outcome.external_id or item.external_id)
            self.turned.advance(outcome.check_after or LONG_ENOUGH)
            outcome = _as_waited_for(item, self.work(look, item).outcomes[item.id])
        raise Stuck(f"{capability} is still pending when {look} was asked {MOST_LOOKS} times: {in_words(outcome)}")

    def work(self, capability: Capability, *items: Any, blow: Blow | None = None) -> Worked:
        """Do it for all items, in as many operations as it takes. Raises Stuck where there is no end."""
        worked, left = Worked(), [_as_handed_in(capability, item) for item in items]
        for _ in range(MOST_ROUNDS):
            settled = _Round(self, capability, self.batch(*left), worked, blow).settle()
            worked.outcomes.update(settled.outcomes)
            worked.leftovers.update({id: dict(remote) for id, remote in settled.leftovers.items()})
            self.named.update(_named(settled))
            left = [self._again(item, settled) for item in left if _goes_again(settled.outcomes[item.id])]
            if not left:
                return worked
        raise Stuck(f"{capability} is begun again and again")

    def _again(self, item: Any, settled: Settle) -> Any:
        outcome = settled.outcomes[item.id]
        if isinstance(outcome, Retry):
            self.turned.advance(outcome.after)
        known = settled.leftovers.get(item.id, {})
        return replace(item, leftovers={**item.leftovers, **known}) if known else item

    def let_the_payer_act(self, outcome: object) -> None:
        """Where a payment waits for its payer, have it done."""
        result = outcome.result if isinstance(outcome, Done) else None
        if isinstance(result, PaymentResult) and result.status is PaymentStatus.ACTION_REQUIRED and result.external_id:
            self.books.act_as_payer(result.external_id)

    def renew_credentials(self) -> CredentialsResult:
        """New credentials for old, as the engine gets them. Raises NotDone where they are refused."""
        renewed: CredentialsResult = Desk.run(self, Capability.REFRESH_CREDENTIALS, ConnectionItem("app")).result
        self.credentials = self.handle.credentials({**dict(self.credentials), **renewed.credentials})
        return renewed

    def rest(self) -> None:
        """Let everything that is under way arrive."""
        for _ in range(4):
            self.turned.advance(LONG_ENOUGH / 4)
            self.books.tick()

    def random_bytes(self, length: int) -> bytes:
        """The same for the same seed."""
        return self._dice.randbytes(length)


def _named(settled: Settle) -> Iterator[str]:
    """The ids under which things stand there, as outcomes tell them."""
    for outcome in settled.outcomes.values():
        said = outcome.result if isinstance(outcome, Done) else outcome
        receipts = said.receipts if isinstance(said, Snapshot) else ()
        yield from filter(None, (getattr(one, "external_id", None) for one in (said, *receipts)))


_NO_BLOW = Blow(at=0)
_MONEY = frozenset(
    {
        Capability.COLLECT_PAYMENT,
        Capability.CAPTURE_PAYMENT,
        Capability.CANCEL_PAYMENT,
        Capability.CHECK_PAYMENT,
        Capability.RECORD_PAYMENT,
        Capability.REFUND,
        Capability.CHECK_REFUND,
    }
)


def _as_waited_for(item: Any, outcome: Any) -> Any:
    """What a look says of the document that was waited for, read as the engine reads it."""
    if not isinstance(outcome, Done) or not isinstance(outcome.result, Snapshot):
        return outcome
    seen = outcome.result
    if not seen.found:
        return Pending("the provider does not show it yet")
    return Done(DocumentResult(seen.external_id or item.external_id, seen.number, totals=seen.totals))


_HINTS = {"unauthorized": ". The credentials that the simulator's `connection` gives have to work as they are"}


def _as_handed_in(capability: Capability, item: Any) -> Any:
    """An operation whose lines are not mapped gets none."""
    has_lines = isinstance(item, InvoiceItem) and not OPERATIONS[capability].maps_lines
    return replace(item, lines=()) if has_lines else item


def next_release(provider: type[Provider[Any]]) -> type[Provider[Any]]:
    """Another release of a provider that sends the same: it is described in other words."""
    said = f"{provider.declaration.description} (next release)"
    return type(
        provider.__name__, (provider,), {"declaration": provider.declaration.model_copy(update={"description": said})}
    )


def _goes_again(outcome: object) -> bool:
    return isinstance(outcome, Release | Alone | Retry)


class _Round:
    """One operation from its first request to its settlement."""

    def __init__(
        self, bench: Bench, capability: Capability, batch: Batch[Any, Any], worked: Worked, blow: Blow | None
    ) -> None:
        self._bench = bench
        self._spec = OPERATIONS[capability]
        self._longest = bench.handle.declaration.rules(capability).longest
        self._batch = batch
        self._worked = worked
        self._blow = blow or _NO_BLOW
        self._has_died = False
        self._driver = self._new_driver([])
        self._refused_in_a_row = 0

    def _new_driver(self, journal: list[Attempt]) -> Driver:
        bench = self._bench
        return Driver(
            ProviderHandle(self._release()),
            self._spec,
            self._batch,
            journal,
            lambda: new_ulid(bench.turned.now(), bench.random_bytes(10)),
            Rhythm(lambda tries: timedelta(seconds=2 ** min(tries, 8)), look_ups=12),
            lambda error: told_with_place(error, bench.credentials),
        )

    def _release(self) -> type[Provider[Any]]:
        provider = self._bench.subject.provider
        return next_release(provider) if self._has_died and self._blow.upgrade else provider

    def settle(self) -> Settle:
        """Work until it is settled."""
        if self._bench.handle.declaration.rules(self._spec.capability).local:
            outcomes: Any = self._bench.handle.start(self._spec.capability, self._batch)
            return Settle(outcomes, {})
        effect = self._driver.resume(self._now())
        for _ in range(MOST_TURNS):
            match effect:
                case Settle():
                    return effect
                case Fault(reason):
                    raise Stuck(f"{self._spec.name} failed: {reason}")
                case Park():
                    effect = self._wait(effect)
                case Send(attempt):
                    effect = self._send(attempt)
                case Look(attempt, place):
                    effect = self._look(attempt, place)
        raise Stuck(f"{self._spec.name} goes on after {MOST_TURNS} turns")

    def _now(self) -> datetime:
        return self._bench.turned.now()

    def _wait(self, park: Park) -> Effect:
        refused = park.until is None
        self._refused_in_a_row = self._refused_in_a_row + 1 if refused else 0
        if self._refused_in_a_row > 2:
            raise Stuck(f"{self._spec.name} is refused whatever is tried: {park.reason}{_HINTS.get(park.cause, '')}")
        if self._refused_in_a_row > 1 and self._bench.can(Capability.REFRESH_CREDENTIALS):
            self._bench.renew_credentials()
        until = park.until or self._now() + timedelta(seconds=1)
        self._bench.turned.advance(max(until - self._now(), timedelta()))
        return self._driver.resume(self._now())

    def _send(self, attempt: Attempt) -> Effect:
        journal = [attempt.as_tuple() for attempt in self._driver.journal]
        dies = self._blow.dies if self._blow.at == len(self._worked.calls) + 1 and not self._has_died else None
        if dies == "before":
            return self._restart(journal)
        came = self._transmit(attempt.step, attempt.key, is_look_up=False)
        if dies == "after":
            return self._restart(journal)
        return self._driver.take(attempt, came, self._now())

    def _look(self, attempt: Attempt, place: int) -> Effect:
        way = attempt.step.recover[place]
        assert isinstance(way, Find)
        came = self._transmit(way.request, None, is_look_up=True)
        return self._driver.take_finding(attempt, place, came, self._now())

    def _restart(self, journal: list[tuple[Any, ...]]) -> Effect:
        """The engine died and is started again: what it committed is read, and everything else is gone."""
        self._has_died = True
        self._driver.close()
        attempts = [thaw_attempt(dict(zip(COLUMNS, row, strict=True))) for row in journal]
        for attempt in attempts:
            if attempt.status == SENDING and attempt.step.effectful:
                attempt.lost("the engine died and did not see the answer")
        self._bench.turned.advance(self._blow.downtime)
        self._driver = self._new_driver(attempts)
        return self._driver.resume(self._now())

    def _transmit(self, step: Request | Call, key: str | None, *, is_look_up: bool) -> Transmission:
        bench = self._bench
        self._worked.calls.append(Sent(step, key, is_look_up))
        self._arm(len(self._worked.calls))
        try:
            return bench.transmit(step, key, within=self._longest)
        finally:
            bench.books.clear_faults()

    def _arm(self, number: int) -> None:
        if self._blow.fault is not None and number == self._blow.at:
            self._bench.books.fault(self._blow.fault, **self._blow.params)
        if self._blow.then is not None and number == self._blow.at + 1:
            self._bench.books.fault(self._blow.then)
