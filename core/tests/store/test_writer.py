"""All writes go through one thread, in groups. Only the bad job of a group fails, and a crash leaves no half."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.errors import StaleWrite, StoreError
from billhook.faults import NO_FAULTS, Crash
from billhook.store import Database, Insert, Transaction, Update
from billhook.store.database import RUNS
from billhook.store.writer import Job


class CrashAt:
    """Dies the first time that a point is reached once it is armed."""

    def __init__(self, point: str, error: BaseException | None = None) -> None:
        self.point = point
        self.error = error or Crash(point)
        self.armed = False
        self.commits = 0

    def reach(self, point: str) -> None:
        self.commits += point == "commit.after"
        if self.armed and point == self.point:
            raise self.error


def reopened(url: str) -> Database:
    return Database.open(url, clock=SystemClock(), faults=NO_FAULTS)


def add(item: sa.Table, *ids: str) -> Job[str]:
    def job(tx: Transaction) -> str:
        tx.insert_many(Insert(item, ("id", "version")), [(id, 1) for id in ids])
        return ids[-1]

    return job


def ids_in(db: Database, item: sa.Table) -> list[str]:
    with db.read() as tx:
        return [row.id for row in tx.all(sa.select(item.c.id).order_by(item.c.id))]


def queued_behind_a_slow_job(db: Database, *jobs: Job[str]) -> list[Future[str]]:
    """Submit jobs while the writer is busy, so that it takes all of them as one group."""
    started, go_on = threading.Event(), threading.Event()

    def slow(_tx: Transaction) -> None:
        started.set()
        go_on.wait(10)

    first = db.submit(slow)
    started.wait(10)
    futures = [db.submit(job) for job in jobs]
    go_on.set()
    first.result(10)
    return futures


def test_what_waits_is_committed_together(store_url: str, item: sa.Table) -> None:
    faults = CrashAt("never")
    with Database.open(store_url, clock=SystemClock(), faults=faults) as db:
        db.write(lambda tx: item.create(tx.connection))
        before = faults.commits
        futures = queued_behind_a_slow_job(db, *(add(item, f"{number:02}") for number in range(50)))

        assert [future.result(10) for future in futures] == [f"{number:02}" for number in range(50)]
        assert faults.commits - before == 2


def test_thirty_two_threads_lose_and_double_nothing(db: Database, item: sa.Table) -> None:
    db.write(lambda tx: tx.insert_many(Insert(item, ("id", "version")), [("counter", 0)]))

    def bump(tx: Transaction) -> None:
        version = tx.scalar(sa.select(item.c.version).where(item.c.id == "counter"))
        assert tx.update_many(
            Update(item, key=("id", "version"), set=("version",)), [("counter", version, version + 1)]
        )

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda _: [db.write(bump) for _ in range(10)], range(32)))

    with db.read() as tx:
        assert tx.scalar(sa.select(item.c.version)) == 320


def test_only_the_bad_job_of_a_group_fails(db: Database, item: sa.Table) -> None:
    def bad(tx: Transaction) -> str:
        add(item, "left by the bad one")(tx)
        raise LookupError("the bad one")

    good, failed, twin, last = queued_behind_a_slow_job(db, add(item, "a"), bad, add(item, "a"), add(item, "b"))

    assert good.result(10) == "a"
    with pytest.raises(LookupError, match="the bad one"):
        failed.result(10)
    with pytest.raises(sa.exc.IntegrityError):
        twin.result(10)
    assert last.result(10) == "b"
    assert ids_in(db, item) == ["a", "b"]


def test_callbacks_are_called_once_after_the_commit_and_never_after_a_rollback(db: Database, item: sa.Table) -> None:
    seen: list[tuple[str, list[str]]] = []

    def telling(name: str, *, fails: bool = False) -> Job[str]:
        def job(tx: Transaction) -> str:
            tx.after_commit(lambda: seen.append((name, ids_in(db, item))))
            add(item, name)(tx)
            if fails:
                raise LookupError(name)
            return name

        return job

    futures = queued_behind_a_slow_job(db, telling("a"), telling("bad", fails=True), telling("b"))
    assert [future.exception(10) is None for future in futures] == [True, False, True]

    assert seen == [("a", ["a"]), ("b", ["a", "b"])]


def test_of_a_part_that_failed_nothing_stays_and_nobody_is_called(db: Database, item: sa.Table) -> None:
    seen: list[str] = []

    def job(tx: Transaction) -> None:
        for name in ("a", "bad", "b"):
            with suppress(LookupError), tx.part():
                tx.after_commit(lambda name=name: seen.append(name))
                add(item, name)(tx)
                if name == "bad":
                    raise LookupError(name)

    db.write(job)

    assert (seen, ids_in(db, item)) == (["a", "b"], ["a", "b"])


def test_a_callback_that_fails_is_logged_and_undoes_nothing(
    db: Database, item: sa.Table, caplog: pytest.LogCaptureFixture
) -> None:
    def job(tx: Transaction) -> str:
        tx.after_commit(lambda: int("not a number"))
        return add(item, "a")(tx)

    assert db.write(job) == "a"
    assert db.write(add(item, "b")) == "b"
    assert "A callback after a commit failed" in caplog.text


@pytest.mark.parametrize("point, stored", [("commit.before", []), ("commit.after", ["a", "b"])])
def test_a_crash_around_a_commit_leaves_all_or_nothing(
    store_url: str, item: sa.Table, point: str, stored: list[str]
) -> None:
    faults = CrashAt(point)
    db = Database.open(store_url, clock=SystemClock(), faults=faults)
    db.write(lambda tx: item.create(tx.connection))
    faults.armed = True

    with pytest.raises(Crash):
        db.write(add(item, "a", "b"))
    with pytest.raises(StoreError, match="writer died"):
        db.write(add(item, "c"))
    db.close()

    with reopened(store_url) as again:
        assert ids_in(again, item) == stored


def test_a_crash_inside_a_job_reaches_everybody_who_waits(db: Database, item: sa.Table, store_url: str) -> None:
    def crash(tx: Transaction) -> str:
        add(item, "half")(tx)
        raise Crash("in the middle")

    futures = queued_behind_a_slow_job(db, add(item, "a"), crash, add(item, "b"))

    assert [type(future.exception(10)) for future in futures] == [Crash, Crash, Crash]
    with reopened(store_url) as again:
        assert ids_in(again, item) == []


def test_a_commit_that_was_not_confirmed_is_not_run_again(store_url: str, item: sa.Table) -> None:
    faults = CrashAt("commit.before", OSError("the disk is gone"))
    runs: list[int] = []
    with Database.open(store_url, clock=SystemClock(), faults=faults) as db:
        db.write(lambda tx: item.create(tx.connection))
        faults.armed = True
        with pytest.raises(StoreError, match="did not confirm a commit"):
            db.write(lambda tx: runs.append(1))
        faults.armed = False

        assert runs == [1]
        assert db.write(add(item, "a")) == "a"


class SomebodyElseFirst:
    """A job before which somebody else is so many times; it adds a row that must not stay, and then its own."""

    def __init__(self, item: sa.Table, times: int, told: Callable[[Transaction], object]) -> None:
        self.item, self.times, self.told, self.runs = item, times, told, 0

    def __call__(self, tx: Transaction) -> str:
        self.runs += 1
        if self.runs <= self.times:
            add(self.item, "half")(tx)
            self.told(tx)
        return add(self.item, "whole")(tx)


def say_stale(_tx: Transaction) -> None:
    raise StaleWrite("Somebody else was first.")


@pytest.mark.parametrize("times", [1, RUNS - 1])
@pytest.mark.parametrize("how", ["row_changed", "key_taken"])
def test_a_job_looks_again_where_somebody_else_was_first(db: Database, item: sa.Table, times: int, how: str) -> None:
    job = SomebodyElseFirst(item, times, say_stale if how == "row_changed" else add(item, "taken", "taken"))
    assert db.write(job) == "whole"
    assert (job.runs, ids_in(db, item)) == (times + 1, ["whole"])


def test_whoever_is_never_first_is_told_and_so_is_at_once_who_prepares_anew(db: Database, item: sa.Table) -> None:
    for write, runs in ((db.write, RUNS), (db.write_once, 1)):
        job = SomebodyElseFirst(item, 99, say_stale)
        with pytest.raises(StaleWrite):
            write(job)
        assert (job.runs, ids_in(db, item)) == (runs, [])


def test_a_disk_that_is_full_stores_nothing_and_says_what_to_do(tmp_path: Path, item: sa.Table) -> None:
    with Database.open(tmp_path / "full.db", clock=SystemClock(), faults=NO_FAULTS) as db:
        db.write(lambda tx: item.create(tx.connection))
        db.write(lambda tx: tx.connection.exec_driver_sql("PRAGMA max_page_count = 1").scalar_one())

        def write_much(tx: Transaction) -> None:
            add(item, "a")(tx)
            tx.connection.exec_driver_sql("CREATE TABLE much AS SELECT zeroblob(100000) AS body")

        with pytest.raises(StoreError, match=r"\(database or disk is full\). Nothing was stored. Make room") as refused:
            db.write(write_much)
        assert "sqlalche" not in str(refused.value)
        assert ids_in(db, item) == []


def test_a_job_that_waits_for_another_job_is_refused(db: Database, item: sa.Table) -> None:
    with pytest.raises(RuntimeError, match="its own transaction"):
        db.write(lambda tx: db.write(add(item, "a")))


def test_a_cancelled_job_is_not_run(db: Database, item: sa.Table) -> None:
    started, go_on = threading.Event(), threading.Event()
    slow = db.submit(lambda _tx: (started.set(), go_on.wait(10)))
    started.wait(10)
    next_one = db.submit(add(item, "a"))
    assert next_one.cancel()
    go_on.set()
    slow.result(10)

    assert db.write(add(item, "b")) == "b"
    assert ids_in(db, item) == ["b"]


def test_closing_writes_what_was_submitted(db: Database, item: sa.Table, store_url: str) -> None:
    futures = [db.submit(add(item, f"{number}")) for number in range(9)]
    db.close()
    db.close()

    assert all(future.done() for future in futures)
    with pytest.raises(StoreError, match="closed"):
        db.submit(add(item, "late"))
    with reopened(store_url) as again:
        assert len(ids_in(again, item)) == 9


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that it is dangerous is what this is about
def test_a_forked_child_is_told_to_open_the_database_itself(db: Database, item: sa.Table, said_in_a_fork) -> None:
    assert "after the fork" in said_in_a_fork(lambda: db.submit(add(item, "a")))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_speak_over_its_parents_connections(postgres_server) -> None:
    read_end, write_end = os.pipe()
    with reopened(postgres_server.create()) as db:
        ours = session_of(db)
        child = os.fork()
        if child == 0:
            os.write(write_end, str(session_of(db)).encode())
            db.backend.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert int(os.read(read_end, 100)) != ours
        assert session_of(db) == ours
    os.close(read_end)
    os.close(write_end)


def session_of(db: Database) -> int:
    with db.read() as tx:
        return int(tx.scalar(sa.text("SELECT pg_backend_pid()")))


def test_a_lock_held_by_somebody_else_delays_the_writer(tmp_path: Path, item: sa.Table) -> None:
    path = str(tmp_path / "shared.db")
    with reopened(path) as db:
        db.write(lambda tx: item.create(tx.connection))
        with closing(sqlite3.connect(path)) as host:
            host.execute("INSERT INTO item (id, version) VALUES ('host', 1)")
            waiting = db.submit(add(item, "ours"))
            with pytest.raises(TimeoutError):
                waiting.result(0.4)
            host.commit()
            assert waiting.result(10) == "ours"
        assert ids_in(db, item) == ["host", "ours"]


def test_a_lock_that_is_never_given_back_is_reported(tmp_path: Path, item: sa.Table) -> None:
    path = str(tmp_path / "shared.db")
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS, patience=timedelta(milliseconds=300)) as db:
        db.write(lambda tx: item.create(tx.connection))
        with closing(sqlite3.connect(path)) as host:
            host.execute("INSERT INTO item (id, version) VALUES ('host', 1)")
            with pytest.raises(StoreError, match="a transaction that the host left open"):
                db.write(add(item, "ours"))
        assert db.write(add(item, "ours")) == "ours"


def test_a_row_that_the_host_holds_while_it_waits_for_us_is_reported(postgres_server, item: sa.Table) -> None:
    url, patience = postgres_server.create(), timedelta(milliseconds=300)
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS, patience=patience) as db:
        db.write(lambda tx: item.create(tx.connection))
        db.write(add(item, "shared"))
        with closing(psycopg.connect(url)) as host:
            host.execute("UPDATE item SET version = 7")
            with pytest.raises(StoreError, match="left open"):
                db.write(lambda tx: tx.execute(sa.update(item).values(version=8)))
            assert db.write(add(item, "ours")) == "ours"
            host.commit()
        db.write(lambda tx: tx.execute(sa.update(item).values(version=9)))


def test_a_lost_connection_is_replaced_and_the_job_run_again(postgres_server, item: sa.Table) -> None:
    url = postgres_server.create()
    with reopened(url) as db:
        db.write(lambda tx: item.create(tx.connection))
        session = db.write(lambda tx: tx.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        with db.read() as tx:
            tx.connection.exec_driver_sql("SELECT pg_terminate_backend(%s, 10000)", (session,))

        assert db.write(add(item, "a")) == "a"
        assert ids_in(db, item) == ["a"]
