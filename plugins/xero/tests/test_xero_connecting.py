"""A person connects three organisations with one grant, and their invoices go on while its tokens are replaced."""

from __future__ import annotations

import shutil
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from xero_kit import BEGINS_AT, INVOICES, URL, XeroStory, settings_for

from billhook.clock import TurnedClock
from billhook.testing.crash import work_until_quiet
from billhook.testing.simulator import SimRequest
from billhook_xero.simulator import simulator
from billhook_xero.simulator.rules import DEMO_CLIENT_SECRET, Org, XeroRules

TENANTS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
BACK = "http://127.0.0.1:8765/callback"


@pytest.fixture
def story(file_template, tmp_path):
    path = tmp_path / "billhook.db"
    shutil.copy(file_template, path)
    clock = TurnedClock(BEGINS_AT)
    rules = XeroRules(organisations=tuple(Org(tenant, f"Company {tenant[-1]}") for tenant in TENANTS), tokens=())
    story = XeroStory(str(path), clock, simulator(clock=clock, rules=rules))
    yield story
    story.close()


def connect(story, namespace):
    """A person signs in and says yes; every organisation becomes an app."""
    settings = {name: value for name, value in settings_for(URL, connection="oauth2").items() if name != "account"}
    connecting = namespace.connecting
    asked = connecting.begin(
        "xero", redirect_uri=BACK, settings=settings, credentials={"client_secret": DEMO_CLIENT_SECRET}
    )
    answer = story.books.handle(SimRequest.from_url("GET", asked.url))
    returned = dict(parse_qsl(urlsplit(answer.header("Location") or "").query))
    grant = connecting.finish(asked, returned)
    return connecting.keep(grant, grant.accounts)


def a_profile(namespace, app):
    namespace.profiles.create(
        name=app.name,
        is_default=False,
        supplier={"name": app.name},
        workflow={},
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
    )
    profile = next(each for each in namespace.profiles.list().items if each.name == app.name)
    customer = namespace.customers.create(app.name, key=app.name, email="a@example.com")
    namespace.overrides.set(customer.id, profile_id=profile.id)


def submit(namespace, apps, key):
    for app in apps:
        namespace.invoices.submit({**INVOICES[0], "key": f"{app.name} {key}", "customer_key": app.name})


def test_three_organisations_on_one_grant_each_get_their_own_invoices_over_many_refreshes(story):
    with story.open() as engine:
        namespace = engine.namespace()
        apps = connect(story, namespace)
        assert {app.settings["account"] for app in apps} == set(TENANTS)
        for app in apps:
            a_profile(namespace, app)
        for hour in range(5):
            submit(namespace, apps, hour)
            work_until_quiet(engine, story.clock)
            story.clock.advance(timedelta(minutes=31))
    documents = story.books.documents()
    assert {each.status for each in documents} == {"AUTHORISED"}
    assert sorted(each.tenant for each in documents) == sorted(TENANTS * 5)
    assert story.books.duplicates() == ()
    refreshes = [call for call in story.books.calls() if call.path == "/connect/token"]
    assert len(refreshes) == 5
    assert {call.status for call in refreshes} == {200}


def test_a_lost_refresh_loses_no_token(story):
    with story.open() as engine:
        namespace = engine.namespace()
        apps = connect(story, namespace)
        for app in apps:
            a_profile(namespace, app)
        story.clock.advance(timedelta(minutes=31))
        story.books.fault("lost_response", matching="/connect/token", times=2)
        submit(namespace, apps, "after")
        work_until_quiet(engine, story.clock)
        assert {app.status for app in namespace.apps.list().items} == {"ready"}
    assert {each.status for each in story.books.documents()} == {"AUTHORISED"}


def test_a_grant_that_was_taken_back_holds_the_work_until_somebody_connects_again(story):
    with story.open() as engine:
        namespace = engine.namespace()
        (app, *_) = apps = connect(story, namespace)
        a_profile(namespace, app)
        story.books.identity.revoke_all()
        submit(namespace, apps[:1], "held")
        work_until_quiet(engine, story.clock)
        assert namespace.apps.get(app.id).status == "unauthorized"
        assert story.books.documents() == ()
        connect(story, namespace)
        work_until_quiet(engine, story.clock)
        assert namespace.apps.get(app.id).status == "ready"
    assert [each.status for each in story.books.documents()] == ["AUTHORISED"]


def test_a_custom_connection_starts_from_its_secret_alone(story):
    with story.open() as engine:
        namespace = engine.namespace()
        settings = settings_for(URL, account=TENANTS[0], connection="custom")
        app = namespace.apps.install("xero", settings=settings, credentials={"client_secret": DEMO_CLIENT_SECRET})
        a_profile(namespace, app)
        submit(namespace, [app], "first")
        work_until_quiet(engine, story.clock)
    assert [(each.status, each.tenant) for each in story.books.documents()] == [("AUTHORISED", TENANTS[0])]
