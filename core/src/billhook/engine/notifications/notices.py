"""The outbox: what a transaction does to invoices is noted for every rule that tells of it, and stored with it or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from billhook.domain.ids import RANDOMNESS_BYTES, new_ulid
from billhook.domain.lifecycle import Hop, Trigger
from billhook.engine import tables
from billhook.engine.context import Context
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.locks import needed
from billhook.engine.moments import from_micros
from billhook.engine.notifications.deliveries import INSERT_DELIVERY, WAKE_LANE, first_delivery
from billhook.engine.notifications.kinds import EventType
from billhook.store import schema
from billhook.store.statements import Insert
from billhook.store.transaction import Transaction

UNTOLD = frozenset({Trigger.APPROVE, Trigger.RETRY, Trigger.UPDATED, Trigger.DELETE, Trigger.FORCE_COLLECT})
"""What a user asked for is told by where it leads, not as a step of its own."""
KNOWN = ("external_id", "payment_external_id", "line_ids", "discount_ids")
"""What of an app's knowledge of an invoice is told."""
COUNTER_BYTES = 3

_rule, _subscription, _channel = (
    schema.notification_rule,
    schema.notification_subscription,
    schema.notification_channel,
)
INSERT_EVENT = Insert(
    schema.notification_event,
    ("id", "namespace", "rule_id", "type", "document_id", "version", "hop", "link", "created_at"),
)
# Until what is told is committed no channel is closed: whoever closes one gives up what is on its way there, and has to see this.
_IN_FORCE = needed(
    sa.select(_rule.c.namespace, _rule.c.id, _rule.c.type, _channel.c.id, _channel.c.disabled)
    .join(_subscription, _subscription.c.rule_id == _rule.c.id)
    .join(_channel, _channel.c.id == _subscription.c.channel_id)
    .where(_rule.c.namespace.in_(sa.bindparam("namespaces", expanding=True)))
    .where(_rule.c.disabled == 0, _rule.c.deleted_at.is_(None), _channel.c.deleted_at.is_(None))
    .order_by(_rule.c.id, _subscription.c.place),
    _channel,
)

Link = Mapping[str, Any]


class Listener(NamedTuple):
    """A rule that is in force, with its channels and whether each takes anything."""

    rule_id: str
    type: EventType
    channels: tuple[tuple[str, bool], ...]


@dataclass(slots=True)
class _Step:
    """What happened to an invoice: where in its events it stands, and what its app knew it as. None: as the store has it."""

    namespace: str
    document_id: str
    app_id: str
    version: int
    hops: Sequence[Hop]
    link: Link | None


class Notices:
    """What one transaction has to tell. Where nobody listens it costs one question for each namespace, however many invoices."""

    def __init__(self, context: Context, tx: Transaction, at: int) -> None:
        self._context = context
        self._tx = tx
        self._at = at
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._steps: list[_Step] = []
        self._created: dict[str, _Step] = {}
        self._chance = b""
        self._counted = 0

    def note(self, row: InvoiceRow, hops: Sequence[Hop], link: Link | None, *, is_new: bool) -> None:
        """The invoice went these ways. ``link`` is what its app knows it as, where that was read already."""
        if self._listeners.get(row.namespace) == ():
            return
        values = row.values
        known = _copied(link) if link is not None else None
        step = _Step(row.namespace, row.id, values["invoicing_app_id"], values["version"], hops, known)
        self._steps.append(step)
        if is_new or row.id in self._created:
            self._created[row.id] = step

    def write(self, *, is_last: bool) -> bool:
        """Store what was noted; says whether there is something to be sent.

        That an invoice was created is told when it rests, so in the last write of its transaction.
        """
        steps, self._steps = self._steps, []
        created = self._created if is_last else {}
        if is_last:
            self._created = {}
        self._ask({step.namespace for step in steps})
        heard = [step for step in steps if self._listeners[step.namespace]]
        self._complete(heard)
        told = [*self._updates(heard), *self._creations(created.values())]
        if told:
            self._store(told)
        return bool(told)

    def _updates(self, steps: Iterable[_Step]) -> Iterator[tuple[_Step, int, Listener]]:
        for step in steps:
            listeners = [one for one in self._listeners[step.namespace] if one.type is EventType.INVOICE_UPDATED]
            yield from ((step, place, one) for place in told_hops(step.hops) for one in listeners)

    def _creations(self, steps: Iterable[_Step]) -> Iterator[tuple[_Step, int, Listener]]:
        for step in steps:
            listeners = [one for one in self._listeners[step.namespace] if one.type is EventType.INVOICE_CREATED]
            yield from ((step, len(step.hops) - 1, one) for one in listeners)

    def _ask(self, namespaces: set[str]) -> None:
        unknown = sorted(namespaces - self._listeners.keys())
        if not unknown:
            return
        self._listeners.update(dict.fromkeys(unknown, ()))
        # Most have no rule at all, and this is the cheapest way to know.
        telling = {namespace for (namespace,) in self._tx.select_in(_rule, ("namespace",), "namespace", unknown)}
        if telling:
            self._listeners.update(listeners_of(self._tx, telling))

    def _complete(self, steps: Sequence[_Step]) -> None:
        """What nobody in this transaction has read, nobody in it has changed: the store still has it as it was."""
        missing = {step.document_id for step in steps if step.link is None}
        if not missing:
            return
        stored = {(row["document_id"], row["app_id"]): row for row in tables.read_links(self._tx, missing)}
        for step in steps:
            if step.link is None:
                step.link = _copied(stored.get((step.document_id, step.app_id), {}))

    def _store(self, told: Sequence[tuple[_Step, int, Listener]]) -> None:
        ids = self._ids(len(told))
        events, deliveries = [], []
        for id, (step, place, listener) in zip(ids, told, strict=True):
            link = tables.dump_text(step.link) if step.link else None
            values = (
                step.namespace,
                listener.rule_id,
                listener.type.value,
                step.document_id,
                step.version,
                place,
                link,
            )
            events.append((id, *values, self._at))
            deliveries += [
                first_delivery(id, channel_id, self._at, disabled=off) for channel_id, off in listener.channels
            ]
        self._tx.insert_many(INSERT_EVENT, events)
        self._tx.insert_many(INSERT_DELIVERY, deliveries)
        woken = sorted(
            {channel_id for _, _, listener in told for channel_id, disabled in listener.channels if not disabled}
        )
        self._tx.update_many(WAKE_LANE, [(channel_id, self._at) for channel_id in woken])

    def _ids(self, count: int) -> Iterator[str]:
        """Ids in the order of what they stand for, although all are of one moment."""
        if not self._chance:
            self._chance = self._context.randomness(RANDOMNESS_BYTES - COUNTER_BYTES)
        first, self._counted = self._counted, self._counted + count
        at = from_micros(self._at)
        return (new_ulid(at, self._chance + (first + place).to_bytes(COUNTER_BYTES)) for place in range(count))


def told_hops(hops: Sequence[Hop]) -> list[int]:
    """Which of these hops are told: each one that the invoice makes by itself, or that an app or a payer causes, and where it rests."""
    last = len(hops) - 1
    return [place for place, hop in enumerate(hops) if hop.trigger not in UNTOLD or place == last]


def listeners_of(tx: Transaction, namespaces: Iterable[str]) -> dict[str, tuple[Listener, ...]]:
    """The rules in force of these namespaces, the oldest first."""
    rules: dict[tuple[str, str, str], list[tuple[str, bool]]] = defaultdict(list)
    for namespace, rule_id, type, channel_id, disabled in tx.all(_IN_FORCE, {"namespaces": sorted(namespaces)}):
        rules[namespace, rule_id, type].append((channel_id, bool(disabled)))
    found: dict[str, tuple[Listener, ...]] = {}
    for (namespace, rule_id, type), channels in rules.items():
        found[namespace] = (*found.get(namespace, ()), Listener(rule_id, EventType(type), tuple(channels)))
    return found


def _copied(link: Link) -> Link:
    known = ((name, link.get(name)) for name in KNOWN)
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in known if value}
