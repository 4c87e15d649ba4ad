"""Two providers for measuring: one that takes fifty invoices in a call, one that is limited like a real one. Both answer from memory."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from billhook.clock import Clock
from billhook.contract import (
    Batch,
    Capability,
    Declaration,
    DocumentResult,
    Done,
    Full,
    InvoiceItem,
    InvoiceView,
    Key,
    Line,
    MappedLine,
    NoSettings,
    OperationRules,
    Outgoing,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Provider,
    ProviderTotals,
    RateLimit,
    Repeat,
    Reply,
    Request,
    Scope,
    Steps,
    encode_json,
    hookimpl,
)
from billhook.engine.effects import Arrived

BATCH = 50
CALLS_PER_APP, CALLS_IN_ALL = 1, 20
SECOND = timedelta(seconds=1)

Json = dict[str, Any]
_HEADERS = (("content-type", "application/json"),)
_EXPECTED = b'{"expected":'


class BenchProvider(Provider[NoSettings]):
    """Drafts, issues and collects, fifty at a time, every line written out."""

    declaration = Declaration(
        type="bench",
        name="Bench",
        description="Takes fifty invoices in a call and answers from memory.",
        capabilities={
            Capability.SYNC_DRAFT: Full(),
            Capability.ISSUE: Full(),
            Capability.COLLECT_PAYMENT: Full(),
            Capability.MAP_LINE: Full(),
        },
        operations={
            capability: OperationRules(batch=BATCH)
            for capability in (Capability.SYNC_DRAFT, Capability.ISSUE, Capability.COLLECT_PAYMENT)
        },
    )

    @hookimpl
    def sync_draft(self, batch: Batch[InvoiceItem, NoSettings]) -> Steps[DocumentResult]:
        """Write the drafts."""
        return (yield from _documents("draft", batch))

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, NoSettings]) -> Steps[DocumentResult]:
        """Issue the invoices, with their numbers."""
        return (yield from _documents("issue", batch))

    @hookimpl
    def collect_payment(self, batch: Batch[PaymentItem, NoSettings]) -> Steps[PaymentResult]:
        """Collect the payments."""
        expected = {item.id: item.amount for item in batch.items}
        payments = [
            {
                "reference": item.id,
                "invoice": item.invoice_external_id,
                "amount": item.amount,
                "currency": item.currency,
            }
            for item in batch.items
        ]
        answers = _by_reference((yield _request("collect", expected, payments)))
        return {id: Done(_payment(answer)) for id, answer in answers.items()}

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: NoSettings) -> MappedLine:
        """Everything is sales."""
        return MappedLine(line_id=line.id, description=line.name, rule="bench", account="200", item_code=line.item_code)


class LimitedProvider(Provider[NoSettings]):
    """Issues one invoice in a call, one call a second for each app and twenty for all of them."""

    declaration = Declaration(
        type="limited",
        name="Limited",
        description="Issues one invoice in a call, within two rate limits.",
        capabilities={Capability.ISSUE: Full()},
        limits=(
            RateLimit(name="app", calls=CALLS_PER_APP, per=SECOND, scope=Scope.APP),
            RateLimit(name="all", calls=CALLS_IN_ALL, per=SECOND, scope=Scope.DEVELOPER),
        ),
    )

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, NoSettings]) -> Steps[DocumentResult]:
        """Issue the invoice."""
        item = batch.only
        reply = yield _request("issue", {item.id: item.invoice.total}, [], app_id=batch.app_id)
        return {item.id: Done(_document_result(_by_reference(reply)[item.id]))}


class MemoryTransport:
    """Answers every request at once with what it asks for."""

    def send(self, request: Outgoing, timeout_seconds: float) -> Arrived:
        """Every document stands, every payment succeeded."""
        expected: Mapping[str, str] = json.loads(request.body[len(_EXPECTED) : request.body.index(b"}") + 1])
        answers = [{"reference": id, "id": f"remote-{id}", "total": total} for id, total in expected.items()]
        return Arrived(Reply(200, _HEADERS, encode_json({"answers": answers})))

    def close(self) -> None:
        """Nothing is open."""


class NotingTransport(MemoryTransport):
    """Notes which app called when, in microseconds by the engine's own clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.calls: list[tuple[str, int]] = []

    def send(self, request: Outgoing, timeout_seconds: float) -> Arrived:
        """Note the call, and answer it."""
        self.calls.append((request.url.rsplit("/", 1)[-1], int(self._clock.monotonic() * 1_000_000)))
        return super().send(request, timeout_seconds)


def _documents(
    step: str, batch: Batch[InvoiceItem, NoSettings]
) -> Generator[Request, Reply, Mapping[str, Done[DocumentResult]]]:
    expected = {item.id: item.invoice.total for item in batch.items}
    reply = yield _request(step, expected, [_document(item) for item in batch.items])
    return {id: Done(_document_result(answer)) for id, answer in _by_reference(reply).items()}


def _request(step: str, expected: Mapping[str, Decimal], entries: Sequence[Json], app_id: str = "bench") -> Request:
    return Request(
        step=step,
        method="PUT",
        url=f"https://provider.example/{step}/{app_id}",
        headers=_HEADERS,
        # What is expected stands first, so that the transport need not read the rest.
        body=encode_json({"expected": expected, "entries": entries}),
        key=Key("Idempotency-Key"),
        recover=(Repeat(within=timedelta(hours=23)),),
    )


def _document(item: InvoiceItem) -> Json:
    invoice = item.invoice
    return {
        "reference": item.id,
        "id": item.external_id,
        "number": item.number,
        "contact": invoice.customer.key,
        "currency": invoice.currency,
        "total": invoice.total,
        "lines": [_document_line(line, target) for line, target in zip(invoice.lines, item.lines, strict=True)],
    }


def _document_line(line: Line, target: MappedLine) -> Json:
    return {
        "reference": line.id,
        "description": target.description,
        "account": target.account,
        "item": target.item_code,
        "quantity": line.quantity,
        "amount": line.totals.total,
    }


def _by_reference(reply: Reply) -> dict[str, Json]:
    return {answer["reference"]: answer for answer in reply.json()["answers"]}


def _document_result(answer: Json) -> DocumentResult:
    return DocumentResult(external_id=answer["id"], totals=ProviderTotals(total=Decimal(answer["total"])))


def _payment(answer: Json) -> PaymentResult:
    return PaymentResult(PaymentStatus.SUCCEEDED, Decimal(answer["total"]), external_id=answer["id"])
