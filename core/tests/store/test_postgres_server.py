"""The test server cleans up after test runs that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from billhook.testing.postgres import PostgresServer, database_name

START_AND_WAIT = """
import sys
from pathlib import Path
from billhook.testing.postgres import PostgresServer

server = PostgresServer(Path(sys.argv[1]))
print(server.url(), flush=True)
sys.stdin.read()
"""


def test_databases_are_copies_of_their_template(postgres_server: PostgresServer) -> None:
    template = postgres_server.create()
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE t (id text)")
    first, second = (postgres_server.create(database_name(template)) for _ in range(2))
    with psycopg.connect(first) as connection:
        connection.execute("INSERT INTO t VALUES ('a')")

    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        postgres_server.drop(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_the_server_of_a_killed_run_is_stopped_by_the_next_one() -> None:
    root = Path(tempfile.mkdtemp(prefix="bh-"))  # short, because a socket's path has to be
    command = [sys.executable, "-c", START_AND_WAIT, str(root)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    psycopg.connect(url).close()

    with PostgresServer(root) as server:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        assert [folder.name for folder in root.glob("server-*")] == [server.folder.name]
    assert list(root.glob("server-*")) == []
