"""Custom Invoicing's callbacks over HTTP, against a bare Starlette handler that makes the same commits.

Each server is a process of its own, and this one plays the clients. What the bare handler writes was recorded before, from callbacks made one
after the other: for each callback the very statements and rows of the engine.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from urllib.parse import urlsplit

from billhook.contract.results import DocumentResult
from billhook.engine.engine import Engine
from billhook.engine.tokens import Role
from billhook.testing.bench.baskets import customer_count, drafts
from billhook.testing.bench.figures import Figure, Sheet
from billhook.testing.bench.recording import Recording
from billhook.testing.bench.scene import SEED, engine_on, furnish
from billhook.testing.bench.steps import NotIdentical, record
from billhook.testing.bench.stores import Store, copied

CLIENTS = (8, 64)
HOOKS = {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}
BARE = "bare Starlette handler, same rows and commits"
SERVE = "from billhook.testing.bench.callback_servers import main; main()"


@dataclass(frozen=True)
class Callback:
    """One request: where to, and what it says."""

    invoice_id: str
    end: str
    body: bytes

    @property
    def path(self) -> str:
        """Where to."""
        return f"/api/v1/apps/custom-invoicing/{self.invoice_id}/{self.end}"


@dataclass
class Measured:
    """Callbacks per second, and milliseconds that one of a hundred takes longer than; one of each for a round."""

    rates: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)

    def add(self, seconds: Sequence[float], whole_seconds: float) -> None:
        """One round."""
        self.rates.append(len(seconds) / whole_seconds)
        self.p99s.append(1000 * sorted(seconds)[int(len(seconds) * 0.99)])


def measure_callbacks(store: Store, invoices: int, rounds: int) -> list[Figure]:
    """Three callbacks for each invoice, by eight and by sixty-four clients."""
    start = store.fresh()
    token, ids = _prepare(start, invoices)
    asked = [callback for id in ids for callback in _callbacks_of(id)]
    recording = record(store, start, lambda engine: _call_back(engine, asked))
    if len(recording.commits) != len(asked):
        raise NotIdentical(f"{len(asked)} callbacks made {len(recording.commits)} commits. Nothing was measured.")
    figures: list[Figure] = []
    with TemporaryDirectory() as folder:
        script = _written_down(Path(folder) / "writes", asked, recording)
        for clients in CLIENTS:
            figures += _measure(store, start, token, asked, script, clients, rounds)
    store.drop(start)
    return figures


def _measure(
    store: Store, start: str, token: str, asked: Sequence[Callback], script: Path, clients: int, rounds: int
) -> list[Figure]:
    ours, bare = Measured(), Measured()
    for _ in range(rounds):
        for measured, kind in ((ours, "billhook"), (bare, "bare")):
            with copied(store, start) as url, _serving(kind, url, script) as address:
                measured.add(*asyncio.run(_ask_all(address, token, asked, clients)))
    sheet = Sheet("callbacks", store.name, len(asked))
    return [
        sheet.ratio(f"callbacks per second, {clients} clients", ours.rates, bare.rates, BARE),
        sheet.ratio(f"p99, {clients} clients", ours.p99s, bare.p99s, BARE),
        sheet.figure(f"billhook serve, {clients} clients", "/s", ours.rates, "seconds of wall time"),
        sheet.figure(f"bare handler, {clients} clients", "/s", bare.rates, "seconds of wall time"),
        sheet.figure(f"billhook serve, p99, {clients} clients", "ms", ours.p99s, "one callback"),
        sheet.figure(f"bare handler, p99, {clients} clients", "ms", bare.p99s, "one callback"),
    ]


# What is asked.


def _prepare(url: str, invoices: int) -> tuple[str, list[str]]:
    """A database with so many invoices that wait for a caller, and a token. Returns the token and the invoices' ids."""
    with engine_on(url) as engine:
        billing = engine.namespace()
        billing.apps.update(furnish(billing, "custom_invoicing", customer_count(invoices)), settings=HOOKS)
        ids = billing.invoices.submit_many(drafts(invoices, SEED))
        return engine.tokens.create(billing.name, Role.INTEGRATE).token, ids


def _callbacks_of(invoice_id: str) -> list[Callback]:
    number = f"ACME-{invoice_id[-12:]}"
    draft = {"invoicing": {"invoiceNumber": number, "externalId": f"doc-{invoice_id}"}}
    issued = {"invoicing": {"sentToCustomerAt": "2026-11-20T12:00:00Z"}, "payment": {"externalId": f"pay-{invoice_id}"}}
    bodies = {"draft/synchronized": draft, "issuing/synchronized": issued, "payment/status": {"trigger": "paid"}}
    return [Callback(invoice_id, end, json.dumps(body).encode()) for end, body in bodies.items()]


def _call_back(engine: Engine, asked: Sequence[Callback]) -> None:
    """The same callbacks, one after the other, past HTTP."""
    from billhook.server.callbacks import DraftSynchronized, IssuingSynchronized

    callbacks = engine.namespace().callbacks
    for each in asked:
        if each.end == "payment/status":
            callbacks.payment_status(each.invoice_id, "paid").result()
            continue
        kind = DraftSynchronized if each.end.startswith("draft") else IssuingSynchronized
        result: DocumentResult = kind.model_validate_json(each.body).result()
        confirm = callbacks.draft_synchronized if kind is DraftSynchronized else callbacks.issuing_synchronized
        confirm(each.invoice_id, result).result()


def _written_down(path: Path, asked: Sequence[Callback], recording: Recording) -> Path:
    writes = {
        each.path: [tuple(write) for write in commit] for each, commit in zip(asked, recording.commits, strict=True)
    }
    path.write_bytes(pickle.dumps(writes))
    return path


# Who asks.


@contextmanager
def _serving(kind: str, url: str, script: Path) -> Iterator[str]:
    command = [sys.executable, "-c", SERVE, kind, url, str(script)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate()


async def _ask_all(address: str, token: str, asked: Sequence[Callback], clients: int) -> tuple[list[float], float]:
    """How long each took, and all of them together. The callbacks of one invoice come one after the other."""
    per_invoice = len(_callbacks_of(asked[0].invoice_id))
    waiting = iter([asked[place : place + per_invoice] for place in range(0, len(asked), per_invoice)])
    began = perf_counter()
    times = await asyncio.gather(*(_client(address, token, waiting) for _ in range(clients)))
    return [one for each in times for one in each], perf_counter() - began


async def _client(address: str, token: str, waiting: Iterator[Sequence[Callback]]) -> list[float]:
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    times: list[float] = []
    for callbacks in waiting:
        for each in callbacks:
            began = perf_counter()
            writer.write(_request(each, token))
            head = await reader.readuntil(b"\r\n\r\n")
            times.append(perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 204"):
                raise NotIdentical(f"{each.path} was answered {head.splitlines()[0].decode()}. Nothing was measured.")
    writer.close()
    await writer.wait_closed()
    return times


def _request(each: Callback, token: str) -> bytes:
    head = (
        f"POST {each.path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(each.body)}\r\n\r\n"
    )
    return head.encode() + each.body
