"""The engine against a bare driver: invoices through three steps at a provider, and drafts taken in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from billhook.contract.declaration import Capability
from billhook.domain.states import State
from billhook.engine import documents, driver, invoices, submitting, tables
from billhook.engine.engine import Engine
from billhook.errors import BillhookError
from billhook.plugins.handle import ProviderHandle
from billhook.testing.bench.baskets import drafts
from billhook.testing.bench.figures import Figure, Sheet, timed_seconds, watching
from billhook.testing.bench.identical import differing_tables
from billhook.testing.bench.providers import MemoryTransport
from billhook.testing.bench.recording import Recording, recorded
from billhook.testing.bench.scene import SEED, engine_on, prepare_empty, submit
from billhook.testing.bench.stores import Store, copied

BARE = "bare driver, same rows, bytes and commits"

# The provider's own work: building requests, answering and reading them; and reading the documents that go into them.
STEP_ENCODING = (
    (driver, "_advance"),
    (MemoryTransport, "send"),
    (documents, "parse_content"),
    (documents, "load_mapping"),
)
# Checking and calculating what came, asking the provider where each line goes, and writing it all as JSON.
INTAKE_ENCODING = (
    (invoices, "_parsed"),
    (submitting, "draft_hash"),
    (submitting, "calculate"),
    (submitting, "content_json"),
    (ProviderHandle, "map_line"),
    (tables, "dump_mapping"),
)


class NotIdentical(BillhookError):
    """The bare driver wrote something else than the engine: the comparison means nothing."""


@dataclass
class Times:
    """Seconds of each round, side by side."""

    engine: list[float] = field(default_factory=list)
    encoding: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def own(self) -> list[float]:
        """The engine's time without encoding."""
        return [whole - encoding for whole, encoding in zip(self.engine, self.encoding, strict=True)]


def measure_steps(store: Store, n: int, rounds: int) -> list[Figure]:
    """Draft, issue and collect ``n`` invoices in fifties."""
    due = store.fresh()
    prepare_empty(due, n)
    submit(due, n)
    times, recording = _side_by_side(store, due, _work, STEP_ENCODING, rounds)
    store.drop(due)
    return _figures(Sheet("steps", store.name, n), "engine, 3 steps", times, recording)


def measure_intake(store: Store, n: int, rounds: int) -> list[Figure]:
    """Take in ``n`` drafts."""
    empty = store.fresh()
    prepare_empty(empty, n)
    take_in = partial(_take_in, wanted=drafts(n, SEED))
    times, recording = _side_by_side(store, empty, take_in, INTAKE_ENCODING, rounds)
    store.drop(empty)
    return _figures(Sheet("intake", store.name, n), "submit_many", times, recording)


def _work(engine: Engine) -> None:
    engine.run_until_idle()
    unpaid = engine.namespace().invoices.list(page_size=1).items[0].status != State.PAID.value
    if unpaid:
        raise NotIdentical(f"An invoice was not paid after {Capability.COLLECT_PAYMENT}. Nothing was measured.")


def _take_in(engine: Engine, wanted: list[dict[str, object]]) -> None:
    engine.namespace().invoices.submit_many(wanted)


def _side_by_side(
    store: Store, start: str, act: Callable[[Engine], None], encoding: tuple[tuple[object, str], ...], rounds: int
) -> tuple[Times, Recording]:
    recording, times = record(store, start, act), Times()
    for _ in range(rounds):
        with copied(store, start) as url, engine_on(url) as engine, watching(*encoding) as watch:
            times.engine.append(timed_seconds(partial(act, engine)))
            times.encoding.append(watch.seconds)
        with copied(store, start) as url:
            times.bare.append(timed_seconds(partial(store.replay, url, recording)))
    return times, recording


def record(store: Store, start: str, act: Callable[[Engine], None]) -> Recording:
    """What the engine writes from that start. Raises NotIdentical unless the bare driver makes the same database of it."""
    with copied(store, start) as written, copied(store, start) as replayed:
        with engine_on(written) as engine, recorded(engine.database) as recording:
            act(engine)
        store.replay(replayed, recording)
        differing = differing_tables(written, replayed)
    if differing:
        raise NotIdentical(f"The bare driver's tables differ from the engine's: {', '.join(differing)}.")
    return recording


def _figures(sheet: Sheet, what: str, times: Times, recording: Recording) -> list[Figure]:
    commits = f"{BARE} ({len(recording.commits)} commits, {recording.statements} statements)"
    return [
        sheet.ratio(f"{what}, without encoding", times.own, times.bare, commits),
        sheet.ratio(f"{what}, with encoding", times.engine, times.bare, commits),
        sheet.ratio("encoding alone", times.encoding, times.bare, commits),
        sheet.per_second(what, times.engine),
        sheet.per_second(f"{what}, without encoding", times.own),
        sheet.per_second("bare driver", times.bare),
    ]
