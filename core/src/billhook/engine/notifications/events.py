"""The notification events of one namespace: what was told, how it arrived, and telling it once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.domain.parsing import argument
from billhook.domain.period import utc
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.locks import needed
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.notifications.deliveries import INSERT_DELIVERY, WAKE_LANE, first_delivery
from billhook.engine.notifications.kinds import DeliveryState, EventType, ListOrder
from billhook.engine.notifications.records import Attempt, Delivery, InvoiceSnapshot, NotificationEvent
from billhook.engine.notifications.rules import read_rules
from billhook.engine.notifications.sample import sample
from billhook.engine.notifications.snapshots import Moment, snapshots
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import Page
from billhook.errors import InvalidInput, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_event, _delivery, _attempt = schema.notification_event, schema.notification_delivery, schema.notification_attempt
_rule, _subscription, _channel = (
    schema.notification_rule,
    schema.notification_subscription,
    schema.notification_channel,
)

SENT_ONCE = (DeliveryState.SENDING.value, DeliveryState.SUCCESS.value, DeliveryState.FAILED.value)
"""How a delivery stands that can be sent once more. Others are about to be sent anyway."""
ASKED_FOR = "It was asked for once more."


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: told from a time on and up to another, by some rules, to some channels."""

    since: datetime | None = None
    until: datetime | None = None
    rule_ids: tuple[str, ...] = ()
    channel_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise InvalidInput for a time without a zone."""
        for name in ("since", "until"):
            if getattr(self, name) is not None:
                argument(name, utc, getattr(self, name))


@checked
class EventCommands:
    """The events of one namespace."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def get(self, event_id: str) -> NotificationEvent:
        """One event with its deliveries. Raises NotFound."""
        with self._context.database.read() as tx:
            return self._read(tx, [self._row(tx, event_id)])[0]

    def list(
        self,
        filter: EventFilter | None = None,
        *,
        order: ListOrder = ListOrder.CREATED_AT,
        descending: bool = True,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[NotificationEvent]:
        """Events, the newest first unless another order is asked for."""
        select = sa.select(_event).where(self._where(filter or EventFilter()))
        select = select.order_by(*order.columns(_event, descending=descending))
        with self._context.database.read() as tx:
            rows = read_page(tx, select, lambda row: row, page=page, page_size=page_size)
            return Page(self._read(tx, rows.items), rows.total_count, page, page_size)

    def test(self, rule_id: str) -> NotificationEvent:
        """Tell the rule's channels of an invoice that never was. Raises NotFound."""

        def act(tx: Transaction) -> NotificationEvent:
            now = self._context.clock.now()
            event_id, at = self._context.new_id(now), to_micros(now)
            mine = sa.and_(_rule.c.id == rule_id, _rule.c.namespace == self._namespace, _rule.c.deleted_at.is_(None))
            rule = tx.first(sa.select(_rule).where(mine))
            if rule is None:
                raise NotFound("notification rule", rule_id, self._namespace)
            values = {"id": event_id, "namespace": self._namespace, "rule_id": rule_id, "type": rule.type}
            tx.execute(sa.insert(_event).values(**values, created_at=at))
            channels = _channels_of(tx, rule_id)
            tx.insert_many(
                INSERT_DELIVERY, [first_delivery(event_id, id, at, disabled=bool(off)) for id, off in channels]
            )
            self._wake(tx, [id for id, off in channels if not off], at)
            return self._read(tx, [self._row(tx, event_id)])[0]

        return self._context.database.write(act)

    def resend(self, event_id: str, channel_ids: Sequence[str] = ()) -> None:
        """Send the event once more, to all its channels or to those named. A receiver sees the id that it had before.

        Raises NotFound, and InvalidInput for a channel that the event did not go to, or that is disabled.
        """

        def act(tx: Transaction) -> None:
            self._row(tx, event_id)
            wanted = self._resendable(tx, event_id, channel_ids)
            at = to_micros(self._context.clock.now())
            values = {
                "state": DeliveryState.RESENDING.value,
                "reason": ASKED_FOR,
                "tries": 0,
                "due": at,
                "updated_at": at,
            }
            tx.execute(
                sa.update(_delivery)
                .where(_delivery.c.event_id == event_id, _delivery.c.channel_id.in_(wanted))
                .where(_delivery.c.state.in_(SENT_ONCE))
                .values(**values, version=_delivery.c.version + 1)
            )
            self._wake(tx, wanted, at)

        self._context.database.write(act)

    def _resendable(self, tx: Transaction, event_id: str, channel_ids: Sequence[str]) -> Sequence[str]:
        channels = (
            sa.select(_channel.c.id, _channel.c.disabled, _channel.c.deleted_at)
            .join(_delivery, _delivery.c.channel_id == _channel.c.id)
            .where(_delivery.c.event_id == event_id)
            .order_by(_channel.c.id)
        )
        rows = tx.all(needed(channels, _channel))
        closed = {row.id for row in rows if row.disabled or row.deleted_at is not None}
        wanted = list(dict.fromkeys(channel_ids)) or [row.id for row in rows]
        strangers = [id for id in wanted if id not in {row.id for row in rows}]
        if strangers:
            raise _invalid(
                "channel_unknown", f"Event {event_id} did not go to channel {', '.join(strangers)}. Leave it out."
            )
        if closed.intersection(wanted):
            names = ", ".join(sorted(closed.intersection(wanted)))
            raise _invalid("channel_disabled", f"Nothing is sent to channel {names}. Enable it first, or leave it out.")
        return wanted

    def _wake(self, tx: Transaction, channel_ids: Sequence[str], at: int) -> None:
        tx.update_many(WAKE_LANE, [(channel_id, at) for channel_id in channel_ids])
        tx.after_commit(self._context.notice_wakeups.wake)

    def _where(self, wanted: EventFilter) -> sa.ColumnElement[bool]:
        conditions = [_event.c.namespace == self._namespace]
        if wanted.since is not None:
            conditions.append(_event.c.created_at >= to_micros(wanted.since))
        if wanted.until is not None:
            conditions.append(_event.c.created_at <= to_micros(wanted.until))
        if wanted.rule_ids:
            conditions.append(_event.c.rule_id.in_(wanted.rule_ids))
        if wanted.channel_ids:
            told = sa.select(_delivery.c.event_id).where(_delivery.c.channel_id.in_(wanted.channel_ids))
            conditions.append(_event.c.id.in_(told))
        return sa.and_(*conditions)

    def _row(self, tx: Transaction, event_id: str) -> Any:
        row = tx.first(sa.select(_event).where(_event.c.id == event_id, _event.c.namespace == self._namespace))
        if row is None:
            raise NotFound("notification event", event_id, self._namespace)
        return row

    def _read(self, tx: Transaction, rows: Sequence[Any]) -> tuple[NotificationEvent, ...]:
        ids = [row.id for row in rows]
        rules = read_rules(tx, tx.all(sa.select(_rule).where(_rule.c.id.in_({row.rule_id for row in rows}))))
        deliveries = _deliveries(tx, ids)
        told = snapshots_of(self._context, tx, rows)
        return tuple(
            NotificationEvent(
                id=row.id,
                namespace=row.namespace,
                type=EventType(row.type),
                created_at=from_micros(row.created_at),
                rule=rules[row.rule_id],
                deliveries=tuple(deliveries[row.id]),
                snapshot=told[row.id],
                is_test=row.document_id is None,
            )
            for row in rows
        )


def snapshots_of(context: Context, tx: Transaction, rows: Iterable[Any]) -> Mapping[str, InvoiceSnapshot]:
    """What these events tell of, by event id."""
    listed = list(rows)
    moments = {row.id: moment_of(row) for row in listed if row.document_id is not None}
    found = snapshots(context, tx, moments.values())
    tests = {row.id: sample(row.id, row.namespace, row.created_at) for row in listed if row.document_id is None}
    return {id: found[moment] for id, moment in moments.items()} | tests


def moment_of(row: Any) -> Moment:
    """The point in an invoice's life that an event's row tells of."""
    return Moment(row.namespace, row.document_id, row.version, row.hop, row.link)


def _channels_of(tx: Transaction, rule_id: str) -> Sequence[tuple[str, int]]:
    channels = (
        sa.select(_channel.c.id, _channel.c.disabled)
        .join(_subscription, _subscription.c.channel_id == _channel.c.id)
        .where(_subscription.c.rule_id == rule_id, _channel.c.deleted_at.is_(None))
        .order_by(_subscription.c.place)
    )
    return [(row.id, row.disabled) for row in tx.all(needed(channels, _channel))]


def _deliveries(tx: Transaction, event_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]:
    attempts: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    rows = tx.all(sa.select(_attempt).where(_attempt.c.event_id.in_(event_ids)).order_by(_attempt.c.ordinal))
    for row in rows:
        attempts[row.event_id, row.channel_id].append(_read_attempt(row))
    found: dict[str, list[Delivery]] = defaultdict(list)
    rows = tx.all(sa.select(_delivery).where(_delivery.c.event_id.in_(event_ids)).order_by(_delivery.c.channel_id))
    for row in rows:
        found[row.event_id].append(_read_delivery(row, attempts[row.event_id, row.channel_id]))
    return found


def _read_delivery(row: Any, attempts: Sequence[Attempt]) -> Delivery:
    return Delivery(
        channel_id=row.channel_id,
        state=DeliveryState(row.state),
        reason=row.reason,
        updated_at=from_micros(row.updated_at),
        next_attempt_at=maybe_from_micros(row.due),
        attempts=tuple(attempts),
    )


def _read_attempt(row: Any) -> Attempt:
    return Attempt(
        at=from_micros(row.at),
        state=DeliveryState(row.state),
        status_code=row.status_code,
        body=row.body,
        duration_ms=row.duration_ms,
        url=row.url,
    )


def _invalid(code: str, message: str) -> InvalidInput:
    return InvalidInput(code, message, "/channels")
