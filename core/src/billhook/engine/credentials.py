"""Secrets of apps, in rows of their own: several apps may share one grant. Nothing here prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from billhook.clock import Clock
from billhook.engine.moments import to_micros
from billhook.errors import ConfigError, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_table = schema.credential
_BY_ID = _table.c.id == sa.bindparam("credential_id")
_LOAD = sa.select(_table.c.version, _table.c.data).where(_BY_ID)


@dataclass(frozen=True, slots=True)
class Credential:
    """Secrets as they were given, and which version of them."""

    version: int
    secrets: dict[str, Any] = field(repr=False)


class Credentials:
    """The credential rows. Every change counts a row's version up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def save(self, tx: Transaction, id: str, namespace: str, provider: str, raw: Mapping[str, Any]) -> None:
        """Keep new secrets under that id, as version 1."""
        row = {"id": id, "namespace": namespace, "provider": provider, "version": 1, **self._sealed(raw)}
        tx.execute(sa.insert(_table).values(row))

    def load(self, tx: Transaction, id: str) -> Credential:
        """The secrets and their version. Raises NotFound."""
        row = tx.first(_LOAD, {"credential_id": id})
        if row is None:
            raise NotFound("credential", id)
        return Credential(row.version, json.loads(unseal(row.data)))

    def replace(self, tx: Transaction, id: str, raw: Mapping[str, Any]) -> None:
        """Put other secrets in their place, whatever version they have."""
        values = {"version": _table.c.version + 1, **self._sealed(raw)}
        tx.execute(sa.update(_table).where(_table.c.id == id).values(values))

    def swap(self, tx: Transaction, id: str, expected_version: int, raw: Mapping[str, Any]) -> bool:
        """Put other secrets in their place if they still have that version. False when somebody else was first."""
        still_expected = sa.and_(_table.c.id == id, _table.c.version == expected_version)
        values = {"version": expected_version + 1, **self._sealed(raw)}
        return tx.execute(sa.update(_table).where(still_expected).values(values)).rowcount == 1

    def forget(self, tx: Transaction, id: str) -> None:
        """Remove the secrets."""
        tx.execute(sa.delete(_table).where(_table.c.id == id))

    def _sealed(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(dict(raw), separators=(",", ":"), ensure_ascii=False, default=_plain).encode()
        return {"data": seal(body), "updated_at": to_micros(self._clock.now())}


def seal(secrets: bytes) -> bytes:
    """The form in which secrets are stored."""
    return secrets


def unseal(stored: bytes) -> bytes:
    """The secrets that ``seal`` made storable."""
    return stored


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise ConfigError(f"Credentials hold plain JSON values, not a {type(value).__name__}. Give its text.")
