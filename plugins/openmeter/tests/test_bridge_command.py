"""The command `billhook bridge`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from stand_in import a_line

from billhook.cli.root import app
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook_openmeter.command import register

LINE = "01JANE00000000000000000001"
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def command_line() -> Iterator[typer.Typer]:
    before = list(app.registered_commands)
    register(app)
    yield app
    app.registered_commands[:] = before


@pytest.fixture
def run(command_line, capsys, monkeypatch, openmeter, engine, tmp_path) -> Run:
    stand_in, url = openmeter
    monkeypatch.setenv("OPENMETER_TOKEN", stand_in.token)
    monkeypatch.setenv("BILLHOOK_CREDENTIAL_KEYS", ",".join(CREDENTIAL_KEYS))
    always = ["bridge", "--openmeter", url, "--db", str(tmp_path / "billhook.db"), "--json"]

    def run_it(*arguments: str) -> tuple[int, dict[str, Any]]:
        status = command_line([*always, *arguments], standalone_mode=False)
        captured = capsys.readouterr()
        return int(status or 0), json.loads(captured.out or captured.err)

    return run_it


def test_once_carries_everything_to_its_end_and_counts_it(run, openmeter):
    stand_in, _ = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)], collection_method="charge_automatically")
    status, answer = run("--once")
    assert (status, answer["invoices"], answer["stuck"]) == (0, 0, {})
    assert stand_in.state(id) == "paid"


def test_what_needs_a_person_is_named_and_has_an_exit_code(run, openmeter):
    stand_in, _ = openmeter
    id = stand_in.create([a_line("Seats", "100.005", id=LINE)])
    status, answer = run("--once")
    assert status == 3
    assert "100.005" in answer["stuck"][id]


@pytest.mark.parametrize("status", [429, 500])
def test_an_invoice_of_which_openmeter_cant_answer_now_keeps_no_other_waiting(run, openmeter, status):
    stand_in, _ = openmeter
    ill = {"id": "01JCVST0MER00000000000000B", "name": "Ill"}
    waiting = stand_in.create([a_line("Seats", "100.00", id=LINE)], customer=ill)
    other = stand_in.create([a_line("Seats", "100.00", id=LINE[:-1] + "2")])
    stand_in.customers[ill["id"]] = {"status": status}
    exit_code, answer = run("--once")
    assert (exit_code, list(answer["stuck"])) == (3, [waiting])
    assert stand_in.state(other) == "payment_processing.pending"


def test_a_refused_token_says_what_to_check(run, monkeypatch):
    monkeypatch.setenv("OPENMETER_TOKEN", "another")
    status, answer = run("--once")
    assert status == 1
    assert "OPENMETER_TOKEN" in answer["error"]["message"]


def test_listening_without_a_secret_is_refused(run):
    status, answer = run("--listen", "127.0.0.1:0")
    assert status == 1
    assert "OPENMETER_WEBHOOK_SECRET" in answer["error"]["message"]
