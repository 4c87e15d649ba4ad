from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from threading import Thread

import httpx
import pytest

from billhook.errors import InvalidInput
from billhook.testing.sandbox.ledger import Ledger
from billhook.testing.simulator.memory import EPOCH

BEARER = {"Authorization": "Bearer sandbox-token"}
SERVER = """
import sys, threading
from billhook.testing.sandbox import simulator

sandbox = simulator(sys.argv[1])
if len(sys.argv) > 2:
    sandbox.fault(sys.argv[2], matching="POST /v1/invoices", seconds=3600)
with sandbox.serve() as served:
    print(served.url, flush=True)
    threading.Event().wait()
"""


class Victim:
    """A sandbox in a process of its own, to be killed."""

    def __init__(self, path, *fault):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(path), *fault], stdout=subprocess.PIPE, text=True
        )
        self.http = httpx.Client(base_url=self.process.stdout.readline().strip(), headers=BEARER, timeout=30)

    def customer(self):
        return self.http.post("/v1/customers", json={"items": [{"reference": "c", "name": "Ada"}]}).json()["items"][0][
            "id"
        ]

    def invoice(self, customer):
        line = {"reference": "l", "description": "Tokens", "quantity": "1", "unit_price": "0.10"}
        item = {"reference": "INV", "customer": customer, "currency": "EUR", "lines": [line]}
        return self.http.post(
            "/v1/invoices", json={"status": "issued", "items": [item]}, headers={"Idempotency-Key": "k1"}
        )

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def bury(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        self.http.close()


@pytest.fixture
def victims():
    started = []
    yield started
    for victim in started:
        victim.bury()


def until(condition, within_seconds=60):
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_what_was_answered_is_in_the_file_after_a_kill_and_the_key_still_replays(tmp_path, victims):
    path = tmp_path / "sandbox.db"
    victims.append(Victim(path))
    customer = victims[0].customer()
    first = victims[0].invoice(customer)
    victims[0].kill()

    books = Ledger.open(path)
    assert [(document.reference, document.status) for document in books.documents()] == [("INV", "issued")]
    assert books.totals() == {"EUR": Decimal("0.10")}

    victims.append(Victim(path))
    assert victims[1].invoice(customer).content == first.content
    assert len(books.documents()) == 1
    assert [call.verdict for call in books.calls()] == ["answered", "answered", "replayed"]
    books.close()


def test_a_kill_between_commit_and_answer_keeps_the_invoice(tmp_path, victims):
    path = tmp_path / "sandbox.db"
    victims.append(Victim(path, "slow"))
    victim = victims[0]
    customer = victim.customer()
    seen = []

    def send():
        try:
            victim.invoice(customer)
        except httpx.TransportError as broken:
            seen.append(broken)

    client = Thread(target=send)
    client.start()
    books = Ledger.open(path)
    until(books.documents)
    victim.kill()
    client.join()
    assert len(seen) == 1
    assert [document.reference for document in books.documents()] == ["INV"]
    books.close()


def test_what_was_done_is_in_the_books_only_with_the_answer_that_its_key_replays(tmp_path, victims):
    path = tmp_path / "sandbox.db"
    victims.append(Victim(path))
    customer = victims[0].customer()
    books = Ledger.open(path)
    with books.transaction() as tx:
        # Whoever keeps an answer dies of it, as late as a process can die.
        tx.execute("CREATE TRIGGER dying BEFORE INSERT ON kept_answers BEGIN SELECT RAISE(ABORT, 'killed'); END")
    with pytest.raises(httpx.TransportError):
        victims[0].invoice(customer)
    assert books.documents() == ()
    with books.transaction() as tx:
        tx.execute("DROP TRIGGER dying")
    first = victims[0].invoice(customer)
    assert victims[0].invoice(customer).content == first.content
    assert [document.reference for document in books.documents()] == ["INV"]
    books.close()


def test_a_refused_item_of_a_batch_leaves_nothing_half_written(tmp_path):
    books = Ledger.open(tmp_path / "sandbox.db")
    with books.transaction():
        books.note_event("kept", "a", "1", EPOCH)
        with pytest.raises(InvalidInput):
            refuse_after_writing(books)
        books.note_event("kept too", "c", "3", EPOCH)
    assert [event.type for event in books.events_to_tell()] == ["kept", "kept too"]
    books.close()


def refuse_after_writing(books):
    with books.transaction():
        books.note_event("undone", "b", "2", EPOCH)
        raise InvalidInput("refused", "This item can't be done.")


def test_a_browser_shows_the_books_and_runs_nothing_that_stands_in_them(shop):
    number = shop.issued(number="<script>alert(1)</script>")["number"]
    shown = shop.http.get("/-/", headers={"Authorization": ""})
    assert (shown.status_code, shown.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert number not in shown.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown.text
    assert "<td class=n>10.01</td>" in shown.text
    assert "/-/" not in [call.path for call in shop.sandbox.calls()]


def test_a_program_that_fails_while_a_simulator_is_served_still_ends(tmp_path):
    program = """
from contextlib import ExitStack
from billhook.testing.sandbox import simulator
running = ExitStack()
running.enter_context(simulator("books.db").serve())
raise SystemExit("a mistake further down")
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, "a mistake further down\n")
