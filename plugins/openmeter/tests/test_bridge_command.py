"""The command `billhook bridge`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
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


def test_a_secret_that_is_none_of_a_channel_is_refused_before_anything_is_taken(run, monkeypatch):
    monkeypatch.setenv("OPENMETER_WEBHOOK_SECRET", "hush")
    status, answer = run("--listen", "127.0.0.1:0")
    assert status == 1
    assert "Copy its signingSecret" in answer["error"]["message"]


def test_an_openmeter_that_asks_to_be_left_alone_is_asked_again_after_that(run, openmeter):
    stand_in, _ = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)])
    asked = count()
    stand_in.busy = lambda _request: "1" if next(asked) in (0, 3) else None
    assert run("--once")[0] == 0
    assert stand_in.state(id) == "payment_processing.pending"


def test_one_that_asks_for_too_long_is_told_with_when_to_try_again(run, openmeter):
    stand_in, _ = openmeter
    stand_in.busy = lambda _request: "300"
    status, answer = run("--once")
    assert status == 1
    assert "Try again in 300 seconds" in answer["error"]["message"]


def test_what_was_stuck_and_then_ended_needs_nobody(run, openmeter):
    """The answer to its last callback is lost, and nothing that is open leads there any more."""
    stand_in, _ = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)], collection_method="charge_automatically")
    lost = iter([True])
    stand_in.lose_answer = lambda request: b'"paid"' in request.content and next(lost, False)
    with_lost_answer = stand_in.handle
    stand_in.handle = lambda request: answer_or_gateway(with_lost_answer, request)
    status, answer = run("--once")
    assert (status, answer["stuck"], stand_in.state(id)) == (0, {}, "paid")


def answer_or_gateway(handle: Callable[[httpx.Request], httpx.Response], request: httpx.Request) -> httpx.Response:
    try:
        return handle(request)
    except httpx.ReadError:
        return httpx.Response(502, content=b"<html>502</html>")


def test_once_finds_what_no_event_told(run, openmeter, engine):
    stand_in, _ = openmeter
    id = stand_in.create([a_line("Seats", "100.00", id=LINE)])
    run("--once")
    (invoice,) = engine.namespace().invoices.list().items
    engine.namespace().invoices.record_payment(invoice.id, "100.00", method="cash")
    stand_in.trigger(id, "void")
    status, answer = run("--once")
    assert status == 3
    assert "voided upstream and paid here" in answer["stuck"][id]
