"""Engines and declarations that are broken on purpose: the very same enumeration must find duplicates, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from billhook.contract import Repeat, Request
from billhook.engine import engine as engine_module
from billhook.engine.effects import Send
from billhook.engine.journal import Attempt
from billhook.engine.open_operation import OpenOperation
from billhook.engine.round import Round
from billhook.engine.sending import Landed, Sending
from billhook.engine.worker import Worker
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.crash import Crashes
from billhook.testing.sandbox.provider import SandboxProvider

SOON = timedelta(seconds=3)
MUCH_LATER = timedelta(days=2)
"""Longer than the sandbox honours a key."""
SENDS = frozenset({"send.before", "send.after"})


def first_duplicate(new_story: Callable[[], Any], downtime: timedelta = SOON) -> str | None:
    """The first crash around a send after which something stands twice in the books."""
    for run in Crashes(new_story, downtime).singles(SENDS):
        found = run.scenario.books.duplicates()
        run.scenario.close()
        if found:
            return f"{run}: {found[0].kind}"
    return None


@pytest.mark.long
def test_the_engine_as_it_is_doubles_nothing(sqlite_stories):
    assert first_duplicate(sqlite_stories()) is None


def test_a_new_key_for_every_send_is_found_out(sqlite_stories, monkeypatch):
    send = Attempt.about_to_send

    def send_under_another_key(self: Attempt, now: datetime, longest: timedelta) -> None:
        send(self, now, longest)
        if self.key is not None:
            self.key = f"{self.key}/{self.sends}"

    monkeypatch.setattr(Attempt, "about_to_send", send_under_another_key)
    assert first_duplicate(sqlite_stories()) is not None


class HastyWorker(Worker):
    """Sends first, and commits the intent afterwards."""

    _sent: dict[int, Landed]

    def _commit(self, work: Round, now: datetime) -> None:
        self._sent = {}
        for step in work.steps:
            if isinstance(step.effect, Send):
                attempt = step.effect.attempt
                sending = Sending(step.operation, attempt, None, self._context.clock.monotonic(), now)
                self._sent[id(attempt)] = self._sender.task(sending)()
        super()._commit(work, now)

    def _dispatch(self, operation: OpenOperation, sending: Sending) -> None:
        landed = self._sent.pop(id(sending.attempt), None)
        if landed is None:
            super()._dispatch(operation, sending)
            return
        operation.held.operations[operation.id] = operation
        operation.in_flight = True
        operation.due = None
        operation.sent_with = operation.held.credentials_version
        self._senders.submit(lambda: replace(landed, sending=sending))


def test_sending_before_the_intent_is_committed_is_found_out(sqlite_stories, monkeypatch):
    monkeypatch.setattr(engine_module, "Worker", HastyWorker)
    assert first_duplicate(sqlite_stories()) is not None


class Boaster(SandboxProvider):
    """Says that the sandbox honours a key for a month. It does so for a day."""

    def money_request(self, *args: Any) -> Request:
        return boasting(super().money_request(*args))

    def move_request(self, *args: Any) -> Request:
        return boasting(super().move_request(*args))


def boasting(request: Request) -> Request:
    return replace(request, recover=(Repeat(within=timedelta(days=30)), *request.recover))


def test_an_overstated_window_is_found_out(sqlite_stories):
    boastful = ProviderCatalog.from_objects([Boaster])
    assert first_duplicate(sqlite_stories(catalog=boastful), MUCH_LATER) is not None


@pytest.mark.parametrize("point", sorted(SENDS))
def test_a_crash_is_where_it_was_asked_for(sqlite_stories, point):
    crashes = Crashes(sqlite_stories(), SOON)
    run = next(crashes.singles(frozenset({point})))
    assert run.crashes == (point,)
    run.scenario.close()
