"""The database server ends every session, at every point in turn, and the same process goes on with whatever it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from billhook.errors import StoreUnavailable
from billhook.testing.postgres import PostgresServer, database_name
from billhook.testing.story import SandboxStory

MOST_LIVES = 10
EVERY_DAY_ONE_OF = 15


@dataclass
class Restart:
    """Ends every session of a database at the visits that are asked for."""

    server: PostgresServer
    url: str
    at_visits: frozenset[int] = frozenset()
    visits: list[str] = field(default_factory=list)

    def reach(self, point: str) -> None:
        self.visits.append(point)
        if len(self.visits) in self.at_visits:
            with psycopg.connect(self.server.url(), autocommit=True) as connection:
                ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(ended, (database_name(self.url),))


def told_through(story: SandboxStory, restart: Restart) -> Iterator[str]:
    """What is wrong once a host that tries again whatever it is told to try again has told the whole story."""
    with story.open(restart) as engine:
        for _ in range(MOST_LIVES):
            try:
                story.play(engine)
            except StoreUnavailable:
                continue
            yield from story.problems(engine)
            return
        yield "it never came to its end"


def problems_at(
    new_story: Callable[[], SandboxStory], server: PostgresServer, *at_visits: int
) -> tuple[list[str], list[str]]:
    story = new_story()
    restart = Restart(server, story.store_url, frozenset(at_visits))
    found = list(told_through(story, restart))
    story.close()
    return restart.visits, found


def restarted_at_each(new_story: Callable[[], SandboxStory], server: PostgresServer, one_of: int) -> list[str]:
    points, found = problems_at(new_story, server)
    assert found == []
    wrong = []
    for visit in range(1, len(points) + 1, one_of):
        visits, problems = problems_at(new_story, server, visit)
        assert len(visits) >= visit
        wrong += [f"ended at {points[visit - 1]}, visit {visit}: {problem}" for problem in problems]
    return wrong


def test_a_process_goes_on_when_its_sessions_end(postgres_stories, postgres_server):
    assert restarted_at_each(postgres_stories(), postgres_server, EVERY_DAY_ONE_OF) == []


@pytest.mark.long
def test_a_process_goes_on_wherever_its_sessions_end(postgres_stories, postgres_server):
    assert restarted_at_each(postgres_stories(), postgres_server, 1) == []
