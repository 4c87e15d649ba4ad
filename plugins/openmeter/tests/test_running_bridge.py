"""The bridge at work over real connections: notifications in, callbacks out, a sweep for what nobody told."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import httpx
import pytest
from stand_in import OpenMeterStandIn, a_line
from standardwebhooks import Webhook

from billhook import Engine, ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.sandbox import provider as sandbox
from billhook_openmeter import Bridge, OpenMeter, RunningBridge, UpstreamRefusesUs, client
from billhook_openmeter.agenda import Agenda
from billhook_openmeter.hints import LARGEST_BODY, Listening, application, is_secret

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw=="
OTHER_SECRET = "whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXIt"
LINE = "01JANE00000000000000000001"
PATIENCE_SECONDS = 60


def until(stand_in: OpenMeterStandIn, id: str, state: str) -> None:
    ticking = threading.Event()
    for _ in range(PATIENCE_SECONDS * 20):
        if stand_in.state(id) == state:
            return
        ticking.wait(0.05)
    raise AssertionError(f"{id} is {stand_in.state(id)}, and should be {state}")


def notification(id: str, type: str = "invoice.updated", *, at: datetime | None = None) -> tuple[dict[str, str], str]:
    body = f'{{"id":"01J000000000000000000000EV","type":"{type}","timestamp":"2026-03-02T09:00:00Z","data":{{"id":"{id}"}}}}'
    at = at or datetime.now(UTC)
    signature = Webhook(SECRET).sign("msg-1", at, body)
    return {"svix-id": "msg-1", "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}, body


def test_a_notification_leads_to_an_issued_and_paid_invoice(openmeter, engine):
    stand_in, url = openmeter
    bridge = Bridge(engine.namespace(), OpenMeter(url, stand_in.token))
    # The sweep comes once at the start: what happens later is told by notifications, and by the engine itself.
    running = RunningBridge(bridge, engine, threads=2, sweep_seconds=3600)
    with engine.worker(), Listening(application(SECRET, running.hint), "127.0.0.1", 0) as listening, running:
        id = stand_in.create([a_line("Seats", "100.00", id=LINE)], collection_method="charge_automatically")
        headers, body = notification(id)
        assert httpx.post(listening.url, content=body, headers=headers).status_code == 204
        until(stand_in, id, "paid")
    assert running.stuck == {}


def test_the_sweep_finds_what_no_notification_told(openmeter, engine):
    stand_in, url = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)], collection_method="charge_automatically")
    bridge = Bridge(engine.namespace(), OpenMeter(url, stand_in.token))
    with engine.worker(), RunningBridge(bridge, engine, threads=2, sweep_seconds=0.2):
        until(stand_in, id, "paid")


def test_a_notification_that_comes_before_its_commit_is_asked_for_again(openmeter, engine):
    stand_in, url = openmeter
    bridge = Bridge(engine.namespace(), OpenMeter(url, stand_in.token))
    id = "01J00000000000000000000009"
    with engine.worker(), RunningBridge(bridge, engine, threads=2, sweep_seconds=3600) as running:
        running.hint(id)
        ticking = threading.Event()
        while not any(id in path for _, path in stand_in.calls):
            ticking.wait(0.01)
        stand_in.create([a_line("Seats", "100.00", id=LINE)], id=id)
        until(stand_in, id, "payment_processing.pending")


def test_openmeter_is_left_alone_for_as_long_as_it_asks(openmeter, engine):
    stand_in, url = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)])
    answers: list[tuple[float, str | None]] = []

    def busy(_request: httpx.Request) -> str | None:
        told = "1" if len(answers) in (0, 3) else None  # the first sweep, and the middle of a visit
        answers.append((time.monotonic(), told))
        return told

    stand_in.busy = busy
    bridge = Bridge(engine.namespace(), OpenMeter(url, stand_in.token))
    with engine.worker(), RunningBridge(bridge, engine, threads=1, sweep_seconds=3600) as running:
        ticking = threading.Event()
        while not answers:
            ticking.wait(0.01)
        ticking.wait(0.1)
        running.hint(id)
        until(stand_in, id, "payment_processing.pending")
    waits = [after - at for (at, told), (after, _) in pairwise(answers) if told is not None]
    assert len(waits) == 2
    assert all(wait >= 1 for wait in waits)


def test_whoever_stops_it_does_not_wait_for_the_end_of_a_sweep(between, monkeypatch):
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    for number in range(40):
        between.upstream.create([a_line("Seats", "100.00", id=f"01JANE{number:020d}")])
    running = RunningBridge(between.bridge, between.engine, threads=1)

    def asks_to_stop(_request: httpx.Request) -> bool:
        running.ask_to_stop()
        return False

    between.upstream.unreachable = asks_to_stop
    with running:
        running.wait()
    assert sum(path == "/billing/invoices" for _, path in between.upstream.calls) == 1


def test_whoever_stops_it_waits_for_one_step_of_an_invoice_and_not_for_all(between):
    id = between.upstream.create([a_line("Seats", "100.00", id=LINE)])
    between.bridge.visit(id)
    between.engine.run_until_idle()  # a draft: what is left are three steps with a callback each, and more after them
    running = RunningBridge(between.bridge, between.engine, threads=1)

    def asks_to_stop(request: httpx.Request) -> bool:
        if request.method == "POST":
            running.ask_to_stop()
        return False

    between.upstream.unreachable = asks_to_stop
    with running:
        running.wait()
    assert sum(method == "POST" for method, _ in between.upstream.calls) == 1
    assert between.upstream.state(id) == "issuing.syncing"
    assert between.here(id).status == "draft.manual_approval_needed"


def test_what_was_stuck_and_is_settled_where_no_sweep_leads_is_stuck_no_more(between):
    id = between.upstream.create([a_line("Seats", "100.00", id=LINE)])
    between.settle()
    between.billing.invoices.record_payment(between.here(id).id, "100.00", method="cash")
    between.upstream.trigger(id, "void")
    with RunningBridge(between.bridge, between.engine, threads=1, sweep_seconds=0.1) as running:
        ticking = threading.Event()
        while not running.stuck:
            ticking.wait(0.02)
        between.upstream.invoices[id].state = "paid"
        for _ in range(PATIENCE_SECONDS * 50):
            if not running.stuck:
                break
            ticking.wait(0.02)
        assert running.stuck == {}


def test_two_bridges_on_one_database_make_each_document_and_each_callback_once(openmeter, engine, tmp_path):
    stand_in, url = openmeter
    catalog = ProviderCatalog.from_objects([sandbox])
    ids = [
        stand_in.create(
            [a_line("Seats", "100.00", id=f"01JANE{number:020d}")], collection_method="charge_automatically"
        )
        for number in range(6)
    ]
    with Engine.open(tmp_path / "billhook.db", catalog=catalog, credential_keys=CREDENTIAL_KEYS) as other:
        bridges = [Bridge(each.namespace(), OpenMeter(url, stand_in.token)) for each in (engine, other)]
        one, two = (
            RunningBridge(bridge, each, threads=3, sweep_seconds=0.1)
            for bridge, each in zip(bridges, (engine, other), strict=True)
        )
        with engine.worker(), other.worker(), one, two:
            for id in ids:
                until(stand_in, id, "paid")
        assert (one.stuck, two.stuck) == ({}, {})
    invoices = engine.namespace().invoices.list().items
    assert len(invoices) == len(ids)
    assert len({invoice.external_ids["invoicing"] for invoice in invoices}) == len(ids)
    assert {invoice.amount_paid for invoice in invoices} == {Decimal("100.00")}


def test_a_token_that_is_refused_ends_the_bridge_with_the_reason(openmeter, engine):
    _, url = openmeter
    bridge = Bridge(engine.namespace(), OpenMeter(url, "another"))
    with pytest.raises(UpstreamRefusesUs, match="Give another one"), RunningBridge(bridge, engine) as running:
        running.wait()


@pytest.mark.parametrize("header", ["svix-signature", "svix-timestamp", "svix-id"])
def test_a_notification_without_a_good_signature_is_refused_and_not_heard(header):
    heard: list[str] = []
    with Listening(application(SECRET, heard.append), "127.0.0.1", 0) as listening:
        headers, body = notification("01J00000000000000000000009")
        assert httpx.post(listening.url, content=body, headers=headers | {header: "v1,forged"}).status_code == 401
        assert httpx.post(listening.url, content=body + " ", headers=headers).status_code == 401
        assert httpx.post(listening.url, content=body, headers={}).status_code == 401
    assert heard == []


def test_a_white_labelled_sender_is_understood_and_other_events_are_left_alone():
    heard: list[str] = []
    with Listening(application(SECRET, heard.append), "127.0.0.1", 0) as listening:
        headers, body = notification("01J00000000000000000000009")
        standard = {name.replace("svix", "webhook"): value for name, value in headers.items()}
        assert httpx.post(listening.url + "any/path", content=body, headers=standard).status_code == 204
        headers, body = notification("01J00000000000000000000009", "entitlements.reset")
        assert httpx.post(listening.url, content=body, headers=headers).status_code == 204
    assert heard == ["01J00000000000000000000009"]


def test_while_a_secret_is_rotated_either_signature_is_good():
    heard: list[str] = []
    with Listening(application(SECRET, heard.append), "127.0.0.1", 0) as listening:
        headers, body = notification("01J00000000000000000000009")
        of_the_other = Webhook(OTHER_SECRET).sign("msg-1", datetime.now(UTC), body)
        both = {**headers, "svix-signature": f"{of_the_other} {headers['svix-signature']}"}
        assert httpx.post(listening.url, content=body, headers=both).status_code == 204
        alone = {**headers, "svix-signature": of_the_other}
        assert httpx.post(listening.url, content=body, headers=alone).status_code == 401
    assert heard == ["01J00000000000000000000009"]


@pytest.mark.parametrize("minutes, status", [(-10, 401), (-4, 204), (4, 204), (10, 401)])
def test_a_clock_that_is_wrong_by_more_than_five_minutes_is_named(caplog, minutes, status):
    with Listening(application(SECRET, lambda _id: None), "127.0.0.1", 0) as listening:
        headers, body = notification("01J00000000000000000000009", at=datetime.now(UTC) + timedelta(minutes=minutes))
        assert httpx.post(listening.url, content=body, headers=headers).status_code == status
    assert ("this machine's clock" in caplog.text) is (status == 401)


@pytest.mark.parametrize("told", ["", "whsec_", "secret", "whsec_" + "!" * 40])
def test_what_is_no_secret_of_a_channel_is_told_apart(told):
    assert is_secret(SECRET)
    assert is_secret(SECRET.removeprefix("whsec_"))
    assert not is_secret(told)


def test_a_body_that_is_too_large_is_not_read_to_its_end():
    with Listening(application(SECRET, lambda _id: None), "127.0.0.1", 0) as listening:
        assert httpx.post(listening.url, content=b"x" * (LARGEST_BODY + 1)).status_code == 413


def test_the_agenda_gives_each_out_once_at_a_time_and_earliest_first():
    now = [0.0]
    agenda = Agenda(lambda: now[0])
    agenda.add("later", 5)
    agenda.add("now")
    agenda.add("later", 2)
    assert agenda.take(0) == "now"
    agenda.add("now")
    assert agenda.take(0) is None
    agenda.put_back("now")
    assert agenda.take(0) == "now"
    now[0] = 2.0
    assert agenda.take(0) == "later"
    agenda.put_back("later")
    assert agenda.take(0) is None


def test_while_it_is_paused_the_agenda_gives_nothing_out():
    now = [0.0]
    agenda = Agenda(lambda: now[0])
    agenda.add("now")
    agenda.pause(5)
    agenda.pause(2)
    now[0] = 4.9
    assert (agenda.take(0), agenda.paused_seconds > 0) == (None, True)
    now[0] = 5.0
    assert (agenda.take(0), agenda.paused_seconds) == ("now", 0)


def test_what_fails_comes_again_later_each_time():
    now = [0.0]
    agenda = Agenda(lambda: now[0])
    waits = []
    for _ in range(8):
        agenda.add_again("a")
        waited = 0.0
        while agenda.take(0) is None:
            waited += 0.5
            now[0] += 0.5
        agenda.put_back("a")
        waits.append(waited)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    agenda.succeeded("a")
    agenda.add_again("a")
    now[0] += 1
    assert agenda.take(0) == "a"
