"""What is to be sent next in a lane: read in one go for several lanes, with each invoice rendered once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from billhook.engine.context import Context
from billhook.engine.credentials import Credential, Credentials
from billhook.engine.moments import from_micros, to_micros
from billhook.engine.notifications.channels import read_channel
from billhook.engine.notifications.events import moment_of, snapshots_of
from billhook.engine.notifications.records import Channel, InvoiceSnapshot
from billhook.engine.notifications.requests import envelope
from billhook.engine.telling import told
from billhook.errors import CredentialKeyError
from billhook.store import schema
from billhook.store.transaction import Transaction

_channel, _delivery, _event = schema.notification_channel, schema.notification_delivery, schema.notification_event

Render = Callable[[InvoiceSnapshot], bytes]
"""The JSON of an invoice, as receivers read it."""


@dataclass(frozen=True, slots=True)
class Due:
    """One event to be sent to one channel, or the ``problem`` that keeps it from being sent.

    ``subject`` is what it tells of; ``version`` is that of its row; ``tries`` counts the tries before this one.
    """

    event_id: str
    channel_id: str
    subject: str
    version: int
    tries: int
    channel: Channel | None = None
    body: bytes = b""
    problem: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Which delivery it is."""
        return (self.event_id, self.channel_id)


class Outgoing:
    """Reads what is due. What can't be made ready is told in its place: one bad channel or event keeps nobody else waiting."""

    def __init__(self, context: Context, credentials: Credentials, render: Render) -> None:
        self._context = context
        self._credentials = credentials
        self._render = render

    def read(self, channel_ids: Iterable[str], at_most: int, known: Mapping[str, Collection[str]]) -> list[Due]:
        """For each of these channels up to so many deliveries that are due, the earliest first; the events known there are left out."""
        now = to_micros(self._context.clock.now())
        with self._context.database.read() as tx:
            rows = [(id, row) for id in channel_ids for row in _rows(tx, id, now, at_most, known.get(id, ()))]
            channels = self._channels(tx, {id for id, _ in rows})
            bodies = self._bodies(tx, {row.id: row for _, row in rows}.values())
        return [self._due(row, id, channels[id], bodies[row.id]) for id, row in rows]

    def _due(self, row: Any, channel_id: str, channel: Channel | str, body: bytes | str) -> Due:
        due = Due(row.id, channel_id, row.document_id or row.id, row.delivery_version, row.tries)
        if isinstance(channel, str):
            return replace(due, problem=channel)
        if isinstance(body, str):
            return replace(due, channel=channel, problem=body)
        return replace(due, channel=channel, body=body)

    def _channels(self, tx: Transaction, ids: Iterable[str]) -> dict[str, Channel | str]:
        wanted = sorted(ids)
        secrets = self._credentials.load_each(tx, wanted)
        rows = tx.all(sa.select(_channel).where(_channel.c.id.in_(wanted)))
        return {row.id: self._channel(row, secrets[row.id]) for row in rows}

    def _channel(self, row: Any, secrets: Credential | CredentialKeyError) -> Channel | str:
        if isinstance(secrets, CredentialKeyError):
            return self._fault("The secrets of a notification channel can't be read.", row.id, secrets)
        return read_channel(row, secrets)

    def _bodies(self, tx: Transaction, events: Iterable[Any]) -> dict[str, bytes | str]:
        listed = list(events)
        moments = snapshots_of(self._context, tx, listed)
        rendered: dict[Any, bytes | str] = {}
        bodies: dict[str, bytes | str] = {}
        for row in listed:
            moment = moment_of(row) if row.document_id is not None else row.id
            if moment not in rendered:
                rendered[moment] = self._rendered(row.id, moments[row.id])
            bodies[row.id] = _enveloped(row, rendered[moment])
        return bodies

    def _rendered(self, event_id: str, snapshot: InvoiceSnapshot) -> bytes | str:
        try:
            return self._render(snapshot)
        except Exception as error:  # noqa: BLE001 - told where the delivery stands; others go on
            return self._fault("A notification can't be rendered.", event_id, error)

    def _fault(self, message: str, id: str, error: Exception) -> str:
        self._context.telemetry.log(logging.ERROR, message, {"id": id, "reason": told(error)})
        return message


def _enveloped(event: Any, data: bytes | str) -> bytes | str:
    if isinstance(data, str):
        return data
    return envelope(event.id, event.type, from_micros(event.created_at), data)


def _rows(tx: Transaction, channel_id: str, now: int, at_most: int, known: Collection[str]) -> list[Any]:
    rows = tx.all(_DUE, {"channel": channel_id, "now": now, "most": at_most + len(known)})
    return [row for row in rows if row.id not in known][:at_most]


_DUE = (
    sa.select(_event, _delivery.c.version.label("delivery_version"), _delivery.c.tries)
    .join(_event, _event.c.id == _delivery.c.event_id)
    .where(_delivery.c.channel_id == sa.bindparam("channel"), _delivery.c.due <= sa.bindparam("now"))
    .order_by(_delivery.c.due, _delivery.c.event_id)
    .limit(sa.bindparam("most"))
)
