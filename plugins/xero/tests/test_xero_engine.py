from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from xero_kit import BEGINS_AT, INVOICES, XeroStory, schema_folder

from billhook.clock import TurnedClock
from billhook.testing.crash import LASTING_POINTS, Crashes, work_until_quiet
from billhook.testing.simulator import Event, SimRequest
from billhook.testing.simulator.memory import moment
from billhook_xero import own_numbers_provider
from billhook_xero.simulator import simulator
from billhook_xero.simulator.rules import DEMO_TENANT, DEMO_TOKEN


@pytest.fixture
def a_story(file_template, tmp_path):
    """Makes fresh stories, each on a database of its own."""
    made = count()

    def make(**changes):
        path = tmp_path / f"billhook-{next(made)}.db"
        shutil.copy(file_template, path)
        clock = TurnedClock(BEGINS_AT)
        books = simulator(clock=clock, schemas=changes.pop("schemas", None))
        story = XeroStory(str(path), clock, books, **changes)
        with story.open() as engine:
            story.prepare(engine)
        return story

    return make


def test_the_story_stands_in_xeros_books_once_and_to_the_cent(a_story):
    story = a_story(schemas=schema_folder())
    with story.open() as engine:
        story.play(engine)
        story.play(engine)
        assert story.problems(engine) == []
    story.close()


def test_xero_may_give_the_numbers_itself(a_story):
    story = a_story(provider_class=own_numbers_provider, schemas=schema_folder())
    with story.open() as engine:
        story.play(engine)
        assert story.problems(engine) == []
        numbers = sorted(engine.namespace().invoices.find(draft["key"]).invoice.number for draft in INVOICES)
        assert numbers == ["INV-0001", "INV-0002", "INV-0003"]
    story.close()


@pytest.mark.parametrize("provider_class", [None, own_numbers_provider], ids=["our numbers", "xero's numbers"])
@pytest.mark.parametrize("downtime_seconds", [3, 600])
def test_a_crash_at_a_sample_of_points_leaves_everything_once(a_story, downtime_seconds, provider_class):
    given = {"provider_class": provider_class} if provider_class else {}
    crashes = Crashes(lambda: a_story(**given), timedelta(seconds=downtime_seconds), seed=downtime_seconds)
    for run in crashes.sampled(3, points=LASTING_POINTS):
        assert run.crashed_as_asked
        assert not run.problems, f"{run}: {run.problems}"
        run.scenario.close()


@pytest.mark.long
@pytest.mark.parametrize("provider_class", [None, own_numbers_provider], ids=["our numbers", "xero's numbers"])
@pytest.mark.parametrize("downtime_seconds", [3, 600])
def test_a_crash_at_every_point_leaves_everything_once(a_story, downtime_seconds, provider_class):
    given = {"provider_class": provider_class} if provider_class else {}
    runs = 0
    for run in Crashes(lambda: a_story(**given), timedelta(seconds=downtime_seconds)).singles():
        assert not run.problems, f"{run}: {run.problems}"
        run.scenario.close()
        runs += 1
    assert runs > 100


FAULTS = (
    "lost_response",
    "late",
    "5xx_after_commit",
    "5xx_before",
    "garbage",
    "throttle",
    "refuse",
    "stored_500",
    "token_expired",
)
WRITES = (
    "PUT /api.xro/2.0/Contacts",
    "PUT /api.xro/2.0/Invoices",
    "POST /api.xro/2.0/Invoices",
    "/Email",
    "/Payments",
    "/CreditNotes",
    "/Allocations",
)


@pytest.mark.parametrize("fault", FAULTS[:2])
def test_an_answer_that_is_lost_at_any_write_leaves_everything_once(a_story, fault):
    for write in WRITES:
        _play_with(a_story(), fault, write)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_write_leaves_everything_once(a_story, fault):
    for write in WRITES:
        _play_with(a_story(), fault, write)


def _play_with(story, fault, write):
    story.books.fault(fault, matching=write)
    with story.open() as engine:
        story.play(engine)
        assert story.problems(engine) == [], (fault, write)
    story.close()


def test_a_thousand_invoices_take_twenty_calls_to_create_and_twenty_to_issue(a_story):
    story = a_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Ada", key="ada", email="ada@example.com")
        draft = INVOICES[0]
        namespace.invoices.submit_many([{**draft, "key": f"lamp-{number}"} for number in range(1_000)])
        engine.run_until_idle(at_most=2_000)
        calls = Counter((call.method, call.status) for call in story.books.calls() if call.path.endswith("/Invoices"))
        assert calls == {("PUT", 200): 20, ("POST", 200): 20}
    assert len(story.books.documents()) == 1_000
    story.close()


def test_seventy_mails_wait_for_the_next_minute_and_none_is_refused_for_going_too_fast(a_story):
    story = a_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Grace", key="grace", email="grace@example.com")
        namespace.invoices.submit_many([{**INVOICES[2], "key": f"chair-{number}"} for number in range(70)])
        began = story.clock.now()
        work_until_quiet(engine, story.clock)
        assert timedelta(minutes=1) <= story.clock.now() - began < timedelta(minutes=3)
    assert sum(each.sent_count for each in story.books.documents()) == 70
    assert [call for call in story.books.calls() if call.status == 429] == []
    story.close()


def test_a_payment_at_xero_is_heard_of_by_webhook_and_pays_the_invoice(a_story):
    story = a_story()
    with story.open() as engine:
        story.play(engine)
        (app,) = engine.namespace().apps.list().items
        invoice = engine.namespace().invoices.find("chair")
        _pay_at_xero(story.books, invoice.invoice)
        waiting = [body for _, body in story.books.pending_webhooks()]
        heard = story.books.deliver_webhooks(lambda headers, body: _heard(engine, app.id, headers, body))
        assert heard == len(waiting)
        engine.run_until_idle()
        assert engine.namespace().invoices.find("chair").status == "paid"
        copy = story.books.webhook(_last_event(story.books), story.clock.now())
        assert engine.receive_webhook(app.id, dict(copy[0]), copy[1]) == 0
        told = {json.loads(body)["events"][0]["eventCategory"] for body in waiting}
        assert {"CONTACT", "CREDITNOTE", "INVOICE"} <= told
        story.clock.advance(timedelta(days=2))
        assert engine.orphaned_events() == ()
    story.close()


def _heard(engine, app_id, headers, body):
    engine.receive_webhook(app_id, dict(headers), body)
    return 200


def _last_event(books):
    number, type, reference, object_id, at = books.ledger.read(
        "SELECT number, type, reference, object_id, at FROM events ORDER BY number DESC LIMIT 1"
    )[0]
    return Event(f"evt_{number:06d}", type, reference, object_id, moment(at))


def _pay_at_xero(books, invoice):
    remote = next(each.id for each in books.documents() if each.reference == invoice.id)
    body = f'{{"Invoice":{{"InvoiceID":"{remote}"}},"Account":{{"Code":"090"}},"Amount":{invoice.total}}}'
    headers = (("Authorization", f"Bearer {DEMO_TOKEN}"), ("xero-tenant-id", DEMO_TENANT))
    assert books.handle(SimRequest("PUT", "/api.xro/2.0/Payments", (), headers, body.encode())).status == 200


def test_what_waits_for_the_next_request_is_sent_once_too_when_an_answer_is_lost(a_story, monkeypatch):
    monkeypatch.setattr("billhook_xero.requests.MOST_BYTES", 1_000)
    _play_with(a_story(), "lost_response", "PUT /api.xro/2.0/Invoices")
