from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from billhook.testing.simulator import Connection, ShelfSimulator, SimReply, SimRequest


class Forgetful(ShelfSimulator):
    """A system that honours a key for an hour."""

    key_window = timedelta(hours=1)

    def connection(self, url):
        return Connection({"base_url": url})

    def answer(self, request, now):
        return SimReply.of(201, self.shelf.add("payment", "A", json.loads(request.body)).body)


def test_a_key_is_honoured_for_as_long_as_the_simulated_system_does(clock):
    system = Forgetful(clock=clock)
    charge = SimRequest(
        "POST", "/charges", headers=(("Idempotency-Key", "k1"),), body=b'{"amount":"1","status":"paid"}'
    )
    system.handle(charge)
    clock.advance(timedelta(minutes=59))
    system.handle(charge)
    assert len(system.payments()) == 1
    clock.advance(timedelta(minutes=1))
    system.handle(charge)
    assert len(system.payments()) == 2


class Queue(ShelfSimulator):
    """It takes orders one by one or several at once, and finishes them a minute later."""

    def connection(self, url):
        return Connection({"base_url": url})

    def answer(self, request, now):
        if request.path == "/all":
            made = [
                self.shelf.add("order", reference, {"at": now.isoformat()}) for reference in json.loads(request.body)
            ]
        else:
            made = [self.shelf.change(self.shelf.get(request.path.strip("/")), status="changed")]
        self.documents()
        return SimReply.of(200, [order.body for order in made])

    def settle(self, now):
        for order in self.shelf.all("order"):
            if now - datetime.fromisoformat(order.body["at"]) >= timedelta(minutes=1):
                self.shelf.change(order, status="finished")

    def turned_down(self, request, refused):
        return SimReply.of(409, {"sorry": refused.name})


def ask(system, path, references=(), key=None):
    headers = () if key is None else (("Idempotency-Key", key),)
    return system.handle(SimRequest("POST", path, headers=headers, body=json.dumps(references).encode()))


@pytest.mark.parametrize("key", [None, "k1"])
def test_of_a_request_that_is_refused_nothing_is_done(clock, key):
    system = Queue(clock=clock)
    system.refuse("B")
    reply = ask(system, "/all", ["A", "B"], key)
    assert (reply.status, reply.json()) == (409, {"sorry": "B"})
    assert system.shelf.all("order") == ()
    assert ask(system, "/all", ["A", "C"], "k2").status == 200


def test_what_stands_there_is_refused_by_either_of_its_names(clock):
    system = Queue(clock=clock)
    ask(system, "/all", ["A", "B", "C"])
    system.refuse("A")
    system.refuse("order_2")
    assert [ask(system, f"/order_{number}").status for number in (1, 2, 3)] == [409, 409, 200]


def test_what_the_system_does_by_itself_goes_on_amid_a_request_too(clock):
    system = Queue(clock=clock)
    ask(system, "/all", ["A", "B"])
    system.refuse("A")
    clock.advance(timedelta(minutes=1))
    assert ask(system, "/all", ["C"]).status == 200
    assert [order.body.get("status") for order in system.shelf.all("order")] == ["finished", "finished", None]
