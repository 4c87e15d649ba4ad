"""Two worker processes, three organisations on one grant whose refresh token is replaced at every use, a network that loses answers, and
kills: the grant is never lost, and nobody ever acts with another tenant's."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from renewing_process import open_engine

from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.store import migrate
from billhook.testing.builders import a_supplier
from billhook.testing.simulator import SimRequest
from billhook_xero.simulator import app_settings, simulator
from billhook_xero.simulator.identity import TOKEN
from billhook_xero.simulator.rules import DEMO_CLIENT_SECRET, Org, XeroRules
from billhook_xero.simulator.server import XeroSimulator

TENANTS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
RULES = XeroRules(
    organisations=tuple(Org(tenant) for tenant in TENANTS),
    tokens=(),
    old_refresh_works=timedelta(seconds=60),
    calls_a_minute=1_000_000,
    calls_a_day=1_000_000,
    app_calls_a_minute=1_000_000,
    calls_at_once=100,
    key_window=timedelta(hours=1),
)
SCRIPT = Path(__file__).with_name("renewing_process.py")
BACK = "http://127.0.0.1:8765/callback"
WORKERS = 2
TROUBLES = (
    ("lost_response", {}),
    ("5xx_after_commit", {}),
    ("5xx_before", {}),
    ("garbage", {}),
    ("late", {"seconds": 0.4}),
    ("slow", {"seconds": 2.5}),
)
"""What becomes of a request for new tokens. The slow one is given up before its answer comes."""
TROUBLE_EVERY, KILL_EVERY = 3, 15
PATIENCE_SECONDS = 90
LINE = {"name": "Seat", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}


@dataclass
class Office:
    """The host: it hands in invoices, watches its workers, and starts another one for each that dies."""

    store: str
    books: XeroSimulator
    engine: Engine
    dice: random.Random
    apps: dict[str, str] = field(default_factory=dict)
    workers: list[subprocess.Popen[str]] = field(default_factory=list)
    submitted: dict[str, str] = field(default_factory=dict)
    """The tenant of each invoice."""
    troubles: Counter[str] = field(default_factory=Counter)

    @property
    def billing(self) -> Namespace:
        return self.engine.namespace()

    @property
    def refreshes(self) -> int:
        """New tokens that were given."""
        return sum(call.path == TOKEN and call.status == 200 for call in self.books.calls()) - 1

    def start_worker(self) -> None:
        process = subprocess.Popen([sys.executable, str(SCRIPT), self.store], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout as told:
            assert told.readline() == "ready\n"
        self.workers.append(process)

    def kill_worker(self) -> None:
        process = self.workers.pop(self.dice.randrange(len(self.workers)))
        process.kill()
        process.wait()
        self.troubles["kill"] += 1
        self.start_worker()

    def turn(self) -> None:
        """The access token is refused from now on, every tenant has work, and now and then something goes wrong."""
        with self.books.ledger.transaction() as tx:
            tx.execute("UPDATE tokens SET until = 0 WHERE kind = 'access'")
        if self.dice.randrange(TROUBLE_EVERY) == 0:
            kind, params = self.dice.choice(TROUBLES)
            self.books.fault(kind, matching=TOKEN, **params)
            self.troubles[kind] += 1
        for tenant in TENANTS:
            id = self.billing.invoices.submit({"customer_key": tenant, "currency": "GBP", "lines": [LINE]}).id
            self.submitted[id] = tenant
        if self.dice.randrange(KILL_EVERY) == 0:
            time.sleep(self.dice.uniform(0, 0.2))
            self.kill_worker()
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        waiting = list(self.submitted)[-len(TENANTS) :]
        while any(not self.billing.invoices.get(id).status.startswith("payment_processing") for id in waiting):
            assert time.monotonic() < until, (self.statuses(), self.troubles)
            time.sleep(0.02)

    def statuses(self) -> set[str]:
        return {app.status.value for app in self.billing.apps.list().items}

    def problems(self) -> list[str]:
        """What a lost grant, a mixed-up tenant or a doubled invoice would leave behind."""
        self.books.clear_faults()
        stand = {document.reference: document.tenant for document in self.books.documents()}
        found = (
            [] if stand == self.submitted else ["invoices stand in other organisations than their own, or not at all"]
        )
        found += [f"{each.reference} twice" for each in self.books.duplicates()]
        refused = Counter((call.path, call.status) for call in self.books.calls() if call.status in {400, 403})
        found += [f"{count} times {status} at {path}" for (path, status), count in refused.items()]
        return [*found, *(f"an app is {status}" for status in self.statuses() - {"ready"})]

    def close(self) -> None:
        for process in self.workers:
            process.kill()
            process.wait()


def connected(engine: Engine, books: XeroSimulator, url: str) -> dict[str, str]:
    """A person signs in once, and each organisation becomes an app with a customer of its own. Gives the apps by tenant."""
    namespace, connecting = engine.namespace(), engine.namespace().connecting
    settings = {**app_settings(url), "connection": "oauth2"}
    del settings["account"]
    secrets = {"client_secret": DEMO_CLIENT_SECRET}
    asked = connecting.begin("xero", redirect_uri=BACK, settings=settings, credentials=secrets)
    answer = books.handle(SimRequest.from_url("GET", asked.url))
    grant = connecting.finish(asked, dict(parse_qsl(urlsplit(answer.header("Location")).query)))
    apps = {app.settings["account"]: app.id for app in connecting.keep(grant, grant.accounts)}
    for tenant, app_id in apps.items():
        given = {"tax_app_id": app_id, "invoicing_app_id": app_id, "payment_app_id": app_id}
        profile = namespace.profiles.create(name=tenant, is_default=False, supplier=a_supplier(), **given)
        customer = namespace.customers.create(tenant, key=tenant)
        namespace.overrides.set(customer.id, profile_id=profile.id)
    return apps


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    store = str(tmp_path / "billhook.db")
    with ExitStack() as stack:
        books = simulator(rules=RULES)
        stack.callback(books.close)
        served = stack.enter_context(books.serve())
        engine = stack.enter_context(open_engine(store))
        migrate.upgrade(engine.database)
        found = Office(store, books, engine, random.Random(8), connected(engine, books, served.url))
        stack.callback(found.close)
        for _ in range(WORKERS):
            found.start_worker()
        yield found


def renew(office: Office, times: int) -> None:
    while office.refreshes < times:
        office.turn()
    assert office.problems() == []


def test_two_processes_lose_no_token_and_mix_no_tenants(office: Office):
    renew(office, 12)


@pytest.mark.long
def test_a_thousand_renewals_by_two_processes_that_are_killed_lose_no_token_and_mix_no_tenants(office: Office):
    renew(office, 1_000)
    print(f"{office.refreshes} renewals, {dict(office.troubles)}, {len(office.submitted)} invoices")  # noqa: T201 - the figures of the proof
