"""Damage is found and named."""

from __future__ import annotations

from pathlib import Path

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import Database, Insert, maintenance, migrate, schema


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "billhook.db"
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db:
        migrate.upgrade(db)
        columns = ("scope", "limit_name", "spent")
        budgets = [(f"{number:05}", "minute", "x" * 200) for number in range(2000)]
        db.write(lambda tx: tx.insert_many(Insert(schema.budget, columns), budgets))
        assert maintenance.check(db) == ()

    contents = path.read_bytes()
    place = contents.rindex(b"01500minute")
    path.write_bytes(contents[: place - 40] + b"\xff" * 80 + contents[place + 40 :])

    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db:
        problems = maintenance.check(db)
    assert {problem.code for problem in problems} == {"file_damaged"}


def test_an_index_that_is_not_valid_is_reported(postgres_server) -> None:
    with Database.open(postgres_server.create(), clock=SystemClock(), faults=NO_FAULTS) as db:
        migrate.upgrade(db)
        spoil = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'billhook_app_namespace'::regclass"
        db.write(lambda tx: tx.connection.exec_driver_sql(spoil))

        assert maintenance.check(db)[0].code == "index_invalid"
