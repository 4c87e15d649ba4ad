from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread

from billhook.clock import TurnedClock
from billhook.testing.sandbox import simulator
from billhook.testing.sandbox.webhooks import SIGNATURE_HEADER, signature_of

STEERING = "openmeter.io/sandbox/target-payment-status"


class Receiver:
    def __init__(self, status=200):
        self.status = status
        self.told = []

    def __call__(self, headers, body):
        self.told.append((dict(headers), json.loads(body)))
        return self.status

    @property
    def types(self):
        return [told["type"] for _, told in self.told]


def signed_at_seconds(headers, body, secret="sandbox-webhook-secret"):
    stamp, signature = dict(headers)[SIGNATURE_HEADER].split(",")
    at_seconds = int(stamp.removeprefix("t="))
    assert signature == f"v1={signature_of(body, at_seconds, secret)}"
    return at_seconds


def test_events_name_what_changed_and_are_signed(shop, clock):
    invoice = shop.issued("INV-1")
    (headers, body) = shop.sandbox.pending_webhooks()[-1]
    told = json.loads(body)
    assert (told["type"], told["reference"], told["object_id"]) == ("invoice.updated", "INV-1", invoice["id"])
    assert told["at"] == clock.now().isoformat()
    assert signed_at_seconds(headers, body) == int(clock.now().timestamp())


def test_a_confirmed_event_is_not_told_again_and_a_refused_one_is(shop):
    shop.pay()
    deaf, hearing = Receiver(status=503), Receiver()
    assert shop.sandbox.deliver_webhooks(deaf) == 1
    assert shop.sandbox.deliver_webhooks(hearing) == 1
    assert shop.sandbox.deliver_webhooks(hearing) == 0
    assert deaf.told[0][1]["id"] == hearing.told[0][1]["id"]


def test_a_payment_that_settles_later_is_told_when_it_does(shop, clock):
    receiver = Receiver()
    shop.pay(metadata={STEERING: "processing"})
    shop.sandbox.deliver_webhooks(receiver)
    clock.advance(timedelta(seconds=60))
    shop.sandbox.deliver_webhooks(receiver)
    assert receiver.types == ["payment.processing", "payment.succeeded"]


def test_a_duplicate_delivery_tells_everything_twice(shop):
    shop.pay()
    shop.sandbox.fault("duplicate_delivery")
    receiver = Receiver()
    shop.sandbox.deliver_webhooks(receiver)
    first, second = (told for _, told in receiver.told)
    assert first == second
    assert shop.sandbox.pending_webhooks() == []


def test_a_reordered_delivery_tells_the_newest_first(shop):
    shop.pay("A", metadata={STEERING: "failed"})
    shop.pay("B")
    shop.sandbox.fault("reordered_delivery")
    receiver = Receiver()
    shop.sandbox.deliver_webhooks(receiver)
    assert receiver.types == ["payment.succeeded", "payment.failed"]


def test_a_delivery_fault_waits_for_the_event_that_it_matches(shop):
    shop.sandbox.fault("duplicate_delivery", matching="webhook payment.failed")
    receiver = Receiver()
    shop.pay("A")
    shop.sandbox.deliver_webhooks(receiver)
    shop.pay("B", metadata={STEERING: "failed"})
    shop.sandbox.deliver_webhooks(receiver)
    assert receiver.types == ["payment.succeeded", "payment.failed", "payment.failed"]


def test_a_skewed_clock_signs_with_the_wrong_time(shop, clock):
    shop.pay()
    shop.sandbox.fault("clock_skew", matching="webhook", seconds=-600)
    posted = []
    shop.sandbox.deliver_webhooks(lambda headers, body: posted.append((headers, body)) or 200)
    assert signed_at_seconds(*posted[0]) == int(clock.now().timestamp()) - 600


def test_a_call_under_a_skewed_clock_leaves_an_event_with_the_wrong_time(shop, clock):
    shop.sandbox.fault("clock_skew", matching="POST /v1/payments", seconds=900)
    shop.pay("A")
    shop.pay("B")
    wrong, right = shop.sandbox.pending_webhooks()
    assert signed_at_seconds(*wrong) - signed_at_seconds(*right) == 900


class Host:
    """A host that takes webhooks over HTTP; nobody is there until it is started."""

    def __init__(self):
        self.told = []
        self.arrived = Event()
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                host.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()
                host.arrived.set()

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server.server_bind()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def start(self):
        self.server.server_activate()
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class WatchedClock(TurnedClock):
    """A clock that tells when it was looked at several times."""

    def __init__(self, start):
        super().__init__(start)
        self.looks = 0
        self.looked_at = Event()

    def now(self):
        self.looks += 1
        if self.looks > 6:
            self.looked_at.set()
        return super().now()


def test_a_served_sandbox_posts_its_webhooks_by_itself_and_goes_on_until_somebody_is_there(tmp_path):
    host, clock = Host(), WatchedClock(datetime(2026, 3, 1, tzinfo=UTC))
    sandbox = simulator(tmp_path / "sandbox.db", clock=clock, webhook_url=host.url)
    sandbox.ledger.note_event("payment.succeeded", "PAY", "pay_000001", clock.now())
    with sandbox.serve():
        assert clock.looked_at.wait(30)  # several ticks with nobody there
        host.start()
        assert host.arrived.wait(30)
    host.stop()
    assert host.told[0]["type"] == "payment.succeeded"
    assert sandbox.pending_webhooks() == []
    sandbox.close()
