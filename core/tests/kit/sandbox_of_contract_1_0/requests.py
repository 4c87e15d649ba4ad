"""The sandbox's requests: where each goes, how it is repeated or looked up when its outcome is unknown, and a sample of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from billhook.contract import (
    Batch,
    Find,
    Finding,
    Function,
    InvoiceItem,
    Key,
    Provider,
    Repeat,
    Reply,
    Request,
    encode_json,
    registered,
)
from sandbox_of_contract_1_0 import encoding, findings, reading
from sandbox_of_contract_1_0.config import SandboxSettings
from sandbox_of_contract_1_0.encoding import CONTENT_MARK, Entry

KEYS_HONOURED = timedelta(hours=24)
PAGE = 100

_KEY = Key("Idempotency-Key")
_REPEAT = Repeat(within=KEYS_HONOURED - timedelta(hours=1))
_JSON = (("Content-Type", "application/json"),)


class SandboxRequests(Provider[SandboxSettings]):
    """Builds the requests, and reads what look-ups show of them.

    Batches are not atomic, so they are looked up first; a single request is first repeated under its key.
    """

    @registered
    def remote_ids(self, reply: Reply) -> Mapping[str, str]:
        """Remote ids by our reference."""
        return reading.remote_ids_of(reply)

    @registered
    def match_content(self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> Mapping[str, Finding]:
        """Whether what stands there is what was sent."""
        return findings.find_content(reply, marks, ids)

    @registered
    def match_issued(self, reply: Reply, ids: Mapping[str, str | None]) -> Mapping[str, Finding]:
        """Whether drafts were issued."""
        return findings.find_issued(reply, ids)

    @registered
    def match_moved(self, reply: Reply, item: str, done: str) -> Mapping[str, Finding]:
        """Whether a document was sent, voided or deleted."""
        return findings.find_moved(reply, item, done)

    @registered
    def match_single(self, reply: Reply, item: str, origin: str | None) -> Mapping[str, Finding]:
        """Whether a payment or refund was made."""
        return findings.find_single(reply, item, origin)

    def upsert_request(
        self, batch: Batch[Any, SandboxSettings], step: str, place: str, entries: Sequence[Entry], **options: str
    ) -> Request:
        """Create or replace the entries, all in one request. `options` go beside them."""
        marks = {entry["reference"]: entry["metadata"][CONTENT_MARK] for entry in entries}
        ids = {entry["reference"]: entry["id"] for entry in entries if "id" in entry}
        match = self.function("match_content", marks=marks, ids=ids)
        made = [{"ok": True, "id": f"sample_{id}", "reference": id, "status": options.get("status")} for id in marks]
        return Request(
            step,
            "POST",
            _url(batch, f"{place}/upsert"),
            _JSON,
            encode_json({**options, "items": entries}),
            key=_KEY,
            recover=(_look_up(batch, place, {"reference": ",".join(marks)}, match), _REPEAT),
            identify=self.function("remote_ids"),
            sample=_sample({"items": made}),
        )

    def issue_request(
        self, batch: Batch[InvoiceItem, SandboxSettings], drafts: Sequence[InvoiceItem], ids: Mapping[str, str]
    ) -> Request:
        """Make these drafts final. `ids` has their remote ids."""
        entries = [encoding.issue_entry(item, ids[item.id]) for item in drafts]
        match = self.function("match_issued", ids={item.id: ids.get(item.id) for item in batch.items})
        issued = [{"ok": True, "id": ids[item.id], "reference": item.id, "status": "issued"} for item in drafts]
        return Request(
            "issue",
            "POST",
            _url(batch, "/v1/invoices/issue"),
            _JSON,
            encode_json({"items": entries}),
            key=_KEY,
            recover=(_look_up(batch, "/v1/invoices", {"id": ",".join(ids.values())}, match), _REPEAT),
            sample=_sample({"items": issued}),
        )

    def move_request(
        self, batch: Batch[InvoiceItem, SandboxSettings], method: str, document_id: str, done: str, sample: Entry
    ) -> Request:
        """Send, void or delete one document."""
        place = f"/v1/invoices/{document_id}"
        match = self.function("match_moved", item=batch.only.id, done=done)
        look_up = Find(Request("look", "GET", _url(batch, place)), match, authoritative=True)
        return Request(
            done,
            method,
            _url(batch, place if method == "DELETE" else f"{place}/{done}"),
            key=_KEY,
            recover=(_REPEAT, look_up),
            sample=_sample(sample),
        )

    def money_request(
        self, batch: Batch[Any, SandboxSettings], step: str, path: str, entry: Entry, listed: str, origin: str | None
    ) -> Request:
        """Make one payment or refund. `listed` is where it can be looked up; `origin` tells charges from what was only recorded."""
        item_id: str = batch.only.id
        match = self.function("match_single", item=item_id, origin=origin)
        return Request(
            step,
            "POST",
            _url(batch, path),
            _JSON,
            encode_json(entry),
            key=_KEY,
            recover=(_REPEAT, _look_up(batch, listed, {"reference": item_id}, match)),
            identify=self.function("remote_ids"),
            sample=_sample(money_sample(entry)),
        )

    def tax_request(self, batch: Batch[InvoiceItem, SandboxSettings], entries: Sequence[Entry]) -> Request:
        """Ask for tax. It changes nothing there."""
        sample = {"items": [{"ok": True, "reference": entry["reference"], "lines": []} for entry in entries]}
        body = encode_json({"items": entries})
        return Request("tax", "POST", _url(batch, "/v1/tax"), _JSON, body, safe=True, sample=_sample(sample))

    def page_request(self, batch: Batch[Any, SandboxSettings], number: int, path: str, cursor: str) -> Request:
        """One page of everything with the batch's references."""
        query = {"reference": ",".join(item.id for item in batch.items), "limit": str(PAGE), "cursor": cursor}
        sample = {"items": [], "has_more": False}
        return self.get_request(batch, f"page.{number}", f"{path}?{_query(query)}", sample)

    def get_request(self, batch: Batch[Any, SandboxSettings], step: str, path: str, sample: Entry) -> Request:
        """Read one thing."""
        return Request(step, "GET", _url(batch, path), sample=_sample(sample))


def money_sample(entry: Entry) -> Entry:
    """How a payment or refund of that entry would look when it is through."""
    status = "succeeded" if "payment" in entry else "paid"
    return {**entry, "id": f"sample_{entry['reference']}", "status": status}


def _url(batch: Batch[Any, SandboxSettings], path: str) -> str:
    return batch.settings.base_url + path


def _query(where: Mapping[str, str]) -> str:
    return urlencode({name: value for name, value in where.items() if value}, safe=",")


def _sample(value: Entry) -> Reply:
    return Reply.of(value, source="sample")


def _look_up(batch: Batch[Any, SandboxSettings], path: str, where: Mapping[str, str], match: Function) -> Find:
    query = _query({**where, "limit": str(PAGE)})
    return Find(Request("look", "GET", _url(batch, f"{path}?{query}")), match, authoritative=True)
