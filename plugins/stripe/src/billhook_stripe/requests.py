"""Requests to Stripe: each with its key, how to recover it, and a sample of its answer.

Stripe keeps the answer of a key for at least 24 hours (docs.stripe.com/api/idempotent_requests), so a step is first repeated. After that
it is looked up by the metadata that it left. Lists are consistent; Search lags behind and is never used (docs.stripe.com/search).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from billhook.contract import (
    Batch,
    Find,
    Finding,
    Function,
    Key,
    Provider,
    Repeat,
    Reply,
    Request,
    registered,
)
from billhook_stripe import findings
from billhook_stripe.lines import Params
from billhook_stripe.settings import StripeSettings
from billhook_stripe.wire import encoded

KEYS_HONOURED = timedelta(hours=24)
LONGEST_LIST = 100
"""Stripe's longest page (docs.stripe.com/api/pagination)."""

_KEY = Key("Idempotency-Key")
_REPEAT = Repeat(within=KEYS_HONOURED - timedelta(hours=1))
_CLOCKS_DIFFER = timedelta(hours=1)
# Stripe does not say how soon an event is listed; an e-mail can wait, and should not go twice.
_TOLD_AFTER = timedelta(minutes=10)

Reading = Batch[Any, StripeSettings]


class StripeRequests(Provider[StripeSettings]):
    """Builds requests, and reads what look-ups show of them."""

    @registered
    def remote_id(self, reply: Reply, item: str) -> Mapping[str, str]:
        """The id of the object that an answer holds; that of a payment too where the answer refuses it."""
        return findings.made_id(reply, item)

    @registered
    def match_listed(self, reply: Reply, item: str, key: str) -> Mapping[str, Finding]:
        """Whether a list holds an object with our id in its metadata."""
        return findings.find_listed(reply, item, key)

    @registered
    def match_marked(self, reply: Reply, item: str, key: str, mark: str) -> Mapping[str, Finding]:
        """Whether an object carries the mark that a step left."""
        return findings.find_marked(reply, item, key, mark)

    @registered
    def match_numbered(self, reply: Reply, item: str, number: str) -> Mapping[str, Finding]:
        """Whether a draft got its number, or is no draft any more."""
        return findings.find_numbered(reply, item, number)

    @registered
    def match_status(self, reply: Reply, item: str, statuses: Sequence[str]) -> Mapping[str, Finding]:
        """Whether an invoice reached one of these statuses."""
        return findings.find_status(reply, item, statuses)

    @registered
    def match_paid(self, reply: Reply, item: str) -> Mapping[str, Finding]:
        """Whether an invoice is paid, or its payment under way."""
        return findings.find_paid(reply, item)

    @registered
    def match_gone(self, reply: Reply, item: str) -> Mapping[str, Finding]:
        """Whether an object is gone."""
        return findings.find_gone(reply, item)

    @registered
    def match_attached(self, reply: Reply, item: str, record: str) -> Mapping[str, Finding]:
        """Whether a payment record is attached to an invoice."""
        return findings.find_attached(reply, item, record)

    @registered
    def match_event(self, reply: Reply, item: str, object_id: str) -> Mapping[str, Finding]:
        """Whether the events tell of an object."""
        return findings.find_event(reply, item, object_id)

    def post(
        self, batch: Reading, step: str, path: str, params: Params, find: Find, sample: Params, *, makes: bool = True
    ) -> Request:
        """A request that changes something. ``makes``: its answer holds the id of what stands for the item from now on."""
        return self._request(batch, step, "POST", path, params, find, sample, makes=makes)

    def remove(self, batch: Reading, step: str, path: str, find: Find, sample: Params) -> Request:
        """A deletion."""
        return self._request(batch, step, "DELETE", path, {}, find, sample, makes=False)

    def get(self, batch: Reading, step: str, path: str, params: Params, sample: Params) -> Request:
        """A request that reads."""
        wire = encoded(batch.settings, "GET", path, params)
        return Request(step, "GET", wire.url, wire.headers, sample=Reply.of(sample, source="sample"))

    def one(self, batch: Reading, path: str, match: Function, **params: Any) -> Find:
        """Look at one object."""
        return self._find(batch, path, params, match)

    def listed(self, batch: Reading, path: str, key: str, **params: Any) -> Find:
        """Look for an object with our id under ``key`` in a list of what was made since the operation began."""
        return self.all_listed(batch, path, key, created={"gte": self.before(batch)}, **params)

    def all_listed(self, batch: Reading, path: str, key: str, **params: Any) -> Find:
        """Look for an object with our id under ``key`` in a list."""
        match = self.function("match_listed", item=batch.only.id, key=key)
        return self._find(batch, path, {"limit": LONGEST_LIST, **params}, match)

    def told(self, batch: Reading, event: str, object_id: str) -> Find:
        """Look for an event that Stripe tells of every such request, and shows for 30 days (docs.stripe.com/api/events).

        Whoever looks later than that may have the request made a second time.
        """
        match = self.function("match_event", item=batch.only.id, object_id=object_id)
        params = {"type": event, "created": {"gte": self.before(batch)}, "limit": LONGEST_LIST}
        return self._find(batch, "/v1/events", params, match, after=_TOLD_AFTER)

    def before(self, batch: Reading) -> int:
        """A time, in seconds, before anything that the operation makes, however the clocks differ."""
        return int((batch.now - _CLOCKS_DIFFER).timestamp())

    def _find(
        self, batch: Reading, path: str, params: Params, match: Function, *, after: timedelta = timedelta()
    ) -> Find:
        wire = encoded(batch.settings, "GET", path, params)
        return Find(Request("look", "GET", wire.url, wire.headers), match, authoritative=True, after=after)

    def _request(
        self,
        batch: Reading,
        step: str,
        method: str,
        path: str,
        params: Params,
        find: Find,
        sample: Params,
        *,
        makes: bool,
    ) -> Request:
        wire = encoded(batch.settings, method, path, params)
        return Request(
            step,
            wire.method,
            wire.url,
            wire.headers,
            wire.body,
            key=_KEY,
            recover=(_REPEAT, find),
            identify=self.function("remote_id", item=batch.only.id) if makes else None,
            sample=Reply.of(sample, source="sample"),
        )
