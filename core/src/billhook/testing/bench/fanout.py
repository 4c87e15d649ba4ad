"""Notifications to many channels: one event told to all of them, against a loop that posts the same bytes; and with one receiver dead."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from socketserver import StreamRequestHandler, ThreadingTCPServer
from time import monotonic
from typing import Any

import httpx

from billhook.domain.invoice import content_json
from billhook.engine.engine import Engine
from billhook.engine.notifications.courier import WebCourier
from billhook.engine.notifications.dispatcher import Dispatcher, Sent
from billhook.engine.notifications.outgoing import Outgoing
from billhook.engine.notifications.records import InvoiceSnapshot
from billhook.engine.notifications.rules import MOST_CHANNELS
from billhook.engine.notifications.schedule import Answer
from billhook.engine.notifications.targets import Targets
from billhook.engine.sending import ThreadSenders
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.bench.baskets import drafts
from billhook.testing.bench.figures import Figure, Sheet, timed_seconds
from billhook.testing.bench.providers import BenchProvider, MemoryTransport
from billhook.testing.bench.scene import SEED, furnish
from billhook.testing.bench.stores import Store
from billhook.testing.builders import CREDENTIAL_KEYS

THREADS = 32
LIMIT = timedelta(seconds=2)
"""How long a receiver may take here: a dead one is waited for, but not for as long as in earnest."""
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LOOP = "a bare httpx loop, one after the other, same bytes"
LANDING_SECONDS = 0.05


class KeepingCourier(WebCourier):
    """Keeps what was sent, for the loop that sends the same."""

    def __init__(self, limit: timedelta) -> None:
        super().__init__(Targets(allow_private=True), monotonic, limit=limit)
        self.sent: list[tuple[str, list[tuple[str, str]], bytes]] = []
        self.arrived = 0

    def post(self, url: str, headers: Any, body: bytes) -> Answer:
        """Send it, and count what arrived."""
        answer = super().post(url, headers, body)
        self.sent.append((url, list(headers), body))
        self.arrived += answer.is_success
        return answer


def measure_fanout(store: Store, channels: int, rounds: int) -> list[Figure]:
    """Tell ``channels`` channels of an invoice, all alive; then again with one of them dead."""
    url = store.fresh()
    alive: list[float] = []
    loop: list[float] = []
    one_dead: list[float] = []
    with _receiver() as address, _dead_receiver() as dead, _engine(url) as engine:
        first = _prepare(engine, address, channels)
        for number in range(rounds):
            sent = _tell(engine, number, channels, alive)
            loop.append(timed_seconds(partial(_post_all, sent)))
        engine.namespace().notifications.channels.update(first, url=dead)
        for number in range(rounds, 2 * rounds):
            _tell(engine, number, channels - 1, one_dead)
    store.drop(url)
    sheet = Sheet("fanout", store.name, channels)
    return [
        sheet.ratio("time to tell every channel", alive, loop, LOOP),
        sheet.ratio("time to tell the others, one dead", one_dead, alive, "the same with all alive"),
        sheet.per_second("notifications", alive),
    ]


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    with Engine.open(
        url,
        catalog=ProviderCatalog.from_objects([BenchProvider]),
        transport=MemoryTransport(),
        targets=Targets(allow_private=True),
        credential_keys=CREDENTIAL_KEYS,
    ) as engine:
        yield engine


def _prepare(engine: Engine, address: str, channels: int) -> str:
    """Channels, and rules that name them all. Returns the first channel's id."""
    space = engine.namespace()
    furnish(space, BenchProvider.declaration.type, customers=1)
    notifications = space.notifications
    ids = [notifications.channels.create(f"Channel {number}", f"{address}/{number}").id for number in range(channels)]
    for start in range(0, channels, MOST_CHANNELS):
        notifications.rules.create("invoice.created", f"Rule {start}", ids[start : start + MOST_CHANNELS])
    return ids[0]


def _tell(engine: Engine, number: int, expected: int, times: list[float]) -> list[Any]:
    """One more invoice, told until so many notifications have arrived. Returns what was sent."""
    engine.namespace().invoices.submit_many(drafts(1, SEED, f"fanout-{number}"))
    courier = KeepingCourier(LIMIT)
    outgoing = Outgoing(engine.context, engine.credentials, _render)
    owner = engine.context.new_id(engine.context.clock.now())
    dispatcher = Dispatcher(engine.context, outgoing, courier, ThreadSenders[Sent](THREADS), owner, THREADS)
    with closing(dispatcher), engine.database.liveness.claim(owner):
        times.append(timed_seconds(_until(lambda: courier.arrived >= expected, dispatcher)))
        while dispatcher.in_flight:
            dispatcher.drain(LANDING_SECONDS)
        dispatcher.give_back()
    return courier.sent


def _until(is_enough: Callable[[], bool], dispatcher: Dispatcher) -> Callable[[], None]:
    def work() -> None:
        while not is_enough():
            dispatcher.tick(LANDING_SECONDS)

    return work


def _render(snapshot: InvoiceSnapshot) -> bytes:
    return content_json(snapshot.details.invoice.content)


def _post_all(sent: list[Any]) -> None:
    with httpx.Client(trust_env=False) as client:
        for url, headers, body in sent:
            client.post(url, headers=headers, content=body).raise_for_status()


# Receivers.


class _Taking(StreamRequestHandler):
    """Reads requests and takes them all, with as little work as can be."""

    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self.rfile.read(length)
            self.wfile.write(ANSWER)


class _Server(ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 256


def _serve(ports: Any) -> None:
    with _Server(("127.0.0.1", 0), _Taking) as server:
        ports.put(server.server_address[1])
        server.serve_forever()


@contextmanager
def _receiver() -> Iterator[str]:
    """One in a process of its own, so that its work is not counted as ours."""
    spawning = multiprocessing.get_context("spawn")
    ports = spawning.Queue()
    process = spawning.Process(target=_serve, args=(ports,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=60)}"
    finally:
        process.terminate()
        process.join()


@contextmanager
def _dead_receiver() -> Iterator[str]:
    """Takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/dead"
