"""A damaged file is what the check is for."""

from __future__ import annotations

from pathlib import Path

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import maintenance, migrate
from billhook.store.database import Database


def test_a_file_with_random_bytes_in_its_middle_is_reported_and_not_raised(tmp_path: Path) -> None:
    path = tmp_path / "billhook.db"
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db:
        migrate.upgrade(db)
    whole = bytearray(path.read_bytes())
    whole[4096 : len(whole) - 4096] = b"\xa5" * (len(whole) - 8192)
    path.write_bytes(whole)
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db:
        assert "file_damaged" in {problem.code for problem in maintenance.check(db)}
