"""Real processes, real signals, real HTTP: what the simulated crashes foretell."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from billhook.engine.engine import Engine
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import simulator
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.story import books_problems

SCRIPT = Path(__file__).with_name("worker_process.py")
PATIENCE_SECONDS = 120
MOST_KILLS_OF_A_STORY = 10


@dataclass
class Site:
    """A database and a sandbox that listens, for processes that come and go."""

    store_url: str
    books: SandboxSimulator
    catalog: Any

    def open(self) -> Engine:
        return Engine.open(self.store_url, upgrade=False, catalog=self.catalog, credential_keys=CREDENTIAL_KEYS)

    def start(self, **settings: object) -> subprocess.Popen[str]:
        arguments = json.dumps({"store": self.store_url, **settings})
        process = subprocess.Popen([sys.executable, str(SCRIPT), arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout as told:
            assert told.readline() == "ready\n"
        return process

    def problems(self) -> list[str]:
        with self.open() as engine:
            return [*books_problems(engine, self.books.ledger), *problems_of(engine)]


@contextmanager
def site(stories: Any) -> Iterator[Site]:
    story = stories()()
    books = simulator(latency_seconds=0.005)
    with books.serve() as served:
        found = Site(story.store_url, books, story.catalog)
        with found.open() as engine:
            apps = engine.namespace().apps
            apps.update(apps.list().items[0].id, settings={"base_url": served.url})
        yield found
    books.close()
    story.close()


def finish(process: subprocess.Popen[str]) -> None:
    assert process.wait(PATIENCE_SECONDS) == 0


def kill_at_random_moments(stories: Any, kills: int, seed: int) -> None:
    """Kill workers at random moments until that many were killed at work; each story is then finished and looked at."""
    dice = random.Random(seed)
    killed = 0
    while killed < kills:
        with site(stories) as place:
            # A slow machine would spend all of them on one story that never gets far.
            for _ in range(min(MOST_KILLS_OF_A_STORY, kills - killed)):
                process = place.start()
                time.sleep(dice.uniform(0, 0.6))
                if process.poll() is not None:
                    break
                process.kill()
                process.wait()
                killed += 1
            finish(place.start())
            assert place.problems() == []


def test_workers_killed_at_random_moments_leave_everything_exactly_once(sqlite_stories):
    kill_at_random_moments(sqlite_stories, kills=5, seed=1)


def test_workers_killed_on_postgres_leave_everything_exactly_once(postgres_stories):
    kill_at_random_moments(postgres_stories, kills=1, seed=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
def test_a_hundred_kills_leave_everything_exactly_once(stories, seed):
    kill_at_random_moments(stories, kills=25, seed=seed)


def sleeps_through_its_lease(stories: Any, at_send: int, at: str = "send.before") -> list[str]:
    """One process is stopped just before a request leaves, another one takes over and finishes, then the first one goes on."""
    with site(stories) as place:
        sleeper = place.start(lease_seconds=1.0, stop_at=at, stop_at_visit=at_send)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
        try:
            finish(place.start(lease_seconds=1.0))
        finally:
            sleeper.send_signal(signal.SIGCONT)
        finish(sleeper)
        return place.problems()


def test_a_process_that_sleeps_through_its_lease_charges_nobody_twice(stories):
    assert sleeps_through_its_lease(stories, at_send=6) == []


def test_a_process_that_sleeps_with_the_answer_in_hand_settles_nothing_late(stories):
    assert sleeps_through_its_lease(stories, at_send=6, at="reply.received") == []


def test_a_process_that_sleeps_through_its_lease_makes_no_second_draft(postgres_stories):
    assert sleeps_through_its_lease(postgres_stories, at_send=3) == []


@pytest.mark.long
@pytest.mark.parametrize("commit", [3, 8])
def test_a_process_that_sleeps_in_the_middle_of_a_commit_blocks_the_others_for_a_minute_only(postgres_stories, commit):
    with site(postgres_stories) as place:
        sleeper = place.start(lease_seconds=1.0, stop_at="commit.before", stop_at_visit=commit)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED)
        try:
            finish(place.start(lease_seconds=1.0))
        finally:
            sleeper.send_signal(signal.SIGCONT)
        # The server ended its session meanwhile, so it may well say that it can't know what was stored.
        sleeper.wait(PATIENCE_SECONDS)
        finish(place.start())
        assert place.problems() == []


@pytest.mark.long
@pytest.mark.parametrize("at_send", range(1, 10))
def test_a_process_may_sleep_before_any_request(stories, at_send):
    assert sleeps_through_its_lease(stories, at_send) == []
