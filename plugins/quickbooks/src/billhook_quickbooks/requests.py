"""Where each request goes, its key, how it is looked up when its outcome is unknown, and a sample of its answer.

Everything that changes something can be looked up for certain, so it is looked up first; a request id is honoured for a time that Intuit
does not state, so it is believed for minutes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

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
    encode_json,
    registered,
)
from billhook_quickbooks import findings
from billhook_quickbooks.config import QuickBooksSettings
from billhook_quickbooks.encoding import Entity
from billhook_quickbooks.marks import batch_ids, read_mark
from billhook_quickbooks.refusals import is_success

BATCH = 30
"""Payloads of one batch call, as recommended (developer.intuit.com, "API call limits and throttles")."""
PAGE = 1000
"""Rows of one query, at most."""
KEYS_HONOURED = timedelta(minutes=10)
MINOR_VERSION = "75"

# A query sees what a request did as soon as that is done; a margin for clocks and queues.
_SHOWN_AFTER = timedelta(seconds=5)
_REPEAT = Repeat(within=KEYS_HONOURED - timedelta(minutes=2))
_KEY = Key("requestid", "query", 50)
_BATCH_KEY = Key("requestid", "query", 36)
_ACCEPT = ("Accept", "application/json")
_JSON = (_ACCEPT, ("Content-Type", "application/json"))
_NO_BODY = (_ACCEPT, ("Content-Type", "application/octet-stream"))

AnyBatch = Batch[Any, QuickBooksSettings]


class QuickBooksRequests(Provider[QuickBooksSettings]):
    """Builds the requests, and reads what look-ups show of them."""

    @registered
    def created_ids(self, reply: Reply, items: Mapping[str, str]) -> Mapping[str, str]:
        """The ids of what a batch made, by our item id. ``items`` are our ids by those of the batch's items."""
        return findings.made_by_batch(reply, items)

    @registered
    def made_id(self, reply: Reply, item: str, kind: str) -> Mapping[str, str]:
        """The id of the one thing that a request made."""
        return {item: reply.json()[kind]["Id"]} if is_success(reply) else {}

    @registered
    def match_marks(
        self, reply: Reply, kind: str, marks: Mapping[str, str], known: Sequence[str]
    ) -> Mapping[str, Finding]:
        """Whether what stands there is what a batch sent."""
        return findings.find_in_batch(reply, kind, marks, known)

    @registered
    def match_one(self, reply: Reply, kind: str, item: str, mark: str) -> Mapping[str, Finding]:
        """Whether the one thing that was sent stands there."""
        return findings.find_one(reply, kind, item, mark)

    @registered
    def match_moved(self, reply: Reply, item: str, done: str) -> Mapping[str, Finding]:
        """Whether an invoice was sent, made void or deleted."""
        return findings.find_moved(reply, item, done)

    def batch_request(
        self,
        batch: AnyBatch,
        step: str,
        kind: str,
        bodies: Mapping[str, Entity],
        look_up: str,
        known: Iterable[str] = (),
    ) -> Request:
        """Create or change things in one call, by our item ids. ``look_up`` is the query that shows them afterwards."""
        bids = batch_ids(list(bodies))
        entries = [
            {"bId": bids[id], "operation": "update" if "Id" in body else "create", kind: body}
            for id, body in bodies.items()
        ]
        marks = {id: str(read_mark(body)) for id, body in bodies.items()}
        match = self.function("match_marks", kind=kind, marks=marks, known=sorted(known))
        made = [{"bId": bids[id], kind: _sample_of(body)} for id, body in bodies.items()]
        return Request(
            step,
            "POST",
            url(batch, "batch"),
            _JSON,
            encode_json({"BatchItemRequest": entries}),
            items=tuple(bodies),
            key=_BATCH_KEY,
            recover=(find(batch, look_up, match), _REPEAT),
            identify=self.function("created_ids", items={bid: id for id, bid in bids.items()}),
            sample=_sample({"BatchItemResponse": made}),
        )

    def create_request(
        self, batch: AnyBatch, step: str, kind: str, body: Entity, look_up: str, *, identify: bool
    ) -> Request:
        """Create one thing."""
        item_id: str = batch.only.id
        match = self.function("match_one", kind=kind, item=item_id, mark=str(read_mark(body)))
        return Request(
            step,
            "POST",
            url(batch, kind.lower()),
            _JSON,
            encode_json(body),
            key=_KEY,
            recover=(find(batch, look_up, match), _REPEAT),
            identify=self.function("made_id", item=item_id, kind=kind) if identify else None,
            sample=_sample({kind: _sample_of(body)}),
        )

    def read_request(self, batch: AnyBatch, step: str, kind: str, id: str, total: Decimal) -> Request:
        """Read one thing that stands there."""
        sample = {kind: {"Id": id, "SyncToken": "0", "TotalAmt": total}}
        return Request(step, "GET", url(batch, f"{kind.lower()}/{id}"), (_ACCEPT,), sample=_sample(sample))

    def move_request(self, batch: AnyBatch, done: str, invoice_id: str, sync_token: str) -> Request:
        """Make an invoice void, or delete it: ``done`` says which."""
        body = {"Id": invoice_id, "SyncToken": sync_token}
        return Request(
            done,
            "POST",
            url(batch, "invoice", operation=done),
            _JSON,
            encode_json(body),
            key=_KEY,
            recover=(self._find_moved(batch, done, invoice_id), _REPEAT),
            sample=_sample({"Invoice": body}),
        )

    def send_request(self, batch: AnyBatch, invoice_id: str, email: str) -> Request:
        """Have QuickBooks e-mail an invoice."""
        return Request(
            "send",
            "POST",
            url(batch, f"invoice/{invoice_id}/send", sendTo=email),
            _NO_BODY,
            key=_KEY,
            recover=(self._find_moved(batch, "send", invoice_id), _REPEAT),
            sample=_sample({"Invoice": {"Id": invoice_id, "EmailStatus": "EmailSent"}}),
        )

    def _find_moved(self, batch: AnyBatch, done: str, invoice_id: str) -> Find:
        match = self.function("match_moved", item=batch.only.id, done=done)
        return find(batch, by_ids("Invoice", [invoice_id]), match)


def query_request(batch: AnyBatch, step: str, query: str, sample: Mapping[str, Any] | None = None) -> Request:
    """Read what a query shows."""
    return Request(
        step, "GET", url(batch, "query", query=query), (_ACCEPT,), sample=_sample({"QueryResponse": sample or {}})
    )


def queries_request(batch: AnyBatch, step: str, queries: Mapping[str, str]) -> Request:
    """Read what several queries show, in one call that changes nothing."""
    body = {"BatchItemRequest": [{"bId": bid, "Query": query} for bid, query in queries.items()]}
    told = [{"bId": bid, "QueryResponse": {}} for bid in queries]
    sample = _sample({"BatchItemResponse": told})
    return Request(step, "POST", url(batch, "batch"), _JSON, encode_json(body), safe=True, sample=sample)


def find(batch: AnyBatch, query: str, match: Function) -> Find:
    """The look-up by that query. What it does not show was not done."""
    return Find(query_request(batch, "look", query), match, authoritative=True, after=_SHOWN_AFTER)


def url(batch: AnyBatch, place: str, **query: str) -> str:
    """An address of the company."""
    settings = batch.settings
    pairs = urlencode({**query, "minorversion": MINOR_VERSION})
    return f"{settings.base_url}/v3/company/{settings.account}/{place}?{pairs}"


def by_ids(kind: str, ids: Iterable[str]) -> str:
    """The query for things by their ids."""
    return f"select * from {kind} where Id in {_listed(ids)} maxresults {PAGE}"


def by_numbers(kind: str, numbers: Iterable[str]) -> str:
    """The query for documents by their numbers."""
    return f"select * from {kind} where DocNumber in {_listed(numbers)} maxresults {PAGE}"


def by_names(kind: str, names: Iterable[str]) -> str:
    """The query for people by their display names, inactive ones too: they keep their names."""
    return f"select * from {kind} where DisplayName in {_listed(names)} and Active in (true, false) maxresults {PAGE}"


def by_customers(kind: str, customer_ids: Iterable[str], dates: Iterable[str]) -> str:
    """The query for documents of customers on these days, and those between."""
    days = sorted(dates)
    between = f"TxnDate >= '{days[0]}' and TxnDate <= '{days[-1]}'"
    return f"select * from {kind} where CustomerRef in {_listed(customer_ids)} and {between} maxresults {PAGE}"


def _listed(values: Iterable[str]) -> str:
    return f"({', '.join(_quoted(value) for value in dict.fromkeys(values))})"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _sample(value: Entity) -> Reply:
    return Reply.of(value, source="sample")


def _sample_of(body: Entity) -> Entity:
    return {"Id": "0", "SyncToken": "0", **body}
