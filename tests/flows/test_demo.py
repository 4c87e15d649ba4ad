"""The demo as a user runs it: in processes of its own, undisturbed and killed, on both stores."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billhook.testing.postgres import PostgresServer
from billhook.testing.sandbox.ledger import Ledger

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from starting import Command, ready

RUN = "from billhook.cli import main; main()"
IMPORTED_BY_EVERY_DEMO = ("billhook.demo.live", "billhook.demo.run", "alembic.operations", "httpx", "psycopg")
Process = Command | subprocess.Popen[str]
Start = Callable[..., Process]
PATIENCE_SECONDS = 180
LOOK_SECONDS = 0.005
SANDBOX = ("--invoicing", "sandbox")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "demo.db")
    return request.getfixturevalue("server").create()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(scope="module")
def ready_at() -> Iterator[Path]:
    with ready(environment(), *IMPORTED_BY_EVERY_DEMO) as at:
        yield at


@pytest.fixture
def start(ready_at: Path) -> Iterator[Start]:
    """Start a command in a process of its own, ended with the test."""
    yield from starting(lambda *arguments: Command(ready_at, arguments, environment()))


@pytest.fixture
def start_afresh() -> Iterator[Start]:
    """The same in a process that has to import everything, as a user's has."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command, pipe = [sys.executable, "-c", RUN, *arguments], subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment())

    yield from starting(start)


def starting(start: Start) -> Iterator[Start]:
    with ExitStack() as stack:

        def start_here(*arguments: str) -> Process:
            process = start(*arguments)
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start_here


@pytest.fixture
def demo(start: Start, db: str, books: Path) -> Callable[[], Process]:
    return lambda: start("demo", *SANDBOX, "--db", db, "--ledger", str(books), "--json")


def result_of(process: Process) -> dict[str, Any]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    return json.loads(out)


def without_calls(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "provider_calls"}


WHOLE_DAY = {
    "invoicing": "sandbox",
    "payment": "sandbox",
    "documents": 66,
    "accepted": 65,
    "credit_notes": 4,
    "currency": "GBP",
    "engine_total": "24503.75",
    "ledger_total": "24503.75",
    "difference": "0.00",
    "ledger_documents": 65,
    "duplicates": 0,
    "paid": 61,
    "states": {"invoices": {"paid": 61}, "credit_notes": {"issued": 4}},
    "in_doubt": 0,
    "refused": [
        {
            "document": "536414",
            "code": "customer_missing",
            "reason": "It names no customer. Line 1 (22139) has no description, and a price of 0.",
        }
    ],
    "accounts": {
        "discounts": {"lines": 1, "amount": "-27.50"},
        "postage": {"lines": 2, "amount": "69.00"},
        "sales": {"lines": 995, "amount": "24462.25"},
    },
}


def test_a_trading_day_arrives_to_the_cent_and_a_second_run_asks_for_nothing_more(demo):
    first = result_of(demo())
    assert without_calls(first) == WHOLE_DAY
    # One call for the customers, two each for drafts and issuing, one for the credit notes, one for each payment.
    assert first["provider_calls"] == 67
    assert result_of(demo()) == first


def test_the_books_hold_every_document_as_it_was_sold(demo, books):
    result_of(demo())
    with closing(Ledger.open(books)) as ledger:
        documents = {document.metadata["document"]: document for document in ledger.documents()}
        customers = ledger.customers()
    totals = {number: documents[number].total for number in ("536365", "536366", "536367", "C536506")}
    assert totals == {
        "536365": Decimal("139.12"),
        "536366": Decimal("22.20"),
        "536367": Decimal("278.73"),
        "C536506": Decimal("25.50"),
    }
    assert documents["C536506"].kind == "credit_note"
    assert max(len(document.lines) for document in documents.values()) == 85
    assert sorted({customer.address["country"] for customer in customers}) == ["AU", "FR", "GB", "NL"]
    assert len(customers) == 48


def test_nothing_stays_behind_without_files(start_afresh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert without_calls(result_of(start_afresh("demo", *SANDBOX, "--json"))) == WHOLE_DAY
    assert list(tmp_path.iterdir()) == []


def test_a_person_gets_a_summary(start_afresh, tmp_path):
    process = start_afresh("demo", *SANDBOX, "--db", str(tmp_path / "demo.db"))
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert "24503.75 GBP in 65 documents" in said
    assert "536414" in said
    assert "CC BY 4.0" in said
    assert (tmp_path / "demo-ledger.db").exists()


def test_books_that_belong_to_another_database_are_left_alone(start, tmp_path, books):
    result_of(start("demo", *SANDBOX, "--db", str(tmp_path / "one.db"), "--ledger", str(books), "--json"))
    stranger = start("demo", *SANDBOX, "--db", str(tmp_path / "other.db"), "--ledger", str(books), "--json")
    _, err = stranger.communicate(timeout=PATIENCE_SECONDS)
    assert (stranger.returncode, json.loads(err)["error"]["code"]) == (1, "ledger_of_another_database")
    lost = start("demo", *SANDBOX, "--db", str(tmp_path / "one.db"), "--ledger", str(tmp_path / "empty.db"), "--json")
    _, err = lost.communicate(timeout=PATIENCE_SECONDS)
    assert (lost.returncode, json.loads(err)["error"]["code"]) == (1, "ledger_missing")


def refused(process: Process) -> dict[str, Any]:
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    return json.loads(err)["error"]


def test_one_file_for_both_books_is_refused_before_anything_is_written(start, tmp_path):
    one = tmp_path / "one.db"
    for db in (str(one), f"sqlite:///{one}", str(tmp_path / "sub" / ".." / "one.db")):
        assert refused(start("demo", *SANDBOX, "--db", db, "--ledger", str(one), "--json"))["code"] == "same_file"
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_is_something_else_is_refused_before_anything_is_written(start, tmp_path):
    db, text, other = tmp_path / "demo.db", tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, but longer than a header of one hundred bytes would ever be\n" * 3)
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE customers (id TEXT, shoe_size INTEGER)")
    before = {path: path.read_bytes() for path in (text, other)}
    for ledger in (text, other, tmp_path / "missing" / "ledger.db"):
        error = refused(start("demo", *SANDBOX, "--db", str(db), "--ledger", str(ledger), "--json"))
        assert error["code"] == "store"
        assert ledger.name in error["message"]
    assert {path: path.read_bytes() for path in (text, other)} == before
    assert not db.exists()


CASTS = [  # everybody who can play has a part every day
    ("stripe", "stripe"),
    ("xero", "gocardless"),
    ("quickbooks", "manual"),
    pytest.param("quickbooks", "stripe", marks=pytest.mark.long),
]


def of_any_cast(result: dict[str, Any]) -> dict[str, Any]:
    """What is the same whoever plays: books differ in their accounts, and in the calls that they need."""
    return {name: result[name] for name in WHOLE_DAY if name not in {"invoicing", "payment", "accounts"}}


@pytest.mark.parametrize("invoicing,payment", CASTS)
def test_the_day_arrives_to_the_cent_whoever_issues_and_whoever_collects(start, tmp_path, invoicing, payment):
    files = ("--db", str(tmp_path / "demo.db"), "--ledger", str(tmp_path / "books"))
    parts = ("--invoicing", invoicing, "--payment", payment)
    first = result_of(start("demo", *files, *parts, "--json"))
    assert (first["invoicing"], first["payment"]) == (invoicing, payment)
    assert of_any_cast(first) == of_any_cast(WHOLE_DAY)
    simulated = {name for name in (invoicing, payment) if name != "manual"}
    assert {path.stem for path in (tmp_path / "books").glob("*.db")} == simulated
    assert result_of(start("demo", *files, *parts, "--json")) == first


def test_without_a_word_it_goes_to_xero_and_stripe(start, tmp_path):
    files = ("--db", str(tmp_path / "demo.db"), "--ledger", str(tmp_path / "books.db"))
    result = result_of(start("demo", *files, "--json"))
    assert (result["invoicing"], result["payment"]) == ("xero", "stripe")
    assert of_any_cast(result) == of_any_cast(WHOLE_DAY)
    assert result_of(start("demo", *files, "--json")) == result
    assert sorted(path.name for path in tmp_path.glob("books*.db")) == ["books-stripe.db", "books.db"]


def test_who_can_not_play_a_part_is_told_so(start):
    assert refused(start("demo", "--invoicing", "gocardless", "--json"))["code"] == "cannot_invoice"
    assert refused(start("demo", "--payment", "xero", "--json"))["code"] == "cannot_collect"
    assert refused(start("demo", "--invoicing", "sage", "--json"))["code"] == "simulator_missing"


def killed_again_and_again(demo: Callable[[], Process], books: Path, kills: int, seed: int) -> int:
    """Kill the demo that often, each time after it has sent some more calls or a moment later. Gives how often it was hit."""
    chance = random.Random(seed)
    hits = 0
    for _ in range(kills):
        target, moment_seconds = calls(books) + chance.randrange(12), chance.random() * 0.05
        process = demo()
        while process.poll() is None and calls(books) < target:
            time.sleep(LOOK_SECONDS)
        time.sleep(moment_seconds)
        hits += process.poll() is None
        process.kill()
        process.communicate()
    return hits


def calls(books: Path) -> int:
    if not books.exists():
        return 0
    with closing(Ledger.open(books)) as ledger:
        return ledger.count_calls()


def test_killed_again_and_again_it_ends_with_the_same_result(demo, books, db):
    kills = 4 if "://" in db else 8
    assert killed_again_and_again(demo, books, kills, seed=536365) > kills // 2
    assert without_calls(result_of(demo())) == WHOLE_DAY
    with closing(Ledger.open(books)) as ledger:
        assert len(ledger.documents()) == 65
        assert len(ledger.payments()) == 61
        assert ledger.duplicates() == ()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_killed_many_times_it_ends_with_the_same_result(demo, books, seed):
    killed_again_and_again(demo, books, kills=30, seed=seed)
    assert without_calls(result_of(demo())) == WHOLE_DAY
    with closing(Ledger.open(books)) as ledger:
        assert len(ledger.documents()) == 65
        assert ledger.duplicates() == ()


def test_what_is_recorded_is_what_the_provider_was_asked(start: Start, tmp_path: Path):
    out, err = start("demo", *SANDBOX, "--json", "--record", str(tmp_path / "records")).communicate()
    result = json.loads(out)
    text = (tmp_path / "records" / "wire.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == result["provider_calls"], err
    documents = {id for line in lines for id in line["invoices"]}
    assert len(documents) == result["accepted"]
    assert {line["status"] // 100 for line in lines} == {2}
    assert "sandbox-token" not in text
