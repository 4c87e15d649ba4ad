"""A provider as it was written for contract 1.0. It is kept as it is, whatever the contract becomes, because others are like it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import (
    Absent,
    Batch,
    Capability,
    Declaration,
    DocumentResult,
    Done,
    Find,
    Full,
    InvoiceItem,
    InvoiceView,
    Key,
    KeyRules,
    MappedLine,
    MoneyRules,
    OperationRules,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Provider,
    RateLimit,
    RefundItem,
    RefundResult,
    RefundStatus,
    Repeat,
    Reply,
    Request,
    Snapshot,
    Unsupported,
    ValidationIssue,
    WebhookEvent,
    encode_json,
    hookimpl,
    registered,
)
from billhook.contract.declaration import NoSettings

_HOUR = timedelta(hours=1)


class KeptProvider(Provider[NoSettings]):
    """Issues, collects, refunds and reads webhooks, each with the arguments that 1.0 gave."""

    declaration = Declaration(
        type="kept",
        name="Kept",
        description="Keeps what it is sent, by contract 1.0.",
        contract="1.0",
        capabilities={
            Capability.ISSUE: Full(),
            Capability.COLLECT_PAYMENT: Full(),
            Capability.CHECK_PAYMENT: Full(),
            Capability.REFUND: Full(),
            Capability.FETCH: Full(),
            Capability.MAP_LINE: Full(),
            Capability.VALIDATE_INVOICE: Full(),
            Capability.READ_WEBHOOK: Full(),
            Capability.CALCULATE_TAX: Unsupported(reason="it knows no taxes"),
        },
        operations={Capability.ISSUE: OperationRules(batch=5, atomic=False, concurrency=2)},
        limits=(RateLimit(name="calls", calls=100, per=timedelta(minutes=1)),),
        money=MoneyRules(max_lines=100),
        keys=KeyRules(window=_HOUR),
    )

    @registered
    def match(self, reply: Reply, ids: Sequence[str]) -> Mapping[str, Any]:
        return {id: Absent() for id in ids}

    @registered
    def made(self, reply: Reply) -> Mapping[str, str]:
        return {item["ref"]: item["id"] for item in reply.json()["items"]}

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, NoSettings]) -> Any:
        reply = yield self._put(batch, "issued")
        found = {item["ref"]: item["id"] for item in reply.json()["items"]}
        return {id: Done(DocumentResult(external_id=remote)) for id, remote in found.items()}

    @hookimpl
    def collect_payment(self, batch: Batch[PaymentItem, NoSettings]) -> Any:
        reply = yield self._put(batch, "charges")
        remote = reply.json()["items"][0]["id"]
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, remote))}

    @hookimpl
    def check_payment(self, batch: Batch[PaymentItem, NoSettings]) -> Any:
        yield Request("check", "GET", f"http://books/found?refs={batch.only.id}")
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount))}

    @hookimpl
    def refund(self, batch: Batch[RefundItem, NoSettings]) -> Any:
        reply = yield self._put(batch, "refunds")
        remote = reply.json()["items"][0]["id"]
        return {batch.only.id: Done(RefundResult(RefundStatus.SUCCEEDED, batch.only.amount, remote))}

    @hookimpl
    def fetch(self, batch: Batch[InvoiceItem, NoSettings]) -> Any:
        yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
        return {batch.only.id: Done(Snapshot(True, batch.only.external_id, amount_paid=Decimal(0)))}

    @hookimpl
    def map_line(self, line: Any, invoice: InvoiceView, settings: NoSettings) -> MappedLine:
        return MappedLine(line.id, line.name, rule="everything")

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: NoSettings
    ) -> Sequence[ValidationIssue]:
        # By 1.0 it is asked of invoices that it issues, whose lines it mapped.
        assert len(lines) == len(invoice.lines)
        return ()

    @hookimpl
    def read_webhook(  # type: ignore[override]
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
    ) -> Sequence[WebhookEvent]:
        return [WebhookEvent(**each) for each in json.loads(body)]

    def _put(self, batch: Batch[Any, NoSettings], path: str) -> Request:
        ids = [item.id for item in batch.items]
        look = Request("look", "GET", "http://books/found?refs=" + ",".join(ids))
        return Request(
            path,
            "POST",
            f"http://books/{path}",
            (("content-type", "application/json"),),
            encode_json({"refs": ids}),
            key=Key("idempotency-key"),
            recover=(Find(look, self.function("match", ids=ids), authoritative=True), Repeat(_HOUR)),
            identify=self.function("made"),
            sample=Reply.of({"items": [{"ref": id, "id": "sample"} for id in ids]}, source="sample"),
        )
