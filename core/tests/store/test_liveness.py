"""A dead owner is known to be dead at once, from every process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from billhook.clock import SystemClock
from billhook.errors import InvalidInput, StoreError
from billhook.faults import NO_FAULTS
from billhook.store import Database

OWNER, OTHER = "01K0WNER000000000000000001", "01K0WNER000000000000000002"

CLAIM_AND_WAIT = """
import sys
from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import Database

db = Database.open(sys.argv[1], clock=SystemClock(), faults=NO_FAULTS)
claim = db.liveness.claim(sys.argv[2])
print("claimed", flush=True)
sys.stdin.read()
"""


def test_an_owner_is_alive_while_it_holds_its_claim(db: Database, store_url: str) -> None:
    with Database.open(store_url, clock=SystemClock(), faults=NO_FAULTS) as seen_from_elsewhere:
        alive = seen_from_elsewhere.liveness.is_alive
        assert not alive(OWNER)
        with db.liveness.claim(OWNER) as claim:
            assert claim.is_held()
            assert alive(OWNER)
            assert db.liveness.is_alive(OWNER)
            assert not alive(OTHER)
        assert not claim.is_held()
        assert not alive(OWNER)
        claim.release()


def test_an_owner_is_claimed_once(db: Database) -> None:
    with db.liveness.claim(OWNER), pytest.raises(StoreError, match="held by a living process"):
        db.liveness.claim(OWNER)
    db.liveness.claim(OWNER).release()


def test_a_killed_process_is_dead_at_once(db: Database, store_url: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, store_url, OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child, db.liveness.claim(OTHER):
        assert child.stdout is not None
        assert child.stdout.readline() == b"claimed\n"
        assert db.liveness.is_alive(OWNER)

        child.send_signal(signal.SIGKILL)
        child.wait(10)

        if db.dialect == "postgresql":
            wait_until_the_server_noticed(db)
        assert not db.liveness.is_alive(OWNER)
        assert db.liveness.sweep() == (1 if db.dialect == "sqlite" else 0)
        assert db.liveness.is_alive(OTHER)
        assert db.liveness.sweep() == 0
    db.liveness.claim(OWNER).release()


def wait_until_the_server_noticed(db: Database) -> None:
    """Block on the lock itself, which the server gives on when the killed session ends."""
    from billhook.store.session_liveness import lock_key

    with db.read() as tx:
        tx.connection.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(%s)", (lock_key(OWNER),))


def test_many_who_look_never_stand_in_the_way_of_a_claim(db: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(lambda: [db.liveness.is_alive(OWNER) for _ in range(50)]) for _ in range(4)]
        for _ in range(50):
            db.liveness.claim(OWNER).release()
        assert all(len(look.result(30)) == 50 for look in looks)


def test_a_session_that_the_server_ended_is_no_claim_any_more(postgres_server) -> None:
    with Database.open(postgres_server.create(), clock=SystemClock(), faults=NO_FAULTS) as db:
        claim = db.liveness.claim(OWNER)
        with db.read() as tx:
            ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            tx.connection.exec_driver_sql(ended)

        assert not claim.is_held()
        assert not db.liveness.is_alive(OWNER)
        claim.release()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_its_dead_parents_claim(tmp_path: Path) -> None:
    with Database.open(tmp_path / "billhook.db", clock=SystemClock(), faults=NO_FAULTS) as db:
        claim = db.liveness.claim(OWNER)
        (told, tell), (end, hold) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hold)
            os.write(tell, b"started")
            os.read(end, 1)  # lives until the parent lets it go
            os._exit(0)
        os.read(told, 7)
        claim.let_go()
        assert not db.liveness.is_alive(OWNER)
        os.close(hold)
        os.waitpid(child, 0)
        for descriptor in (told, tell, end):
            os.close(descriptor)


def test_an_owner_id_can_not_leave_its_folder(db: Database) -> None:
    for owner_id in ("../evil", "", "a/b", "x" * 65):
        with pytest.raises(InvalidInput):
            db.liveness.claim(owner_id)
