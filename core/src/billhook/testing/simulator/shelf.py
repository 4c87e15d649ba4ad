"""The least that a simulator takes: things kept as JSON on a shelf, from which everything that books show is read."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from billhook.clock import Clock
from billhook.contract.requests import encode_json
from billhook.testing.simulator.base import Simulator
from billhook.testing.simulator.books import Duplicate
from billhook.testing.simulator.memory import Memory
from billhook.testing.simulator.messages import Event, Pairs


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing at the provider: of a kind, under our reference. ``body`` is what the provider tells of it, its ``id`` included."""

    kind: str
    reference: str
    body: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The provider's."""
        return str(self.body["id"])


@dataclass(frozen=True, slots=True)
class ShelvedDocument:
    """An invoice or a credit note."""

    id: str
    reference: str
    kind: str
    currency: str
    total: Decimal
    status: str
    is_issued: bool


@dataclass(frozen=True, slots=True)
class ShelvedPayment:
    """A payment."""

    id: str
    reference: str
    amount: Decimal
    status: str
    currency: str | None = None


class Shelf(Memory):
    """The memory of a simulator whose things are JSON objects. Decimals are kept digit for digit, as text."""

    schema = """
    CREATE TABLE IF NOT EXISTS things (
      number INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL, body TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS things_by_reference ON things (kind, reference);
    """

    def add(self, kind: str, reference: str, body: Mapping[str, Any]) -> Thing:
        """Put a new thing there, under a new id such as ``invoice_1``. Raises TurnedDown where it is to be refused."""
        self.decisions.heed(reference)
        with self.transaction() as tx:
            cursor = tx.execute("INSERT INTO things (kind, reference, body) VALUES (?, ?, '')", (kind, reference))
            thing = Thing(kind, reference, _plain({**body, "id": f"{kind}_{cursor.lastrowid}"}))
            tx.execute("UPDATE things SET body = ? WHERE number = ?", (json.dumps(thing.body), cursor.lastrowid))
        return thing

    def change(self, thing: Thing, **changes: Any) -> Thing:
        """The same thing with these fields changed. Raises TurnedDown where it is to be refused."""
        self.decisions.heed(thing.reference, thing.id)
        changed = Thing(thing.kind, thing.reference, _plain({**thing.body, **changes, "id": thing.id}))
        with self.transaction() as tx:
            tx.execute("UPDATE things SET body = ? WHERE number = ?", (json.dumps(changed.body), _number(thing.id)))
        return changed

    def get(self, id: str) -> Thing | None:
        """The thing of that id."""
        rows = self.read("SELECT kind, reference, body FROM things WHERE number = ?", (_number(id),))
        return next((thing for thing in map(_thing, rows) if thing.id == id), None)

    def find(self, kind: str, reference: str) -> tuple[Thing, ...]:
        """The things of that kind under our reference, oldest first."""
        statement = "SELECT kind, reference, body FROM things WHERE kind = ? AND reference = ? ORDER BY number"
        return tuple(map(_thing, self.read(statement, (kind, reference))))

    def all(self, *kinds: str) -> tuple[Thing, ...]:
        """All things of these kinds (none given: of every kind), oldest first."""
        things = map(_thing, self.read("SELECT kind, reference, body FROM things ORDER BY number"))
        return tuple(thing for thing in things if not kinds or thing.kind in kinds)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """As it is told: JSON values alone."""
    told: dict[str, Any] = json.loads(encode_json(body))
    return told


def _number(id: str) -> str:
    return id.rpartition("_")[2]


def _thing(row: tuple[Any, ...]) -> Thing:
    kind, reference, body = row
    return Thing(kind, reference, json.loads(body))


class ShelfSimulator(Simulator):
    """A simulator of which `answer` and `connection` are all that is to be written; the books are read from its `shelf`.

    Things of the kinds ``invoice`` and ``credit_note`` are documents; their bodies have ``currency``, ``total`` and ``status``. Those of
    the kind ``payment`` have ``amount`` and ``status``, and those of the kind ``customer`` what they like. What has a status of
    ``unfinished`` or ``gone`` is not issued, and what is ``gone`` may be there again under the same reference. A key is honoured for
    ``key_window``.
    The class itself can be the entry point.
    """

    unfinished: ClassVar[frozenset[str]] = frozenset({"draft"})
    gone: ClassVar[frozenset[str]] = frozenset({"void", "deleted", "failed", "canceled"})
    key_window: ClassVar[timedelta] = timedelta(hours=24)

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
        hurried: bool = False,
        currency: str | None = None,
    ) -> None:
        self.shelf = Shelf.open(path)
        self.hurried = hurried
        self.currency = currency
        super().__init__(
            self.shelf,
            clock=clock,
            latency_seconds=latency_seconds,
            key_window=self.key_window,
            webhook_url=webhook_url,
        )

    def settle(self, now: datetime) -> None:
        """Nothing happens by itself."""

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the thing of that name, our reference or its id, is refused.

        The shelf raises TurnedDown where such a thing would be put or changed. Where `answer` lets it pass, the whole request is refused
        as `turned_down` says; one that takes several things at once says beside the others what became of it.
        """
        self.shelf.decisions.refuse(name)

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event as unsigned JSON."""
        told = {"id": event.id, "type": event.type, "object": event.object_id, "at": event.at.isoformat()}
        return (("Content-Type", "application/json"),), encode_json(told)

    def customers(self) -> tuple[Thing, ...]:
        """The customers, oldest first."""
        return self._things("customer")

    def documents(self) -> tuple[ShelvedDocument, ...]:
        """The invoices and credit notes, oldest first."""
        return tuple(self._document(thing) for thing in self._things("invoice", "credit_note"))

    def payments(self) -> tuple[ShelvedPayment, ...]:
        """The payments, oldest first; failed ones too."""
        return tuple(
            ShelvedPayment(
                thing.id,
                thing.reference,
                Decimal(thing.body["amount"]),
                str(thing.body["status"]),
                thing.body.get("currency"),
            )
            for thing in self._things("payment")
        )

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference of ours under which several things of one kind stand. Things without a reference are nobody's second."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for thing in self._things():
            if thing.reference and thing.body.get("status") not in self.gone:
                found[thing.kind, thing.reference].append(thing.id)
        return tuple(Duplicate(*known, tuple(ids)) for known, ids in found.items() if len(ids) > 1)

    def totals(self) -> Mapping[str, Decimal]:
        """What was issued, by currency: invoices less credit notes."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for currency, amount in self._issued():
            sums[currency] += amount
        return sums

    def _issued(self) -> Iterator[tuple[str, Decimal]]:
        for document in self.documents():
            if document.is_issued:
                yield document.currency, -document.total if document.kind == "credit_note" else document.total

    def _things(self, *kinds: str) -> tuple[Thing, ...]:
        self.tick()
        return self.shelf.all(*kinds)

    def _document(self, thing: Thing) -> ShelvedDocument:
        status = str(thing.body["status"])
        is_issued = status not in self.unfinished | self.gone
        total = Decimal(thing.body["total"])
        return ShelvedDocument(
            thing.id, thing.reference, thing.kind, str(thing.body["currency"]), total, status, is_issued
        )
