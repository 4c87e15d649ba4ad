"""The notification rules of one namespace: which events go to which channels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from billhook.domain.parsing import parse
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.locks import hold
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.notifications.channels import LOCK, NOTHING
from billhook.engine.notifications.kinds import EventType, ListOrder
from billhook.engine.notifications.records import Rule
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import UNCHANGED, Page, Unchanged
from billhook.engine.stored import dump
from billhook.errors import Conflict, InvalidInput, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

MOST_CHANNELS = 5
MOST_RULES_OF_A_CHANNEL = 10

_channel, _rule, _subscription = (
    schema.notification_channel,
    schema.notification_rule,
    schema.notification_subscription,
)


@checked
class RuleCommands:
    """The rules of one namespace. A rule tells of what happens while it is in force, and of nothing before."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def create(
        self,
        type: EventType | str,
        name: str,
        channel_ids: Sequence[str],
        *,
        disabled: bool = False,
        metadata: Mapping[str, str] = NOTHING,
    ) -> Rule:
        """A new rule. Raises InvalidInput for channels that are not there, too many of them, or one that serves too many rules."""
        now = self._context.clock.now()
        rule = parse(
            Rule,
            {
                "id": self._context.new_id(now),
                "namespace": self._namespace,
                "type": type,
                "name": name,
                "disabled": disabled,
                "channel_ids": channel_ids,
                "metadata": metadata,
                "created_at": now,
                "updated_at": now,
            },
        )
        self._context.database.write(lambda tx: self._insert(tx, rule))
        return rule

    def get(self, rule_id: str) -> Rule:
        """The rule, deleted ones too. Raises NotFound."""
        with self._context.database.read() as tx:
            return read_rules(tx, [self._row(tx, rule_id)])[rule_id]

    def list(
        self,
        *,
        channel_ids: Sequence[str] = (),
        include_deleted: bool = False,
        include_disabled: bool = True,
        order: ListOrder = ListOrder.ID,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Rule]:
        """The rules, of all channels or of those that are named, in the order in which they were made unless another is asked for."""
        select = sa.select(_rule).where(_rule.c.namespace == self._namespace)
        if channel_ids:
            named = sa.select(_subscription.c.rule_id).where(_subscription.c.channel_id.in_(channel_ids))
            select = select.where(_rule.c.id.in_(named))
        if not include_deleted:
            select = select.where(_rule.c.deleted_at.is_(None))
        if not include_disabled:
            select = select.where(_rule.c.disabled == 0)
        select = select.order_by(*order.columns(_rule, descending=descending))
        with self._context.database.read() as tx:
            rows = read_page(tx, select, lambda row: row, page=page, page_size=page_size)
            rules = read_rules(tx, rows.items)
        return Page(tuple(rules[row.id] for row in rows.items), rows.total_count, page, page_size)

    def update(
        self,
        rule_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        channel_ids: Sequence[str] | Unchanged = UNCHANGED,
        disabled: bool | Unchanged = UNCHANGED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
    ) -> Rule:
        """Change what is given. Raises Conflict with code ``notification_rule_deleted``, NotFound, InvalidInput."""
        stated = {"name": name, "channel_ids": channel_ids, "disabled": disabled, "metadata": metadata}
        changes = {field: value for field, value in stated.items() if value is not UNCHANGED}
        return self._context.database.write(lambda tx: self._update(tx, rule_id, changes))

    def delete(self, rule_id: str) -> None:
        """Tell nothing more by that rule; it stays readable by id. Doing it twice is fine."""
        now = to_micros(self._context.clock.now())

        def act(tx: Transaction) -> None:
            if self._row(tx, rule_id).deleted_at is None:
                tx.execute(sa.update(_rule).where(_rule.c.id == rule_id).values(deleted_at=now, updated_at=now))

        self._context.database.write(act)

    def _insert(self, tx: Transaction, rule: Rule) -> None:
        hold(tx, self._namespace, LOCK)
        tx.execute(sa.insert(_rule).values(_values(rule)))
        self._subscribe(tx, rule)

    def _update(self, tx: Transaction, rule_id: str, changes: Mapping[str, Any]) -> Rule:
        hold(tx, self._namespace, LOCK)
        row = self._row(tx, rule_id)
        if row.deleted_at is not None:
            raise Conflict(
                f"The notification rule {rule_id} is deleted. Create another one.", "notification_rule_deleted"
            )
        before = read_rules(tx, [row])[rule_id]
        rule = parse(Rule, {**dict(before), **changes, "updated_at": self._context.clock.now()})
        tx.execute(sa.update(_rule).where(_rule.c.id == rule_id).values(_values(rule)))
        if rule.channel_ids != before.channel_ids:
            tx.execute(sa.delete(_subscription).where(_subscription.c.rule_id == rule_id))
            self._subscribe(tx, rule)
        return rule

    def _subscribe(self, tx: Transaction, rule: Rule) -> None:
        self._check_channels(tx, rule.channel_ids)
        rows = [
            {"rule_id": rule.id, "channel_id": channel_id, "place": place}
            for place, channel_id in enumerate(rule.channel_ids)
        ]
        tx.execute(sa.insert(_subscription).values(rows))

    def _check_channels(self, tx: Transaction, channel_ids: Sequence[str]) -> None:
        if not 1 <= len(channel_ids) <= MOST_CHANNELS or len(set(channel_ids)) < len(channel_ids):
            raise _invalid("channels_invalid", f"A rule names 1 to {MOST_CHANNELS} channels, each once.")
        mine = sa.and_(_channel.c.namespace == self._namespace, _channel.c.deleted_at.is_(None))
        known = {row.id for row in tx.all(sa.select(_channel.c.id).where(mine, _channel.c.id.in_(channel_ids)))}
        missing = [channel_id for channel_id in channel_ids if channel_id not in known]
        if missing:
            raise _invalid(
                "channel_unknown", f"There is no notification channel {', '.join(missing)}. Create it first."
            )
        full = _busiest(tx, channel_ids)
        if full is not None:
            raise _invalid(
                "channel_rules_exceeded",
                f"The notification channel {full} serves {MOST_RULES_OF_A_CHANNEL} rules already, and no more fit. Create another one.",
            )

    def _row(self, tx: Transaction, rule_id: str) -> Any:
        row = tx.first(sa.select(_rule).where(_rule.c.id == rule_id, _rule.c.namespace == self._namespace))
        if row is None:
            raise NotFound("notification rule", rule_id, self._namespace)
        return row


def read_rules(tx: Transaction, rows: Iterable[Any]) -> dict[str, Rule]:
    """The rules of these rows by id, with their channels."""
    found = {row.id: row for row in rows}
    columns = ("rule_id", "place", "channel_id")
    channel_ids: dict[str, list[str]] = {rule_id: [] for rule_id in found}
    for rule_id, _, channel_id in sorted(tx.select_in(_subscription, columns, "rule_id", list(found))):
        channel_ids[rule_id].append(channel_id)
    return {rule_id: _read(row, channel_ids[rule_id]) for rule_id, row in found.items()}


def _busiest(tx: Transaction, channel_ids: Sequence[str]) -> str | None:
    """One of these channels that serves too many rules."""
    found = tx.scalar(
        sa.select(_subscription.c.channel_id)
        .join(_rule, _rule.c.id == _subscription.c.rule_id)
        .where(_subscription.c.channel_id.in_(channel_ids), _rule.c.deleted_at.is_(None))
        .group_by(_subscription.c.channel_id)
        .having(sa.func.count() >= MOST_RULES_OF_A_CHANNEL)
        .limit(1)
    )
    return None if found is None else str(found)


def _invalid(code: str, message: str) -> InvalidInput:
    return InvalidInput(code, message, "/channels")


def _read(row: Any, channel_ids: Sequence[str]) -> Rule:
    return Rule(
        id=row.id,
        namespace=row.namespace,
        type=EventType(row.type),
        name=row.name,
        disabled=bool(row.disabled),
        channel_ids=tuple(channel_ids),
        metadata=json.loads(row.metadata),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        deleted_at=maybe_from_micros(row.deleted_at),
    )


def _values(rule: Rule) -> dict[str, Any]:
    return {
        **rule.model_dump(include={"id", "namespace", "name"}),
        "type": rule.type.value,
        "disabled": int(rule.disabled),
        "metadata": dump(rule.metadata),
        "created_at": to_micros(rule.created_at),
        "updated_at": to_micros(rule.updated_at),
    }
