"""The benchmark measures what it says: the bare driver writes the very same rows, and its numbers come from what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from billhook.testing.bench import main, stores
from billhook.testing.bench.baskets import drafts, line_counts
from billhook.testing.bench.callbacks import CLIENTS, measure_callbacks
from billhook.testing.bench.command import PARTS
from billhook.testing.bench.fairness import BIG, Crowd, Run, let_loose, measure_fairness
from billhook.testing.bench.growth import fill
from billhook.testing.bench.identical import differing_tables, fingerprints
from billhook.testing.bench.recording import recorded
from billhook.testing.bench.scene import SEED, engine_on, prepare_empty, submit
from billhook.testing.bench.steps import NotIdentical, record
from billhook.testing.bench.stores import PostgresStore, SqliteStore, Store, copied

INVOICES = 60  # more than one batch


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        yield SqliteStore(tmp_path)
        return
    yield PostgresStore(request.getfixturevalue("postgres_server"))


@pytest.fixture
def due(store: Store) -> Iterator[str]:
    """A database with invoices that are due."""
    url = store.fresh()
    prepare_empty(url, INVOICES)
    submit(url, INVOICES)
    yield url
    store.drop(url)


def test_the_bare_driver_leaves_the_same_rows_as_the_engine(store, due):
    with copied(store, due) as written, copied(store, due) as replayed:
        with engine_on(written) as engine, recorded(engine.database) as recording:
            engine.run_until_idle()
        assert differing_tables(written, replayed)
        store.replay(replayed, recording)
        assert fingerprints(written) == fingerprints(replayed)


def test_every_invoice_is_paid_and_no_work_is_left(store, due):
    with engine_on(due) as engine:
        engine.run_until_idle()
        page = engine.namespace().invoices.list(page_size=INVOICES)
    assert {invoice.status for invoice in page.items} == {"paid"}
    assert page.total_count == INVOICES
    assert fingerprints(due)["billhook_work"].startswith("0 rows")


def test_a_recording_that_leaves_something_out_is_not_measured_against(store, due, monkeypatch):
    whole = store.replay
    monkeypatch.setattr(store, "replay", lambda url, recording: recording.commits.pop() and whole(url, recording))
    with pytest.raises(NotIdentical):
        record(store, due, lambda engine: engine.run_until_idle())


def test_a_commit_that_wrote_nothing_is_not_recorded(store, due):
    with engine_on(due) as engine, recorded(engine.database) as recording:
        engine.database.write(lambda tx: tx.connection.exec_driver_sql("SELECT 1").scalar())
        engine.database.write(partial(_touch, engine))
    assert [[write.sql.split()[0] for write in commit] for commit in recording.commits] == [["UPDATE"]]


def _touch(engine, tx):
    tx.connection.exec_driver_sql("UPDATE billhook_app SET name = name")


def test_copies_fill_the_table_with_invoices_of_their_own(store):
    url = store.fresh()
    fill(store, url, 1_500)
    held = fingerprints(url)
    with engine_on(url) as engine:
        page = engine.namespace().invoices.list(page_size=1)
        copy = engine.namespace().invoices.list(page=1_500, page_size=1).items[0]
    store.drop(url)
    assert page.total_count == 1_500
    assert copy.status == "paid"
    assert copy.content.lines
    for table in ("document_body", "document_mapping", "payment"):
        assert held[f"billhook_{table}"].startswith("1500 rows")


def test_baskets_have_the_real_shape_and_never_change():
    counts = sorted(line_counts(10_000, SEED))
    assert [counts[10_000 * share // 100 - 1] for share in (10, 25, 50, 75, 90, 99)] == [1, 2, 10, 23, 47, 192]
    assert 20 < sum(counts) / len(counts) < 22
    assert drafts(20, SEED) == drafts(20, SEED)


def test_no_call_comes_before_its_budget(tmp_path):
    crowd = Crowd(big=30, tenants=25, each=2)
    run = let_loose(str(tmp_path / "crowd.db"), crowd)
    assert len(run.calls) == crowd.tenants + 1
    assert sorted(map(len, run.calls.values())) == [crowd.each] * crowd.tenants + [crowd.big]
    assert run.over_budget == 0


def test_a_call_too_early_is_counted():
    calls = {BIG: [0, 999_999, 2_000_000], **{f"small-{number}": [500_000] for number in range(19)}}
    assert Run(calls, BIG, 0).over_budget == 2  # one second of its own app, and the twenty-first call of the second


LONG_PARTS = {"callbacks", "fanout", "growth"}
EACH_PART = [
    pytest.param(part, marks=[pytest.mark.long] if part in LONG_PARTS else []) for part in PARTS if part != "fairness"
]


@pytest.mark.parametrize("part", EACH_PART)
def test_each_part_prints_its_figures(part, capsys, tmp_path):
    sizes = ["--invoices", "12", "--rounds", "1", "--rows", "4", "8", "--channels", "4"]
    _run("--only", part, "--store", "sqlite", "--json", *sizes, "--folder", str(tmp_path))
    check(json.loads(capsys.readouterr().out)["figures"])


def test_fairness_has_its_figures(tmp_path):
    check([figure.to_json() for figure in measure_fairness(SqliteStore(tmp_path), Crowd(3, 2, 2))])


def check(figures):
    assert figures
    for figure in figures:
        assert figure["min"] <= figure["median"] <= figure["max"]
        assert figure["rounds"] >= 1
        assert figure["divided_by"] or not figure["unit"]


def _run(*arguments):
    assert main(arguments) == 0


def test_a_table_says_what_each_ratio_is_divided_by(capsys, tmp_path):
    _run("--only", "intake", "--store", "sqlite", "--invoices", "4", "--rounds", "1", "--folder", str(tmp_path))
    assert "divided by: bare driver" in capsys.readouterr().out


def test_without_postgresql_the_rest_is_measured(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "find_spec", lambda name: None)
    _run("--only", "intake", "--invoices", "4", "--rounds", "1", "--json", "--folder", str(tmp_path))
    printed = json.loads(capsys.readouterr().out)
    assert {figure["store"] for figure in printed["figures"]} == {"sqlite"}
    assert "PostgreSQL" in printed["skipped"][0]


@pytest.mark.long
def test_callbacks_are_measured_against_a_handler_that_makes_the_same_commits(postgres_server):
    # On a database file they are a part whose figures are printed.
    figures = {figure.name: figure for figure in measure_callbacks(PostgresStore(postgres_server), 4, 1)}
    for clients in CLIENTS:
        ratio = figures[f"callbacks per second, {clients} clients"]
        ours, bare = figures[f"billhook serve, {clients} clients"], figures[f"bare handler, {clients} clients"]
        assert ratio.n == 12
        assert ratio.values == (ours.values[0] / bare.values[0],)
        assert f"p99, {clients} clients" in figures
