"""The requests: where each goes, how it is repeated or looked up when its outcome is unknown, and a sample of its answer."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from billhook.contract import (
    Batch,
    Call,
    CustomerItem,
    Find,
    Finding,
    Key,
    PaymentItem,
    Provider,
    RefundItem,
    Rejected,
    Repeat,
    Reply,
    Request,
    encode_json,
    registered,
)
from billhook_gocardless import encoding, findings, reading
from billhook_gocardless.config import GoCardlessSettings
from billhook_gocardless.declaration import KEYS_HONOURED
from billhook_gocardless.encoding import Entry
from billhook_gocardless.money import CURRENCY_OF_SCHEME
from billhook_gocardless.refusals import body_of, is_success, refused

Listed = Generator[Request | Call, Reply, list[reading.Entry] | Rejected]

# [sdk: api_client.py] Every request names the version of the API that it was written for.
_HEADERS = (("Accept", "application/json"), ("GoCardless-Version", "2015-07-06"))
_JSON = (*_HEADERS, ("Content-Type", "application/json"))

# GoCardless refuses a key that is too long; 128 characters is what other vendors take at least, and ours is far shorter.
_KEY = Key("Idempotency-Key", max_length=128)
_REPEAT = Repeat(within=KEYS_HONOURED - timedelta(hours=1))

# The same details twice are the same customer; later somebody may have changed them over there.
_REPEAT_UPDATE = Repeat(within=timedelta(hours=1))

# The largest page, by third-party summaries of the API reference; nothing says how soon a list shows what was just made.
_PAGE = 500
_LISTED_AFTER = timedelta(seconds=30)

# How far two clocks may be apart.
_SKEW = timedelta(hours=1)


class GoCardlessRequests(Provider[GoCardlessSettings]):
    """Builds the requests, and reads what look-ups show of them.

    A payment is first repeated under its key: GoCardless then names the one that it made. A refund is first looked up: it states the
    payment's refunds so far, so a repeated one could be refused for its own success.
    """

    @registered
    def made(self, reply: Reply, envelope: str, item: str) -> Mapping[str, str]:
        """The id of what was created."""
        made = reading.made_id(reply, envelope)
        return {} if made is None else {item: made}

    @registered
    def match_created(self, reply: Reply, envelope: str, item: str) -> Mapping[str, Finding]:
        """Whether it was created."""
        return findings.find_created(reply, envelope, item)

    @registered
    def match_updated(self, reply: Reply, item: str, details: Mapping[str, Any]) -> Mapping[str, Finding]:
        """Whether a customer was changed."""
        return findings.find_updated(reply, item, details)

    def create_customer(self, batch: Batch[CustomerItem, GoCardlessSettings]) -> Request:
        """A new customer, looked up among those created since."""
        since = {"created_at[gte]": _timestamp(batch.now - _SKEW)}
        return self._create(batch, "customers", encoding.new_customer(batch.only), since, find_first=False)

    def create_payment(self, batch: Batch[PaymentItem, GoCardlessSettings], mandate_id: str) -> Request:
        """A payment, looked up among those of its mandate."""
        where = {"mandate": mandate_id, "created_at[gte]": _timestamp(batch.now - _SKEW)}
        return self._create(batch, "payments", encoding.new_payment(batch.only, mandate_id), where, find_first=False)

    def create_refund(self, batch: Batch[RefundItem, GoCardlessSettings], refunded_minor: int) -> Request:
        """A refund, looked up among those of its payment."""
        where = {"payment": batch.only.payment_external_id}
        return self._create(batch, "refunds", encoding.new_refund(batch.only, refunded_minor), where, find_first=True)

    def update_customer(self, batch: Batch[CustomerItem, GoCardlessSettings], customer_id: str) -> Request:
        """New details of a customer. What others put into its metadata stays."""
        item = batch.only
        details = encoding.customer_details(item)
        url = _url(batch, f"/customers/{customer_id}")
        match = self.function("match_updated", item=item.id, details=details)
        look_up = Find(Request("look", "GET", url, _HEADERS), match, authoritative=True)
        sample = _sample({"customers": {"id": customer_id, **details}})
        body = encode_json({"customers": details})
        return Request("update", "PUT", url, _JSON, body, recover=(_REPEAT_UPDATE, look_up), sample=sample)

    def get(self, batch: Batch[Any, GoCardlessSettings], step: str, envelope: str, id: str, sample: Entry) -> Request:
        """Read one thing."""
        url = _url(batch, f"/{envelope}/{id}")
        return Request(step, "GET", url, _HEADERS, sample=_sample({envelope: {**sample, "id": id}}))

    def every(
        self,
        batch: Batch[Any, GoCardlessSettings],
        envelope: str,
        where: Mapping[str, str],
        sample: Sequence[Entry] = (),
    ) -> Listed:
        """Everything on a list, the newest first, page after page."""
        found: list[reading.Entry] = []
        step, page = envelope, dict(where)
        while True:
            reply = yield self._page(batch, step, envelope, page, sample)
            if not is_success(reply):
                return refused(reply)
            found += reading.entries(reply, envelope)
            after = findings.next_page(body_of(reply))
            if after is None:
                return found
            step, page = f"{envelope}.{after}", {**where, "after": after}

    def every_mandate(self, batch: Batch[Any, GoCardlessSettings], customer_id: str, currency: str | None) -> Listed:
        """Every mandate of a customer, dead ones too, so that a refusal can say how they stand."""
        schemes = (scheme for scheme, its_currency in CURRENCY_OF_SCHEME.items() if its_currency == currency)
        sample = {"id": "sample_mandate", "status": "active", "scheme": next(schemes, "bacs")}
        return self.every(batch, "mandates", {"customer": customer_id}, [sample])

    def _page(
        self,
        batch: Batch[Any, GoCardlessSettings],
        step: str,
        envelope: str,
        where: Mapping[str, str],
        sample: Sequence[Entry],
    ) -> Request:
        url = _url(batch, f"/{envelope}?{_query(where)}")
        shown = {envelope: [*sample], "meta": {"cursors": {"before": None, "after": None}, "limit": _PAGE}}
        return Request(step, "GET", url, _HEADERS, sample=_sample(shown))

    def _create(
        self,
        batch: Batch[Any, GoCardlessSettings],
        envelope: str,
        content: Entry,
        where: Mapping[str, str],
        *,
        find_first: bool,
    ) -> Request:
        item_id: str = batch.only.id
        match = self.function("match_created", envelope=envelope, item=item_id)
        look = Request("look", "GET", _url(batch, f"/{envelope}?{_query(where)}"), _HEADERS)
        look_up = Find(look, match, authoritative=True, after=_LISTED_AFTER)
        sample = {"id": f"sample_{envelope}", "status": "pending_submission", **content}
        return Request(
            "create",
            "POST",
            _url(batch, f"/{envelope}"),
            _JSON,
            encode_json({envelope: content}),
            key=_KEY,
            recover=(look_up, _REPEAT) if find_first else (_REPEAT, look_up),
            identify=self.function("made", envelope=envelope, item=item_id),
            sample=_sample({envelope: sample}, status=201),
        )


def _url(batch: Batch[Any, GoCardlessSettings], path: str) -> str:
    return batch.settings.base_url + path


def _query(where: Mapping[str, str]) -> str:
    return urlencode({**where, "limit": str(_PAGE)})


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _sample(value: Entry, status: int = 200) -> Reply:
    return Reply.of(value, status=status, source="sample")
