"""Tokens that let callers in over a network: each belongs to one namespace and has one role. Only their digests are stored."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from billhook.domain.base import Key, Value
from billhook.domain.ids import Ulid, is_ulid
from billhook.domain.parsing import parse
from billhook.domain.period import UtcDatetime
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.records import ShortName
from billhook.errors import NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

PREFIX = "bh_"
SECRET_BYTES = 32
REMEMBERED_FOR = timedelta(seconds=10)
"""For so long a caller is let in without a look at the database; another process sees a revocation this much later."""
MOST_REMEMBERED = 4096

_token = schema.api_token


class Role(StrEnum):
    """What a caller may do. Each role may do what those before it may."""

    READ = "read"
    INTEGRATE = "integrate"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what needs that one."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Mapping[Role, int] = {role: rank for rank, role in enumerate(Role)}


class ApiToken(Value):
    """A token as it is listed. The token itself can't be shown again."""

    id: Ulid
    namespace: Key
    role: Role
    name: ShortName | None = None
    created_at: UtcDatetime
    revoked_at: UtcDatetime | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made. ``token`` is shown this once."""

    record: ApiToken
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: in which namespace, and what they may do there."""

    namespace: str
    role: Role
    token_id: str


@checked
class Tokens:
    """The tokens of every namespace. Safe between threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._remembered: dict[bytes, tuple[Caller, datetime]] = {}

    def create(self, namespace: str, role: Role | str, *, name: str | None = None) -> NewToken:
        """A token for that namespace. Keep it: it is stored nowhere. Raises InvalidInput."""
        now = self._context.clock.now()
        record = parse(
            ApiToken,
            {"id": self._context.new_id(now), "namespace": namespace, "role": role, "name": name, "created_at": now},
        )
        secret = urlsafe_b64encode(self._context.randomness(SECRET_BYTES)).rstrip(b"=").decode()
        token = f"{PREFIX}{record.id}_{secret}"
        row = {
            "id": record.id,
            "namespace": record.namespace,
            "role": record.role.value,
            "name": record.name,
            "digest": _digest(token).hex(),
            "created_at": to_micros(record.created_at),
        }
        self._context.database.write(lambda tx: tx.execute(sa.insert(_token).values(**row)))
        return NewToken(record, token)

    def list(self, namespace: str) -> tuple[ApiToken, ...]:
        """Every token of the namespace, revoked ones too, the oldest first."""
        select = sa.select(_token).where(_token.c.namespace == namespace).order_by(_token.c.id)
        with self._context.database.read() as tx:
            return tuple(_record(row) for row in tx.all(select))

    def revoke(self, namespace: str, token_id: str) -> ApiToken:
        """Let nobody in with that token any more. Doing it twice is fine. Raises NotFound."""
        where = sa.and_(_token.c.id == token_id, _token.c.namespace == namespace)
        now = to_micros(self._context.clock.now())

        def change(tx: Transaction) -> ApiToken:
            tx.execute(sa.update(_token).where(where, _token.c.revoked_at.is_(None)).values(revoked_at=now))
            row = tx.first(sa.select(_token).where(where))
            if row is None:
                raise NotFound("token", token_id, namespace)
            tx.after_commit(self._remembered.clear)
            return _record(row)

        return self._context.database.write(change)

    def recall(self, token: str) -> Caller | None:
        """Whose token that is, where it was seen a moment ago. Does not touch the database."""
        kept = self._remembered.get(_digest(token))
        return kept[0] if kept is not None and self._context.clock.now() < kept[1] else None

    def identify(self, token: str) -> Caller | None:
        """Whose token that is; None for one that is unknown or revoked."""
        recalled = self.recall(token)
        if recalled is not None:
            return recalled
        # From before the look: a revocation that comes meanwhile is outlived by this time at most.
        until = self._context.clock.now() + REMEMBERED_FOR
        caller = self._look_up(token)
        if caller is not None:
            self._remember(_digest(token), caller, until)
        return caller

    def _look_up(self, token: str) -> Caller | None:
        token_id = token.removeprefix(PREFIX).partition("_")[0]
        if not is_ulid(token_id):
            return None
        select = sa.select(_token).where(_token.c.id == token_id, _token.c.revoked_at.is_(None))
        with self._context.database.read() as tx:
            row = tx.first(select)
        if row is None or not hmac.compare_digest(row.digest, _digest(token).hex()):
            return None
        return Caller(row.namespace, Role(row.role), row.id)

    def _remember(self, digest: bytes, caller: Caller, until: datetime) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = (caller, until)


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()


def _record(row: Any) -> ApiToken:
    return ApiToken(
        id=row.id,
        namespace=row.namespace,
        role=Role(row.role),
        name=row.name,
        created_at=from_micros(row.created_at),
        revoked_at=maybe_from_micros(row.revoked_at),
    )
