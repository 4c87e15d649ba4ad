from __future__ import annotations

import json
from datetime import timedelta

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
