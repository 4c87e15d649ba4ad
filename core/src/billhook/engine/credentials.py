"""Secrets of apps and of notification channels, encrypted, in rows of their own: several apps may share one grant. Nothing here prints them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from billhook.clock import Clock
from billhook.engine.credential_keys import CredentialKeys, KeyRing
from billhook.engine.locks import to_change
from billhook.engine.moments import from_micros, maybe_from_micros, maybe_micros, to_micros
from billhook.errors import ConfigError, CredentialKeyError, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_table = schema.credential
_BY_ID = _table.c.id == sa.bindparam("credential_id")
_LOAD = sa.select(_table).where(_BY_ID)
_UNLOCKED = {"lock_owner": None, "lock_until": None}


@dataclass(frozen=True, slots=True)
class Credential:
    """Secrets as they were given, and which version of them."""

    version: int
    secrets: dict[str, Any] = field(repr=False)
    stored_at: datetime
    expires_at: datetime | None = None

    def renew_at(self, before: timedelta, unused: timedelta) -> datetime | None:
        """When to ask for new ones: so long before they expire, but not before three quarters of their life are over; ``unused`` after they
        were stored in any case. None: they are good without end.
        """
        if self.expires_at is None:
            return None
        in_time = self.expires_at - min(before, (self.expires_at - self.stored_at) / 4)
        return min(in_time, self.stored_at + unused)


@dataclass(frozen=True, slots=True)
class Locked:
    """Somebody else is getting new secrets for old ones."""


class Credentials:
    """The credential rows. Every change of the secrets counts a row's version up."""

    def __init__(self, clock: Clock, keys: CredentialKeys) -> None:
        self._clock = clock
        self._keys = keys

    def save(
        self,
        tx: Transaction,
        id: str,
        namespace: str,
        provider: str,
        raw: Mapping[str, Any],
        expires_at: datetime | None = None,
    ) -> None:
        """Keep new secrets under that id, as version 1. Raises CredentialKeyError when there is nothing to encrypt them with."""
        row = {"id": id, "namespace": namespace, "provider": provider, "version": 1}
        tx.execute(sa.insert(_table).values({**row, **self._sealed(tx, id, raw, expires_at)}))

    def load(self, tx: Transaction, id: str) -> Credential:
        """The secrets and their version. Raises NotFound, or CredentialKeyError when no key fits."""
        row = tx.first(_LOAD, {"credential_id": id})
        if row is None:
            raise NotFound("credential", id)
        return self._read(row)

    def hold(self, tx: Transaction, id: str) -> Credential:
        """As ``load``, and nobody changes them before the transaction ends."""
        row = tx.first(_LOAD.with_for_update(), {"credential_id": id})
        if row is None:
            raise NotFound("credential", id)
        return self._read(row)

    def load_many(self, tx: Transaction, ids: Sequence[str]) -> dict[str, Credential]:
        """The secrets of these ids; those that are not there are left out. Raises CredentialKeyError when no key fits."""
        rows = tx.all(sa.select(_table).where(_table.c.id.in_(ids)))
        return {row.id: self._read(row) for row in rows}

    def load_each(self, tx: Transaction, ids: Sequence[str]) -> dict[str, Credential | CredentialKeyError]:
        """As ``load_many``, with what is wrong in the place of secrets that no key opens."""
        rows = tx.all(sa.select(_table).where(_table.c.id.in_(ids)))
        return {row.id: self._read_if_it_opens(row) for row in rows}

    def version(self, tx: Transaction, id: str) -> int | None:
        """Which version is stored, None when none is. Nobody changes it before the transaction ends."""
        return tx.scalar(to_change(sa.select(_table.c.version).where(_table.c.id == id)))  # type: ignore[no-any-return]

    def replace(self, tx: Transaction, id: str, raw: Mapping[str, Any], expires_at: datetime | None = None) -> None:
        """Put other secrets in their place, whatever version they have. The right to renew them stays with whoever has it."""
        values = {"version": _table.c.version + 1, **self._sealed(tx, id, raw, expires_at)}
        tx.execute(sa.update(_table).where(_table.c.id == id).values(values))

    def swap(
        self,
        tx: Transaction,
        id: str,
        expected_version: int,
        raw: Mapping[str, Any],
        expires_at: datetime | None = None,
    ) -> bool:
        """Put other secrets in their place if they still have that version. False when somebody else was first."""
        still_expected = sa.and_(_table.c.id == id, _table.c.version == expected_version)
        values = {"version": expected_version + 1, **_UNLOCKED, **self._sealed(tx, id, raw, expires_at)}
        return tx.execute(sa.update(_table).where(still_expected).values(values)).rowcount == 1

    def expire(self, tx: Transaction, id: str, version: int) -> None:
        """Note that this version was refused, so that nobody tries it again before it is renewed."""
        refused = sa.and_(_table.c.id == id, _table.c.version == version)
        tx.execute(sa.update(_table).where(refused).values(expires_at=to_micros(self._clock.now())))

    def forget(self, tx: Transaction, id: str) -> None:
        """Remove the secrets."""
        tx.execute(sa.delete(_table).where(_table.c.id == id))

    # One at a time.

    def lock(
        self, tx: Transaction, id: str, version: int, owner: str, until: datetime, is_alive: Callable[[str], bool]
    ) -> Credential | Locked:
        """The right to renew the secrets, as the secrets that have that version; newer ones are given without it.

        Locked while somebody else has it who is alive and not over time. Raises NotFound.
        """
        row = tx.first(_LOAD.with_for_update(), {"credential_id": id})
        if row is None:
            raise NotFound("credential", id)
        if row.version != version:
            return self._read(row)
        now = to_micros(self._clock.now())
        if row.lock_owner is not None and row.lock_until > now and is_alive(row.lock_owner):
            return Locked()
        values = {"lock_owner": owner, "lock_until": to_micros(until)}
        tx.execute(sa.update(_table).where(_table.c.id == id).values(values))
        return self._read(row)

    def unlock(self, tx: Transaction, id: str, owner: str) -> None:
        """Give the right back."""
        mine = sa.and_(_table.c.id == id, _table.c.lock_owner == owner)
        tx.execute(sa.update(_table).where(mine).values(_UNLOCKED))

    # Keys.

    def check_keys(self, tx: Transaction) -> None:
        """Raise CredentialKeyError when none of the secrets that are stored can be decrypted: the keys are those of another database. Where
        some can, the apps of the others are held, each with the reason.
        """
        latest = tx.first(sa.select(_table).order_by(_table.c.updated_at.desc()).limit(1))
        if latest is None:
            return
        refused = self._read_if_it_opens(latest)
        if not isinstance(refused, CredentialKeyError):
            return
        others = (self._read_if_it_opens(row) for row in tx.all(sa.select(_table).where(_table.c.id != latest.id)))
        if all(isinstance(each, CredentialKeyError) for each in others):
            raise refused

    def reseal(self, tx: Transaction) -> tuple[int, int]:
        """Encrypt with the first key whatever another one encrypted. Versions stay. Returns how many there are and how many were changed."""
        rows = tx.all(sa.select(_table).with_for_update())
        ring = self._ring(tx)
        outdated = [row for row in rows if not ring.is_current(row.data)]
        for row in outdated:
            values = {"data": ring.seal(_with_id(row.id, self._unsealed(row)))}
            tx.execute(sa.update(_table).where(_table.c.id == row.id).values(values))
        return len(rows), len(outdated)

    def _ring(self, tx: Transaction) -> KeyRing:
        ring = self._keys.ring
        if ring is not None:
            return ring
        if tx.first(sa.select(_table.c.id).limit(1)) is not None:
            raise CredentialKeyError(self._keys.missing)
        return self._keys.make()

    def _sealed(self, tx: Transaction, id: str, raw: Mapping[str, Any], expires_at: datetime | None) -> dict[str, Any]:
        return {
            "data": self._ring(tx).seal(_with_id(id, raw)),
            "updated_at": to_micros(self._clock.now()),
            "expires_at": maybe_micros(expires_at),
        }

    def _read(self, row: Any) -> Credential:
        expires_at = maybe_from_micros(row.expires_at)
        return Credential(row.version, self._unsealed(row), from_micros(row.updated_at), expires_at)

    def _read_if_it_opens(self, row: Any) -> Credential | CredentialKeyError:
        try:
            return self._read(row)
        except CredentialKeyError as error:
            return error

    def _unsealed(self, row: Any) -> dict[str, Any]:
        ring = self._keys.ring
        if ring is None:
            raise CredentialKeyError(self._keys.missing)
        opened = ring.unseal(bytes(row.data))
        # A row that was copied over another one would let one tenant act with another's secrets.
        kept = json.loads(opened) if opened is not None else {}
        if kept.get("id") != row.id:
            raise CredentialKeyError(
                f"The credential {row.id} of a {row.provider} app in namespace {row.namespace!r} can't be decrypted with the keys of "
                f"{ring.source}. Add the key that it was encrypted with behind the first, or set these credentials again."
            )
        return kept["secrets"]  # type: ignore[no-any-return]


def _with_id(id: str, secrets: Mapping[str, Any]) -> bytes:
    whole = {"id": id, "secrets": dict(secrets)}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False, default=_plain).encode()


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise ConfigError(f"Credentials hold plain JSON values, not a {type(value).__name__}. Give its text.")
