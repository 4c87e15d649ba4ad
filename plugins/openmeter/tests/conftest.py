"""What the tests of the bridge share: a stand-in for OpenMeter on one side, the sandbox on the other, and the bridge between."""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stand_in import OpenMeterStandIn

from billhook import Engine, InvoiceDetails, Namespace, ProviderCatalog, SystemClock
from billhook.clock import TurnedClock
from billhook.faults import NO_FAULTS, Faults
from billhook.store import migrate
from billhook.store.database import Database
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider as sandbox, simulator as sandbox_simulator
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.story import BEGINS_AT, SANDBOX_URL, TOKEN
from billhook.testing.transport import SimulatorTransport
from billhook_openmeter import Bridge, OpenMeter, PostAt, Visit
from billhook_openmeter.mirroring import key_of

MOST_ROUNDS = 30


def install(billing: Namespace, provider: Any, url: str) -> None:
    """An app of the provider, and a default billing profile for it."""
    app = billing.apps.install(provider.declaration.type, settings={"base_url": url}, credentials={"token": TOKEN})
    roles = {f"{role}_app_id": app.id for role in ("tax", "invoicing", "payment")}
    billing.profiles.create(name="Default", is_default=True, supplier={"name": "Acme"}, workflow={}, **roles)


@dataclass(repr=False)
class Between:
    """Both sides and the bridge. A scenario for crash enumeration, too."""

    store_url: str
    upstream: OpenMeterStandIn
    clock: TurnedClock
    books: SandboxSimulator
    provider: Any = sandbox
    post_at: PostAt = PostAt.ISSUE
    overrides: Mapping[str, Any] = field(default_factory=dict)
    happenings: Callable[[Between], None] = lambda _between: None
    engine: Engine = field(init=False)

    def open(self, faults: Faults = NO_FAULTS, randomness: Callable[[int], bytes] = secrets.token_bytes) -> Engine:
        """The engine on this database; the bridge uses it from here on."""
        self.engine = Engine.open(
            self.store_url,
            upgrade=False,
            clock=self.clock,
            catalog=ProviderCatalog.from_objects([self.provider]),
            transport=SimulatorTransport({SANDBOX_URL: self.books}),
            overrides=self.overrides,
            faults=faults,
            randomness=randomness,
            credential_keys=CREDENTIAL_KEYS,
        )
        return self.engine

    def prepare(self) -> None:
        """Install the provider, and a default profile for it."""
        with self.open():
            install(self.billing, self.provider, SANDBOX_URL)

    @property
    def billing(self) -> Namespace:
        return self.engine.namespace()

    @property
    def bridge(self) -> Bridge:
        client = OpenMeter("http://openmeter.test", self.upstream.token, client=self.upstream.client())
        return Bridge(self.billing, client, post_at=self.post_at)

    def here(self, upstream_id: str) -> InvoiceDetails:
        found = self.billing.invoices.find(key_of(upstream_id))
        assert found is not None
        return found

    def settle(self) -> dict[str, Visit]:
        """Visit and work until nothing moves on either side."""
        visits: dict[str, Visit] = {}
        for _ in range(MOST_ROUNDS):
            visits = {id: self.bridge.visit(id) for id in self.bridge.ids_to_visit()}
            before = len(self.books.ledger.documents()), [self.here(id).status for id in visits if self._is_here(id)]
            work_until_quiet(self.engine, self.clock)
            after = len(self.books.ledger.documents()), [self.here(id).status for id in visits if self._is_here(id)]
            if not any(visit.steps for visit in visits.values()) and before == after:
                return visits
        raise AssertionError(f"it never comes to rest: {visits}")

    def _is_here(self, upstream_id: str) -> bool:
        return self.billing.invoices.find(key_of(upstream_id)) is not None

    # As a scenario.

    def play(self, engine: Engine) -> None:
        assert engine is self.engine
        self.happenings(self)

    def problems(self, engine: Engine) -> list[str]:
        self.clock.advance(timedelta(hours=1))
        self.books.tick()
        found = [
            f"{each.kind} {each.reference} stands there as {', '.join(each.ids)}"
            for each in self.books.ledger.duplicates()
        ]
        return [*found, *problems_of(engine)]

    def close(self) -> None:
        self.books.close()


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    with Database.open(str(path), clock=SystemClock(), faults=NO_FAULTS) as database:
        migrate.upgrade(database)
    return path


@pytest.fixture
def between_with(file_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Between]]:
    """Makes both sides anew, on a database of its own."""
    made: list[Between] = []

    def make(**options: Any) -> Between:
        path = tmp_path_factory.mktemp("between") / "billhook.db"
        path.write_bytes(file_template.read_bytes())
        clock = TurnedClock(BEGINS_AT)
        upstream = options.pop("upstream", None) or OpenMeterStandIn()
        made.append(Between(str(path), upstream, clock, sandbox_simulator(clock=clock), **options))
        made[-1].prepare()
        return made[-1]

    yield make
    for between in made:
        between.close()


@pytest.fixture
def between(between_with: Callable[..., Between]) -> Iterator[Between]:
    """Both sides, with an engine that is open."""
    made = between_with()
    with made.open():
        yield made


@pytest.fixture(scope="module")
def between_for_mirroring(file_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    """Both sides for many examples in a row."""
    path = tmp_path_factory.mktemp("mirroring") / "billhook.db"
    path.write_bytes(file_template.read_bytes())
    clock = TurnedClock(BEGINS_AT)
    made = Between(str(path), OpenMeterStandIn(), clock, sandbox_simulator(clock=clock))
    made.prepare()
    with made.open():
        yield made
    made.close()


@pytest.fixture
def openmeter() -> Iterator[tuple[OpenMeterStandIn, str]]:
    """The stand-in on an address of this machine."""
    stand_in = OpenMeterStandIn()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = httpx.Request(self.command, f"http://here{self.path}", headers=dict(self.headers), content=body)
            with lock:
                response = stand_in.handle(request)
            self.send_response(response.status_code)
            for name in ("content-type", "content-length", "retry-after"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield stand_in, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def engine(file_template, tmp_path) -> Iterator[Engine]:
    path = tmp_path / "billhook.db"
    path.write_bytes(file_template.read_bytes())
    catalog = ProviderCatalog.from_objects([sandbox])
    with (
        sandbox_simulator().serve() as served,
        Engine.open(path, catalog=catalog, credential_keys=CREDENTIAL_KEYS) as opened,
    ):
        install(opened.namespace(), sandbox, served.url)
        yield opened
