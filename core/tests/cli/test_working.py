"""The worker as a process, and what it leaves for a person."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from billhook.testing.sandbox import reading

RUN = "from billhook.cli import main; main()"
PATIENCE_SECONDS = 60
DRAFT = {
    "key": "i-1",
    "customer_key": "jane",
    "currency": "GBP",
    "lines": [{"name": "Tea", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}],
}

FORGETFUL = """
from __future__ import annotations
from dataclasses import replace
from billhook.testing.sandbox.provider import SandboxProvider

class ForgetfulProvider(SandboxProvider):
    declaration = SandboxProvider.declaration.model_copy(update={"type": "forgetful", "name": "Forgetful"})

    def upsert_request(self, *arguments, **options):
        return replace(super().upsert_request(*arguments, **options), recover=())

provider = ForgetfulProvider
"""


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "worker", "--threads", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    yield process
    process.kill()
    process.communicate()


def test_a_worker_carries_on_what_others_submit_and_stops_gracefully_on_sigterm(cli, invoice, request):
    invoice("i-1")
    worker = request.getfixturevalue("worker")
    began_seconds = time.monotonic()
    while cli("invoices", "show", "i-1", "--json").json["status"] != "paid":
        assert time.monotonic() - began_seconds < PATIENCE_SECONDS
        assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=PATIENCE_SECONDS)
    assert worker.returncode == 0, said
    assert "Working" in said


@pytest.fixture
def forgetful_shop(cli, sandbox, tmp_path, monkeypatch):
    """A shop whose provider can neither be asked again nor be searched."""
    info = tmp_path / "site" / "forgetful-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: forgetful\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[billhook.providers]\nforgetful = forgetful_provider:provider\n")
    (info.parent / "forgetful_provider.py").write_text(FORGETFUL)
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.setenv("TOKEN", "sandbox-token")
    settings = ("--set", f"base_url={sandbox.url}", "--credential-env", "token=TOKEN")
    app_id = cli("apps", "install", "forgetful", *settings, "--json").json["id"]
    cli(
        "profiles",
        "create",
        "Main",
        "--supplier",
        "ACME",
        "--app",
        app_id,
        "--default",
        "--workflow",
        "tax_enabled=false",
    )
    cli("customers", "create", "Jane", "--key", "jane")
    yield
    sys.modules.pop("forgetful_provider", None)


@pytest.fixture
def doubt(cli, forgetful_shop, sandbox, write):
    """Submit an invoice whose draft meets that fault, so that nobody knows whether it stands over there."""

    def doubt(fault: str) -> None:
        sandbox.simulator.fault(fault, matching="/v1/invoices")
        line = {"name": "Tea", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}
        file = write("i-1.json", {"key": "i-1", "customer_key": "jane", "currency": "GBP", "lines": [line]})
        assert cli("invoices", "create", file).code == 0
        worked = cli("worker", "--once", "--json")
        assert (worked.code, worked.json["in_doubt"]) == (3, 1)

    return doubt


def test_what_nobody_knows_is_shown_with_what_was_sent(cli, doubt):
    doubt("lost_response")
    answer = cli("invoices", "doubts", "--json")
    assert answer.code == 3
    (doubted,) = answer.json["items"]
    assert doubted["operation"] == "sync_draft"
    assert '"2.55"' in doubted["steps"][0]["body"]
    assert cli("invoices", "show", "i-1", "--json").json["in_doubt"]


def test_what_was_found_over_there_is_read_compared_and_carried_on(cli, doubt, sandbox):
    doubt("lost_response")
    (document,) = sandbox.simulator.documents()
    resolved = cli("invoices", "resolve", "i-1", "--found", document.id, "--by", "ann", "--note", "seen it", "--json")
    assert (resolved.code, resolved.json["left_in_doubt"]) == (0, [])
    assert cli("worker", "--once").code == 0
    shown = cli("invoices", "show", "i-1", "--json").json
    assert shown["status"] == "paid"
    assert any("seen it" in entry["summary"] for entry in shown["timeline"])
    assert len(sandbox.simulator.documents()) == 1


def test_what_is_not_over_there_is_done_again(cli, doubt, sandbox):
    doubt("5xx_before")
    assert sandbox.simulator.documents() == ()
    assert cli("invoices", "resolve", "i-1", "--absent", "--json").json["left_in_doubt"] == []
    assert cli("worker", "--once").code == 0
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "paid"
    assert len(sandbox.simulator.documents()) == 1


def test_a_provider_that_fails_holds_its_work_and_a_person_is_called(cli, invoice, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the adapter is broken")

    monkeypatch.setattr(reading, "read_draft", fail)
    invoice("i-1")
    worked = cli("worker", "--once", "--json")
    assert (worked.code, worked.json["held"], worked.json["failed"]) == (3, 1, 0)
    assert "the adapter is broken" in worked.json["held_work"][0]["reason"]
    assert "the adapter is broken" in cli("invoices", "show", "i-1", "--json").json["waiting_for"]
    assert "waits because" in cli("invoices", "show", "i-1").out


def test_an_app_that_can_not_be_reached_is_told_of_and_named_by_what_waits_for_it(cli, invoice, app_id, sandbox):
    cli("apps", "update", app_id, "--set", "base_url=http://127.0.0.1:9")
    invoice("i-1")
    worked = cli("worker", "--once", "--json")
    assert worked.json["silent_apps"] == [{"app_id": app_id, "app": "Sandbox", "failures": 1}]
    (left,) = worked.json["left"]
    assert (left["app_id"], left["goes_on_at"]) == (app_id, worked.json["next_due"])
    assert left["reason"] in cli("worker", "--once").out
    assert f"See why: billhook apps check {app_id}" in cli("invoices", "show", "i-1", "--json").json["waiting_for"]
    assert "no answer to" in cli("worker", "--once").out
    cli("apps", "update", app_id, "--set", f"base_url={sandbox.url}")
    cli("worker", "--once")
    assert cli("worker", "--once", "--json").json["silent_apps"] == []


def test_the_log_of_a_fault_is_one_line_with_its_fields(cli, invoice, app_id, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the adapter\nis broken")

    monkeypatch.setattr(reading, "read_draft", fail)
    invoice("i-1")
    (line,) = cli("worker", "--once").err.splitlines()
    assert f"app={app_id}" in line
    assert 'reason="RuntimeError: the adapter is broken"' in line


def test_work_for_an_app_without_credentials_is_held_until_it_gets_some(cli, sandbox, write, monkeypatch):
    installed = cli("apps", "install", "sandbox", "--set", f"base_url={sandbox.url}")
    assert "--credential token=-" in installed.err
    app_id = cli("apps", "list", "--json").json["items"][0]["id"]
    refused = cli("apps", "check", app_id, "--json")
    assert (refused.code, refused.error["code"]) == (1, "config_invalid")
    assert f"billhook apps credentials {app_id} --credential token=-" in refused.error["message"]
    cli("profiles", "create", "Main", "--supplier", "ACME", "--app", app_id, "--default")
    cli("customers", "create", "Jane", "--key", "jane")
    cli("invoices", "create", write("i-1.json", DRAFT))
    held = cli("worker", "--once", "--json")
    assert held.code == 3
    assert held.json["held"] >= 1
    assert "unauthorized" in held.json["held_work"][0]["reason"]
    assert "unauthorized" in cli("worker", "--once").out
    monkeypatch.setenv("TOKEN", "sandbox-token")
    cli("apps", "credentials", app_id, "--credential-env", "token=TOKEN")
    assert cli("worker", "--once", "--json").json["held"] == 0


def test_all_that_one_refused_token_holds_is_one_line(cli, shop, app_id, write, monkeypatch):
    cli("customers", "create", "Joe", "--key", "joe")
    drafts = [{**DRAFT, "key": key, "customer_key": key} for key in ("jane", "joe")]
    assert cli("invoices", "create", write("both.json", drafts)).code == 0
    monkeypatch.setenv("TOKEN", "a mistake")
    cli("apps", "credentials", app_id, "--credential-env", "token=TOKEN")
    worked = cli("worker", "--once", "--json").json
    (held,) = worked["held_work"]
    assert (held["app_id"], held["items"]) == (app_id, worked["held"])
    assert worked["held"] > 1


def test_an_app_whose_provider_is_gone_holds_its_work(cli, invoice, monkeypatch):
    invoice("i-1")
    monkeypatch.setenv("BILLHOOK_PROVIDERS", "custom_invoicing")
    worked = cli("worker", "--once", "--json")
    assert worked.code == 3
    assert "sandbox" in worked.json["held_work"][0]["reason"]


def test_what_waits_for_an_app_that_somebody_disabled_calls_nobody(cli, invoice, app_id):
    invoice("i-1")
    cli("apps", "disable", app_id)
    worked = cli("worker", "--once", "--json")
    assert (worked.code, worked.json["held"]) == (0, 0)


def test_a_worker_records_what_it_sends_and_what_is_answered(cli, invoice, tmp_path):
    id = invoice("one")
    worked = cli("worker", "--once", "--record", str(tmp_path / "records"), "--json")
    assert worked.code == 0, worked.err
    lines = [json.loads(line) for line in (tmp_path / "records" / "wire.jsonl").read_text().splitlines()]
    assert {line["operation"] for line in lines} >= {"sync_customer", "sync_draft", "issue"}
    assert all(line["invoices"] == [id] for line in lines if line["operation"] != "sync_customer")
    assert "sandbox-token" not in json.dumps(lines)


def test_a_folder_that_cannot_be_written_to_is_told(cli, invoice, tmp_path):
    invoice("one")
    (tmp_path / "file").write_text("")
    refused = cli("worker", "--once", "--record", str(tmp_path / "file"), "--json")
    assert refused.error["code"] == "folder_unwritable"
