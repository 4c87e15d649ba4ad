"""Xero's limits: so many calls a minute and a day for an organisation, so many a minute for an app, and five at once
(developer.xero.com, "Limits"). Every answer tells what is left; a refusal says which limit, and when to come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from billhook.testing.simulator import Pairs, SimReply
from billhook_xero.simulator.ledger import Ledger
from billhook_xero.simulator.rules import XeroRules
from billhook_xero.simulator.wire import EPOCH

MINUTE, DAY = 60, 86_400


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit of one organisation or app."""

    name: str
    owner: str
    calls: int
    seconds: int
    header: str


class Limits:
    """Counts the calls of the last minute and day, in the ledger, so that a restart forgets none."""

    def __init__(self, ledger: Ledger, rules: XeroRules) -> None:
        self._ledger = ledger
        self._rules = rules
        self._at_once: Counter[str] = Counter()
        self._on_their_way: dict[str, list[datetime]] = {}

    def enter(self, tenant: str, now: datetime) -> SimReply | None:
        """One more at once; a refusal has no Retry-After."""
        on_their_way = [until for until in self._on_their_way.get(tenant, ()) if until > now]
        self._on_their_way[tenant] = on_their_way
        if self._at_once[tenant] + len(on_their_way) >= self._rules.calls_at_once:
            return _refusal("concurrent", ())
        self._at_once[tenant] += 1
        return None

    def leave(self, tenant: str, answered_at: datetime) -> None:
        """It is done, and one less when the answer has gone out."""
        self._at_once[tenant] -= 1
        self._on_their_way[tenant].append(answered_at)

    def admit(self, tenant: str, now: datetime) -> SimReply | None:
        """Count a call, or say which limit it would break."""
        with self._ledger.transaction():
            for bucket in self._buckets(tenant):
                if self._left(bucket, now) <= 0:
                    headers = (("Retry-After", str(self._opens_in(bucket, now))),)
                    return _refusal(bucket.name, headers)
            for bucket in self._buckets(tenant):
                self._spend(bucket, now)
        return None

    def headers(self, tenant: str, now: datetime) -> Pairs:
        """What is left of each."""
        return tuple((bucket.header, str(max(0, self._left(bucket, now)))) for bucket in self._buckets(tenant))

    def _buckets(self, tenant: str) -> tuple[Bucket, ...]:
        rules = self._rules
        return (
            Bucket("minute", tenant, rules.calls_a_minute - rules.another_consumer, MINUTE, "X-MinLimit-Remaining"),
            Bucket("day", tenant, rules.calls_a_day, DAY, "X-DayLimit-Remaining"),
            Bucket("appminute", "app", rules.app_calls_a_minute, MINUTE, "X-AppMinLimit-Remaining"),
        )

    def _left(self, bucket: Bucket, now: datetime) -> int:
        since = _second(now) - bucket.seconds
        ((spent,),) = self._ledger.read(
            "SELECT coalesce(sum(calls), 0) FROM spent WHERE bucket = ? AND at > ?", (_key(bucket), since)
        )
        return bucket.calls - int(spent)

    def _spend(self, bucket: Bucket, now: datetime) -> None:
        # A day is counted in minutes: fewer rows, and never too many calls.
        at = _second(now) if bucket.seconds == MINUTE else -(-_second(now) // MINUTE) * MINUTE
        with self._ledger.transaction() as tx:
            tx.execute("DELETE FROM spent WHERE bucket = ? AND at <= ?", (_key(bucket), _second(now) - bucket.seconds))
            tx.execute(
                "INSERT INTO spent VALUES (?, ?, 1) ON CONFLICT (bucket, at) DO UPDATE SET calls = calls + 1",
                (_key(bucket), at),
            )

    def _opens_in(self, bucket: Bucket, now: datetime) -> int:
        ((oldest,),) = self._ledger.read("SELECT coalesce(min(at), 0) FROM spent WHERE bucket = ?", (_key(bucket),))
        return max(1, int(oldest) + bucket.seconds - _second(now) + 1)


def _key(bucket: Bucket) -> str:
    return f"{bucket.owner}/{bucket.name}"


def _second(now: datetime) -> int:
    return (now - EPOCH) // timedelta(seconds=1)


def _refusal(problem: str, headers: Pairs) -> SimReply:
    return SimReply(429, (("X-Rate-Limit-Problem", problem), *headers))
