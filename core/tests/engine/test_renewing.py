"""Credentials that expire: renewed in time, by one process at a time, and lost to no crash, no lost answer and no other tenant."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from engine_kit import NOON, ROUNDS, FaultsAt
from granting import GrantServer, GrantsProvider

from billhook.clock import TurnedClock
from billhook.contract.requests import Outgoing
from billhook.engine.context import Policy
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.sending import ThreadSenders
from billhook.errors import ConfigError
from billhook.faults import NO_FAULTS, Crash, Faults
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier

LINE = {"name": "Work", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}
SYNCED = "payment_processing.pending"
TENANTS = ("north", "south", "west")
TOKEN_LIFE = timedelta(minutes=30)


@dataclass
class Office:
    """Three tenants, each a namespace with an app of its own, on one grant. Engines come and go."""

    url: str
    clock: TurnedClock
    server: GrantServer
    engines: list[Engine] = field(default_factory=list)
    submitted: dict[str, list[str]] = field(default_factory=lambda: {tenant: [] for tenant in TENANTS})

    def open(self, faults: Faults = NO_FAULTS, policy: Policy | None = None) -> Engine:
        """Another process."""
        catalog = ProviderCatalog.from_objects([GrantsProvider])
        options: dict[str, Any] = {"clock": self.clock, "catalog": catalog, "credential_keys": CREDENTIAL_KEYS}
        self.engines.append(
            Engine.open(self.url, upgrade=False, transport=self.server, faults=faults, policy=policy, **options)
        )
        return self.engines[-1]

    @property
    def billing(self) -> Namespace:
        return self.engines[0].namespace()

    def set_up(self, tenants: tuple[str, ...] = TENANTS) -> None:
        """An app for each tenant, the first with the grant, the others sharing it."""
        self.open()
        secrets, first = self.server.grant("main", *tenants), None
        for tenant in tenants:
            given = {"credentials": secrets, "credentials_expire_at": NOON + TOKEN_LIFE} if first is None else {}
            app = self.billing.apps.install(
                "grants", name=tenant, settings={"account": tenant}, credentials_of=first, **given
            )
            first = first or app.id
            apps = {"tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
            profile = self.billing.profiles.create(tenant, is_default=first == app.id, supplier=a_supplier(), **apps)
            customer = self.billing.customers.create(tenant.title(), key=tenant)
            self.billing.overrides.set(customer.id, profile_id=profile.id)

    def submit(self, tenant: str = "north") -> str:
        """An invoice for that tenant."""
        draft = {"customer_key": tenant, "currency": "EUR", "lines": [LINE]}
        self.submitted[tenant].append(self.billing.invoices.submit(draft).id)
        return self.submitted[tenant][-1]

    def statuses(self) -> dict[str, str]:
        return {app.name: app.status.value for app in self.billing.apps.list().items}

    def run(self) -> None:
        """Work until nothing is due now."""
        assert self.engines[0].run_until_idle(at_most=ROUNDS) < ROUNDS

    def run_for(self, duration: timedelta) -> None:
        """Work, from due time to due time."""
        until = self.clock.now() + duration
        for _ in range(ROUNDS):
            self.run()
            due = self.engines[0].next_due()
            if due is None or due > until:
                self.clock.advance(until - self.clock.now())
                return
            self.clock.advance(max(due - self.clock.now(), timedelta(milliseconds=1)))
        raise AssertionError("something is due again and again")

    def version(self) -> int:
        app = self.billing.apps.list().items[0]
        engine = self.engines[0]
        with engine.database.read() as tx:
            id = engine.context.apps.get(tx, app.id).credential_id
            assert id is not None
            return engine.credentials.load(tx, id).version

    def problems(self) -> list[str]:
        """What went wrong at the provider, and what did not arrive exactly once in its own tenant's account."""
        wanted = sorted((tenant, id) for tenant, ids in self.submitted.items() for id in ids)
        wrong = [] if sorted(self.server.documents) == wanted else [f"{self.server.documents} is not {wanted}"]
        return [*self.server.mistakes, *wrong]


@pytest.fixture
def office(store_url: str) -> Iterator[Office]:
    clock = TurnedClock(NOON)
    found = Office(store_url, clock, GrantServer(clock))
    found.set_up()
    yield found
    for engine in found.engines:
        engine.close()


def lost(*places: str) -> Callable[[str], str | None]:
    """Lose the next of each of these."""
    left = list(places)

    def fault(place: str) -> str | None:
        if place not in left:
            return None
        left.remove(place)
        return "lost"

    return fault


def test_credentials_are_renewed_before_they_expire_so_that_no_request_is_refused(office: Office):
    office.clock.advance(timedelta(minutes=26))
    sent: list[Outgoing] = []
    answer = office.server.answer
    office.server.answer = lambda request: (sent.append(request), answer(request))[1]  # type: ignore[method-assign]
    office.submit()
    office.run()
    assert [request.url.rpartition("/")[2] for request in sent] == ["token", "documents"]
    assert office.problems() == []
    assert office.version() == 2


def test_a_lifetime_of_a_minute_is_not_renewed_all_the_time(office: Office):
    office.billing.apps.set_credentials(
        office.billing.apps.list().items[0].id,
        office.server.grant("short", *TENANTS),
        expire_at=office.clock.now() + timedelta(minutes=1),
    )
    office.clock.advance(timedelta(seconds=40))
    office.submit()
    office.run()
    assert office.server.refreshes == 0
    assert office.problems() == []


def test_apps_that_share_a_grant_renew_it_once(office: Office):
    office.clock.advance(timedelta(minutes=26))
    for tenant in TENANTS:
        office.submit(tenant)
    office.run()
    assert office.server.refreshes == 1
    assert office.problems() == []


def test_a_grant_that_nobody_uses_is_kept_alive(office: Office):
    office.run_for(timedelta(days=100))
    assert office.server.refreshes == 3
    assert set(office.statuses().values()) == {"ready"}
    office.submit("south")
    office.run()
    assert office.problems() == []


def test_a_grant_is_kept_alive_for_the_apps_that_are_left(office: Office):
    """The app that it was granted for is disabled, and those that share it go on."""
    (north,) = (app for app in office.billing.apps.list().items if app.name == "north")
    office.billing.apps.disable(north.id)
    office.run_for(timedelta(days=100))
    office.submit("south")
    office.run()
    assert office.problems() == []


def test_keeping_a_grant_alive_is_tried_until_it_is_answered(office: Office):
    office.server.fault = lambda place: "lost" if place == "refresh" else None
    office.run_for(timedelta(days=30, hours=3))
    assert office.version() == 1
    office.server.fault = lost()
    office.run_for(timedelta(minutes=15))
    assert office.version() == 2


def test_credentials_that_live_long_are_kept_alive_too(office: Office):
    app_id = office.billing.apps.list().items[0].id
    lasting = office.server.grant("lasting", *TENANTS)
    office.billing.apps.set_credentials(app_id, lasting, expire_at=office.clock.now() + timedelta(days=365))
    office.run_for(timedelta(days=31))
    assert office.version() == 3
    assert office.server.refreshes == 1


def test_credentials_that_live_long_are_not_asked_for_all_the_time_where_that_fails(office: Office):
    app_id = office.billing.apps.list().items[0].id
    lasting = office.server.grant("lasting", *TENANTS)
    office.billing.apps.set_credentials(app_id, lasting, expire_at=office.clock.now() + timedelta(days=365))
    asked: list[str] = []
    office.server.fault = lambda place: asked.append(place) or "lost"  # type: ignore[func-returns-value]
    office.run_for(timedelta(days=60))
    assert 0 < len(asked) < 10


def test_a_refused_token_is_renewed_once_for_all_that_share_it(office: Office):
    office.server.expire_access()
    for tenant in TENANTS:
        office.submit(tenant)
    office.run()
    assert office.server.refreshes == 1
    assert office.problems() == []
    assert set(office.statuses().values()) == {"ready"}


@pytest.mark.parametrize("places", [("refresh",), ("refreshed",), ("refreshed", "refreshed", "refresh", "refreshed")])
def test_a_lost_answer_to_a_renewal_is_survived(office: Office, places: tuple[str, ...]):
    office.clock.advance(timedelta(hours=1))
    office.server.fault = lost(*places)
    office.submit()
    office.run_for(timedelta(minutes=10))
    assert office.problems() == []
    assert set(office.statuses().values()) == {"ready"}


def test_while_the_token_is_good_a_failed_renewal_holds_up_nothing(office: Office):
    office.clock.advance(timedelta(minutes=26))
    office.server.fault = lambda place: "lost" if place == "refresh" else None
    office.submit()
    office.run()
    assert office.problems() == []
    assert office.version() == 1


def test_a_token_server_that_is_down_for_hours_costs_no_grant(office: Office):
    office.clock.advance(timedelta(hours=1))
    office.server.fault = lambda place: "lost" if place == "refresh" else None
    office.submit()
    office.run_for(timedelta(hours=3))
    assert office.server.documents == []
    assert set(office.statuses().values()) == {"ready"}
    office.server.fault = lost()
    office.run_for(timedelta(minutes=15))
    assert office.problems() == []


def test_a_dead_grant_holds_the_work_of_all_its_apps_until_somebody_connects_again(office: Office):
    office.server.revoke("main")
    for tenant in TENANTS:
        office.submit(tenant)
    office.run_for(timedelta(hours=2))
    assert set(office.statuses().values()) == {"unauthorized"}
    assert office.server.refreshes == 1
    secrets = office.server.grant("again", *TENANTS)
    office.billing.apps.set_credentials(office.billing.apps.list().items[1].id, secrets)
    assert set(office.statuses().values()) == {"ready"}
    office.run()
    assert office.problems() == []


def test_one_tenant_that_is_disconnected_stops_alone(office: Office):
    office.server.grants["main"].accounts = ("north", "west")
    for tenant in TENANTS:
        office.submit(tenant)
    office.run_for(timedelta(hours=1))
    assert office.statuses() == {"north": "ready", "south": "unauthorized", "west": "ready"}
    assert sorted(tenant for tenant, _ in office.server.documents) == ["north", "west"]


def test_what_somebody_sets_while_a_renewal_is_under_way_stays(office: Office):
    office.clock.advance(timedelta(hours=1))
    app_id = office.billing.apps.list().items[0].id

    def fault(place: str) -> str | None:
        if place == "refreshed":
            office.billing.apps.set_credentials(app_id, office.server.grant("new", *TENANTS))
        return None

    office.server.fault = fault
    office.submit()
    office.run()
    assert office.server.grants["new"].access
    assert office.version() == 2
    assert office.problems() == []


def test_a_secret_that_somebody_adds_while_a_renewal_is_under_way_costs_none_of_the_two(office: Office):
    office.clock.advance(timedelta(hours=1))
    app_id = office.billing.apps.list().items[0].id
    places: list[str] = []

    def fault(place: str) -> str | None:
        places.append(place)
        if place == "refreshed":
            office.billing.apps.set_credentials(app_id, {"webhook_secret": "hook"})
        return None

    office.server.fault = fault
    office.submit()
    office.run()
    engine = office.engines[0]
    with engine.database.read() as tx:
        id = engine.context.apps.get(tx, app_id).credential_id
        secrets = engine.credentials.load(tx, str(id)).secrets
    assert places == ["refresh", "refreshed"]
    assert secrets["webhook_secret"] == "hook"
    assert secrets["refresh_token"] == office.server.grants["main"].refresh_token
    assert office.problems() == []


@pytest.mark.parametrize("visit", [1, 2])
@pytest.mark.parametrize("point", ["connection.before", "connection.after", "commit.before", "commit.after"])
def test_a_crash_anywhere_around_a_renewal_loses_no_grant(office: Office, point: str, visit: int):
    office.clock.advance(timedelta(hours=1))
    office.submit()
    crashing = office.open(FaultsAt(point, visit))
    try:
        crashing.run_until_idle(at_most=ROUNDS)
    except Crash:
        assert office.server.refreshes <= 1
    crashing.close()
    office.run_for(timedelta(minutes=5))
    assert office.problems() == []
    assert set(office.statuses().values()) == {"ready"}


def test_nobody_else_renews_while_one_is_at_it(office: Office):
    office.clock.advance(timedelta(hours=1))
    office.submit()
    second, app_id, told = office.open(), office.billing.apps.list().items[1].id, []

    def fault(place: str) -> str | None:
        if place == "refresh" and not told:
            told.append("asked")
            with pytest.raises(ConfigError, match="somebody else is renewing them"):
                second.check_connection(app_id)
        return None

    office.server.fault = fault
    office.run()
    assert second.check_connection(app_id)
    assert (told, office.server.refreshes) == (["asked"], 1)
    assert office.problems() == []


def test_a_check_renews_what_has_expired_and_says_when_the_grant_is_dead(office: Office):
    app_id = office.billing.apps.list().items[0].id
    office.clock.advance(timedelta(hours=1))
    found = office.engines[0].check_connection(app_id)
    assert [account.id for account in found.accounts] == list(TENANTS)
    office.server.expire_access()
    assert office.engines[0].check_connection(app_id) == found
    assert office.version() == 3
    office.server.revoke("main")
    with pytest.raises(ConfigError, match="The grant is gone"):
        office.engines[0].check_connection(app_id)
    assert set(office.statuses().values()) == {"unauthorized"}


class CreepingClock(TurnedClock):
    """Moves by itself whenever it is looked at, as real ones do."""

    def now(self) -> datetime:
        return self.advance(timedelta(microseconds=1))


def test_what_waits_for_credentials_goes_on_when_somebody_else_has_renewed_them(store_url: str):
    clock = CreepingClock(NOON)
    office = Office(store_url, clock, GrantServer(clock))
    office.set_up(("north",))
    office.submit()
    office.server.expire_access()
    office.server.fault = lost("refresh")
    office.run()
    assert not office.server.documents

    engine = office.engines[0]
    with engine.database.read() as tx:
        id = engine.context.apps.get(tx, office.billing.apps.list().items[0].id).credential_id
    renewed = office.server.grant("main", "north")
    engine.database.write(lambda tx: engine.credentials.replace(tx, str(id), renewed, clock.now() + TOKEN_LIFE))
    clock.advance(timedelta(seconds=15))
    office.run()
    assert len(office.server.documents) == 1
    engine.close()


LONGEST_STORM = 4
"""Renewals that are lost in a row. The provider's grace has an end, and whoever can't reach it before that loses the grant."""


def bad_weather(seed: int) -> Callable[[str], str | None]:
    """Every third renewal is lost on its way there or back, but never too many in a row."""
    chance, lost_in_a_row = random.Random(seed), 0

    def fault(place: str) -> str | None:
        nonlocal lost_in_a_row
        is_lost = lost_in_a_row < LONGEST_STORM and chance.random() < 0.2
        if is_lost or place == "refreshed":
            lost_in_a_row = lost_in_a_row + 1 if is_lost else 0
        return "lost" if is_lost else None

    return fault


def two_workers_at_once(office: Office, refreshes: int, seed: int) -> None:
    """Two workers in threads of their own; each turn the token is dead, all tenants have work, and the weather is bad."""
    chance, second = random.Random(seed), office.open()
    office.server.fault = bad_weather(seed)
    while office.server.refreshes < refreshes:
        if chance.random() < 0.5:
            office.server.expire_access()
        else:
            office.clock.advance(TOKEN_LIFE)
        for tenant in TENANTS:
            office.submit(tenant)
        for _ in range(ROUNDS):
            _run_together(office.engines[0], second)
            if len(office.server.documents) == sum(map(len, office.submitted.values())):
                break
            office.clock.advance(timedelta(seconds=15))
    assert office.problems() == []
    assert set(office.statuses().values()) == {"ready"}


def _run_together(*engines: Engine) -> None:
    failures: list[BaseException] = []

    def work(engine: Engine) -> None:
        senders = ThreadSenders(4)
        try:
            engine.run_until_idle(senders=senders, at_most=ROUNDS)
        except BaseException as failure:  # noqa: BLE001 - raised again below
            failures.append(failure)
        finally:
            senders.close()

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_a_provider_that_takes_a_token_only_once_is_never_asked_twice(office: Office):
    office.server.grace = timedelta()
    office.engines[0].close()
    one_app_each = Policy(apps_per_worker=1)
    office.engines = [office.open(policy=one_app_each) for _ in range(3)]
    office.server.fault = lambda place: threading.Event().wait(0.02) and None
    for turn in range(8):
        office.server.expire_access()
        for tenant in TENANTS:
            office.submit(tenant)
        _run_together(*office.engines)
        office.run_for(timedelta(seconds=10))
        assert office.server.refreshes == turn + 1
    assert office.problems() == []
    assert set(office.statuses().values()) == {"ready"}


def test_two_workers_and_bad_weather_lose_no_token_and_mix_no_tenants(office: Office):
    two_workers_at_once(office, 12, seed=1)


@pytest.mark.long
def test_a_thousand_renewals_with_faults_lose_no_token_and_mix_no_tenants(office: Office):
    two_workers_at_once(office, 1000, seed=2)
