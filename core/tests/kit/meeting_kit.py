"""Two processes that meet on one PostgreSQL database: one stands still before one of its statements while the other acts from end to end.

Whatever that statement is, what is done or refused and what is left must be what it would be had one acted after the other, whoever came first.
Who stands in line for a row that the other one holds acts after it, which is one of the two.

Not every statement matters. What comes before the first one that touches anything that the other one writes could as well have come after it,
and so it is between any two such statements. A shop is prepared once for each scene, and each meeting has a copy of its database.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import sqlalchemy as sa
from engine_kit import Books, Shop, Wire, dice, open_shop

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.errors import BillhookError, StaleWrite
from billhook.store import schema
from billhook.store.columns import PREFIX
from billhook.testing.invariants import problems_of
from billhook.testing.postgres import PostgresServer, database_name

Ids = dict[str, str]
Act = Callable[[Shop, Ids], Any]
Rule = Callable[[Shop, Ids, set[str]], Iterator[str]]
"""Sentences that say what is wrong in the end, where these acts were done and not refused."""

PATIENCE_SECONDS = 20
REST_SECONDS = 600
COMMIT, DONE, RAW = "COMMIT", "done", "raw:"
AGAIN = "changes"
"""What is told once more to whoever knows it already."""
TURN = "a turn"
"""What is written where a turn is taken: nobody else has it until the transaction ends."""

_TABLE = re.compile(rf"{PREFIX}\w+")
_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)|FOR (NO KEY UPDATE|UPDATE|KEY SHARE)|advisory")
_ULID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
_NUMBERED = re.compile(r"\b(DRAFT|GATHER|[a-z]+)-[\w-]*\d\b")
"""Ids of the books, and numbers that may have gaps."""


@dataclass(frozen=True)
class Scene:
    """A shop with something in it, and what two processes may want of it at the same moment.

    What commits ``in_steps`` may well have another between two of them: only what must always hold is looked at then, and the scene's own rule.
    """

    name: str
    provider: Any
    prepare: Callable[[Shop], Ids]
    acts: Mapping[str, Act]
    workflow: Mapping[str, Any] | None = None
    in_steps: frozenset[str] = frozenset({"work", "erase"})
    rule: Rule = lambda _shop, _ids, _done: iter(())

    def __str__(self) -> str:
        return self.name


class Ending(NamedTuple):
    """What the two were told, and what is there once everything came to rest."""

    told: tuple[str, str]
    left: Counter[str]
    problems: tuple[str, ...]

    def is_like(self, other: Ending) -> bool:
        """Whether the same was done, and is there. Who is refused may be so for another reason."""
        done, theirs = ([each == DONE for each in ending.told] for ending in (self, other))
        return done == theirs and self.left == other.left

    @property
    def is_raw(self) -> bool:
        """Whether somebody was told what only the engine should ever see."""
        return any(each.startswith(RAW) for each in self.told)


class Statements:
    """What an engine asks of its database, in order. ``at`` that one it stands still, and lets somebody ``act`` first."""

    def __init__(self, engine: Engine) -> None:
        self.asked: list[str] = []
        self.at: int | None = None
        self.act: Callable[[], None] = lambda: None
        listening = self

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
                listening.reach(str(query))
                return super().execute(query, *arguments, **options)

        def listen(driver: Any, *_: object) -> None:
            driver.cursor_factory = Cursor

        own = engine.database.backend.engine
        sa.event.listen(own, "checkout", listen)
        sa.event.listen(own, "commit", lambda _connection: self.reach(COMMIT))

    def reach(self, statement: str) -> None:
        self.asked.append(statement)
        if len(self.asked) - 1 == self.at:
            self.act()


def touched(statement: str) -> set[str]:
    """The tables that a statement is about."""
    return {*_TABLE.findall(statement), *([TURN] if "advisory" in statement else [])}


def written(statements: Sequence[str]) -> set[str]:
    """What these write, or keep others from writing."""
    return {name for statement in statements if _WRITES.search(statement) for name in touched(statement)}


@dataclass
class _Prepared:
    """A scene's database, and the world around it as it was then."""

    database: str
    ids: Ids
    at: datetime
    books: Books
    known: set[str] = field(default_factory=set)


class Meetings:
    """Lets the acts of scenes meet."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._prepared: dict[str, _Prepared] = {}
        self._one_by_one: dict[tuple[str, str, str], tuple[Ending, list[str]]] = {}

    def strange(self, scene: Scene, first: str, second: str) -> list[str]:
        """What comes of it that never comes where one acts after the other, ``first`` being the one that stands still."""
        one, asked = self._in_order(scene, first, second)
        other, theirs = self._in_order(scene, second, first)
        allowed = (one, Ending((other.told[1], other.told[0]), other.left, other.problems))
        in_steps = not scene.in_steps.isdisjoint({first, second})
        found = []
        for place, ending in self._met(scene, first, second, asked, written(theirs)):
            if ending.problems or ending.is_raw or not (in_steps or any(map(ending.is_like, allowed))):
                found.append(f"{first}, before {_shown(asked, place)}, {second}: {_told(ending, allowed)}")
        return found

    def _met(
        self, scene: Scene, first: str, second: str, asked: Sequence[str], theirs: set[str]
    ) -> Iterator[tuple[int, Ending]]:
        held_until = 0
        for place, before in enumerate(asked[:-1], 1):
            if place < held_until or not touched(before) & theirs:
                continue
            ending, stood_in_line = self._meet(scene, first, second, place)
            yield place, ending
            if stood_in_line:
                # What made it wait is held until the commit: from here on it waits wherever the first one stands.
                held_until = next((each for each in range(place, len(asked)) if asked[each] == COMMIT), len(asked)) + 1

    def _meet(self, scene: Scene, first: str, second: str, place: int) -> tuple[Ending, bool]:
        with self._two(scene) as (ours, theirs, statements):
            told: list[str] = []
            other = threading.Thread(target=lambda: told.append(self._does(scene, second, theirs)))
            stood_in_line = False

            def meanwhile() -> None:
                nonlocal stood_in_line
                other.start()
                until = time.monotonic() + PATIENCE_SECONDS
                while other.is_alive() and not stood_in_line and time.monotonic() < until:
                    other.join(0.003)
                    stood_in_line = other.is_alive() and _stands_in_line(theirs)

            statements.at, statements.act = place, meanwhile
            own = self._does(scene, first, ours)
            other.join(PATIENCE_SECONDS)
            ending = self._ending(scene, ours, (first, second), (own, told[0] if told else f"{RAW} it never ended"))
            return ending, stood_in_line

    def _in_order(self, scene: Scene, first: str, second: str) -> tuple[Ending, list[str]]:
        key = (scene.name, first, second)
        if key not in self._one_by_one:
            with self._two(scene) as (ours, theirs, statements):
                own = self._does(scene, first, ours)
                asked = list(statements.asked)
                told = (own, self._does(scene, second, theirs))
                self._one_by_one[key] = (self._ending(scene, ours, (first, second), told), asked)
        return self._one_by_one[key]

    def _does(self, scene: Scene, act: str, shop: Shop) -> str:
        try:
            scene.acts[act](shop, self._prepared[scene.name].ids)
        except BillhookError as refusal:
            is_own = type(refusal) is not BillhookError and not isinstance(refusal, StaleWrite)
            return f"{type(refusal).__name__} {refusal.code}" if is_own else f"{RAW} {refusal}"
        except Exception as error:  # noqa: BLE001 - whatever it is, a caller would see it
            return f"{RAW} {error!r}"
        return DONE

    # Shops.

    @contextmanager
    def _two(self, scene: Scene) -> Iterator[tuple[Shop, Shop, Statements]]:
        prepared = self._prepare(scene)
        url = self._server.create(prepared.database)
        clock, books = TurnedClock(prepared.at), _copied(prepared.books)
        books.clock = clock
        shops = [self._opened(scene, url, clock, Wire(books, clock)) for _ in range(2)]
        statements = Statements(shops[0].engine)
        yield shops[0], shops[1], statements
        for shop in shops:
            shop.close()
        self._server.retire(url)

    def _opened(self, scene: Scene, url: str, clock: TurnedClock, wire: Wire) -> Shop:
        shop = open_shop(url, scene.provider, ready=False, randomness=dice)
        shop.clock, shop.books, shop.wire = clock, wire.books, wire
        shop.restart()
        return shop

    def _prepare(self, scene: Scene) -> _Prepared:
        if scene.name not in self._prepared:
            url = self._server.create(self._template)
            shop = open_shop(url, scene.provider, workflow=scene.workflow)
            ids = scene.prepare(shop)
            known = {id for row in _everything(shop) for id in _ULID.findall(row)}
            shop.close()
            self._prepared[scene.name] = _Prepared(database_name(url), ids, shop.clock.now(), shop.books, known)
        return self._prepared[scene.name]

    def _ending(self, scene: Scene, shop: Shop, acts: tuple[str, str], told: tuple[str, str]) -> Ending:
        shop.run_for(REST_SECONDS)
        prepared = self._prepared[scene.name]
        done = {act for act, each in zip(acts, told, strict=True) if each == DONE}
        made = [f"books {reference} {id}" for reference, id in shop.books.documents if not id.startswith(AGAIN)]
        rows = [*_everything(shop), *made]
        named = (_ULID.sub(lambda found: found[0] if found[0] in prepared.known else "NEW", row) for row in rows)
        left = Counter(_NUMBERED.sub(r"\1-#", row) for row in named)
        return Ending(told, left, (*problems_of(shop.engine), *scene.rule(shop, prepared.ids, done)))


def _copied(books: Books) -> Books:
    mine = copy(books)
    mine.documents, mine.refuses = list(books.documents), set(books.refuses)
    mine._answers = dict(books._answers)
    return mine


def _stands_in_line(shop: Shop) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with shop.engine.database.read() as tx:
        return bool(tx.scalar(sa.text(waiting)))


def _everything(shop: Shop) -> list[str]:
    """What is stored, row by row, without what only tells how often or when something was done."""
    with shop.engine.database.read() as tx:
        return [
            f"{table.name} {json.dumps(_plain(row._mapping), sort_keys=True)}"
            for table in schema.metadata.sorted_tables
            if table.name.removeprefix(PREFIX) not in HOW_IT_CAME
            for row in tx.all(sa.select(table))
        ]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _value(str(name), value) for name, value in row.items() if str(name) not in HOW_OFTEN}


def _value(name: str, value: Any) -> Any:
    if name.endswith(("_at", "_until")):
        return value is not None
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else value


def _shown(asked: Sequence[str], place: int) -> str:
    return f"statement {place} ({' '.join(asked[place].split())[:90]})"


def _told(ending: Ending, allowed: Sequence[Ending]) -> str:
    near = min(allowed, key=lambda each: ((ending.left - each.left).total(), ending.told != each.told))
    more, less = list(ending.left - near.left)[:3], list(near.left - ending.left)[:3]
    return f"told {ending.told} (not {[each.told for each in allowed]}), problems {list(ending.problems)}, left {more}, not {less}"


HOW_IT_CAME = frozenset(
    {
        "app_lease",
        "attempt",
        "budget",
        "document_mapping",
        "event",
        "late_reply",
        "notification_attempt",
        "notification_lane",
        "operation",
        "sequence",
    }
)
HOW_OFTEN = frozenset(
    {"attempts", "data", "draft_hash", "due", "evidence", "hop", "lane", "line_ids", "link", "operation_id", "version"}
)
