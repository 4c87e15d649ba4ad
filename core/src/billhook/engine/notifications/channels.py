"""The notification channels of one namespace: webhooks, each with a signing secret of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from billhook.domain.parsing import parse
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.credentials import Credential, Credentials
from billhook.engine.locks import Lasting, as_seen, hold, to_end
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.notifications.deliveries import CHANNEL_DELETED, CHANNEL_DISABLED, give_up
from billhook.engine.notifications.kinds import ListOrder
from billhook.engine.notifications.records import Channel
from billhook.engine.notifications.signing import new_secret
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import UNCHANGED, Page, Unchanged
from billhook.engine.stored import dump
from billhook.errors import Conflict, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_channel, _lane = schema.notification_channel, schema.notification_lane
_rule, _subscription = schema.notification_rule, schema.notification_subscription

LOCK = "notifications"
"""Channels and rules of a namespace are changed one after the other: each looks at the other."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@checked
class ChannelCommands:
    """The channels of one namespace."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace
        self._credentials = Credentials(context.clock, context.credential_keys)

    def create(
        self,
        name: str,
        url: str,
        *,
        disabled: bool = False,
        signing_secret: str | None = None,
        custom_headers: Mapping[str, str] = NOTHING,
        metadata: Mapping[str, str] = NOTHING,
    ) -> Channel:
        """A new channel, with a fresh signing secret where none is given.

        Raises InvalidInput, which shows no secret; for a URL that may not be notified its code is ``webhook_url_invalid``.
        """
        now = self._context.clock.now()
        channel = parse(
            Channel,
            {
                "id": self._context.new_id(now),
                "namespace": self._namespace,
                "name": name,
                "url": self._context.targets.check(url),
                "disabled": disabled,
                "signing_secret": signing_secret or new_secret(self._context.randomness),
                "custom_headers": custom_headers,
                "metadata": metadata,
                "created_at": now,
                "updated_at": now,
            },
        )
        self._context.database.write(lambda tx: self._insert(tx, channel))
        return channel

    def get(self, channel_id: str) -> Channel:
        """The channel, deleted ones too. Raises NotFound."""
        with self._context.database.read() as tx:
            return self._channels(tx, [self._row(tx, channel_id)])[0]

    def list(
        self,
        *,
        include_deleted: bool = False,
        include_disabled: bool = True,
        order: ListOrder = ListOrder.ID,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Channel]:
        """The channels, in the order in which they were made unless another is asked for."""
        select = sa.select(_channel).where(_channel.c.namespace == self._namespace)
        if not include_deleted:
            select = select.where(_channel.c.deleted_at.is_(None))
        if not include_disabled:
            select = select.where(_channel.c.disabled == 0)
        select = select.order_by(*order.columns(_channel, descending=descending))
        with self._context.database.read() as tx:
            rows = read_page(tx, select, lambda row: row, page=page, page_size=page_size)
            return Page(self._channels(tx, rows.items), rows.total_count, page, page_size)

    def update(
        self,
        channel_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        url: str | Unchanged = UNCHANGED,
        disabled: bool | Unchanged = UNCHANGED,
        signing_secret: str | Unchanged = UNCHANGED,
        custom_headers: Mapping[str, str] | Unchanged = UNCHANGED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
    ) -> Channel:
        """Change what is given. Disabling ends what is on its way; enabling again sends what comes from then on.

        Raises Conflict with code ``notification_channel_deleted``, NotFound, InvalidInput.
        """
        stated = {
            "name": name,
            "url": url if url is UNCHANGED else self._context.targets.check(url),
            "disabled": disabled,
            "signing_secret": signing_secret,
            "custom_headers": custom_headers,
            "metadata": metadata,
        }
        changes = {field: value for field, value in stated.items() if value is not UNCHANGED}
        return self._context.database.write(lambda tx: self._update(tx, channel_id, changes))

    def delete(self, channel_id: str) -> None:
        """Delete the channel; it stays readable by id. Doing it twice is fine.

        Raises NotAllowed with code ``notification_channel_in_use`` while a rule names it.
        """
        self._context.database.write(lambda tx: self._delete(tx, channel_id))

    def _insert(self, tx: Transaction, channel: Channel) -> None:
        tx.execute(sa.insert(_channel).values(_values(channel)))
        tx.execute(sa.insert(_lane).values(channel_id=channel.id))
        self._credentials.save(tx, channel.id, self._namespace, "webhook", _secrets(channel))

    def _update(self, tx: Transaction, channel_id: str, changes: Mapping[str, Any]) -> Channel:
        hold(tx, self._namespace, LOCK)
        before = self._alive(tx, channel_id)
        now = self._context.clock.now()
        # Whoever changes a channel has seen why we stopped sending.
        changed = parse(Channel, {**dict(before), **changes, "disabled_reason": None, "updated_at": now})
        if changed.disabled and before.disabled:
            changed = changed.model_copy(update={"disabled_reason": before.disabled_reason})
        tx.execute(sa.update(_channel).where(_channel.c.id == channel_id).values(_values(changed)))
        if _secrets(changed) != _secrets(before):
            self._credentials.replace(tx, channel_id, _secrets(changed))
        if changed.disabled:
            give_up(tx, channel_id, CHANNEL_DISABLED, to_micros(now))
        elif before.disabled:
            tx.execute(sa.update(_lane).where(_lane.c.channel_id == channel_id).values(failing_since=None))
        return changed

    def _delete(self, tx: Transaction, channel_id: str) -> None:
        hold(tx, self._namespace, LOCK)
        if self._row(tx, channel_id, to_end).deleted_at is not None:
            return
        rule_id = tx.scalar(
            sa.select(_rule.c.id)
            .join(_subscription, _subscription.c.rule_id == _rule.c.id)
            .where(_subscription.c.channel_id == channel_id, _rule.c.deleted_at.is_(None))
            .limit(1)
        )
        if rule_id is not None:
            raise NotAllowed(
                f"The notification channel {channel_id} can't be deleted: rule {rule_id} names it. "
                "Delete or change the rules that name it first.",
                "notification_channel_in_use",
            )
        now = to_micros(self._context.clock.now())
        give_up(tx, channel_id, CHANNEL_DELETED, now)
        tx.execute(sa.update(_channel).where(_channel.c.id == channel_id).values(deleted_at=now, updated_at=now))

    def _alive(self, tx: Transaction, channel_id: str) -> Channel:
        row = self._row(tx, channel_id, to_end)
        if row.deleted_at is not None:
            raise Conflict(
                f"The notification channel {channel_id} is deleted. Create another one.", "notification_channel_deleted"
            )
        return self._channels(tx, [row])[0]

    def _row(self, tx: Transaction, channel_id: str, lasting: Lasting = as_seen) -> Any:
        mine = sa.and_(_channel.c.id == channel_id, _channel.c.namespace == self._namespace)
        row = tx.first(lasting(sa.select(_channel).where(mine)))
        if row is None:
            raise NotFound("notification channel", channel_id, self._namespace)
        return row

    def _channels(self, tx: Transaction, rows: Sequence[Any]) -> tuple[Channel, ...]:
        secrets = self._credentials.load_many(tx, [row.id for row in rows])
        return tuple(read_channel(row, secrets[row.id]) for row in rows)


def read_channel(row: Any, credential: Credential) -> Channel:
    """The channel of a row, with its secrets."""
    return Channel(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        url=row.url,
        disabled=bool(row.disabled),
        disabled_reason=row.disabled_reason,
        signing_secret=SecretStr(credential.secrets["signing_secret"]),
        custom_headers=credential.secrets["custom_headers"],
        metadata=json.loads(row.metadata),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        deleted_at=maybe_from_micros(row.deleted_at),
    )


def _values(channel: Channel) -> dict[str, Any]:
    return {
        **channel.model_dump(include={"id", "namespace", "name", "url", "disabled_reason"}),
        "disabled": int(channel.disabled),
        "metadata": dump(channel.metadata),
        "created_at": to_micros(channel.created_at),
        "updated_at": to_micros(channel.updated_at),
    }


def _secrets(channel: Channel) -> dict[str, Any]:
    return {
        "signing_secret": channel.signing_secret.get_secret_value(),
        "custom_headers": dict(channel.custom_headers),
    }
