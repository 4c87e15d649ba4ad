from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys

import httpx
import pytest
import typer
from typer.testing import CliRunner

from billhook.cli.command import errors_as_exits
from billhook.cli.front import first_page

HEAVY = ("sqlalchemy", "httpx", "alembic", "opentelemetry", "pydantic", "pluggy", "stevedore", "iso4217")
LOADED = """
import sys
sys.argv = ["billhook", "--help"]
from billhook.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted(set(sys.modules)), file=sys.stderr)
"""


def test_asking_for_help_imports_typer_and_rich_and_nothing_heavy(python):
    loaded = python(LOADED).err
    assert "'typer'" in loaded
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


def test_the_first_page_says_what_the_commands_behind_it_say(cli):
    page = CliRunner().invoke(first_page({}), ["--help"])
    assert page.exit_code == 0
    assert page.output == cli("--help").out


def test_the_help_documents_the_exit_codes(cli):
    said = cli("--help").out
    assert all(code in said for code in ("0 done", "1 failed or refused", "3 a person is needed", "130 interrupted"))


def test_every_command_explains_itself(cli):
    for group in (
        "providers",
        "apps",
        "profiles",
        "customers",
        "overrides",
        "invoices",
        "credit-notes",
        "numbers",
        "db",
    ):
        assert cli(group, "--help").code == 0
    for command in ("demo", "worker"):
        assert "--json" in cli(command, "--help").out


def test_the_version_is_told(cli):
    assert cli("--version").out.strip() == "0.1.0"


def test_wrong_usage_is_exit_code_2_and_still_json(process):
    answer = process("invoices", "show", "--json")
    assert answer.code == 2
    assert answer.error["code"] == "usage"
    assert answer.out == ""


def test_wrong_usage_is_exit_code_2_for_people_too(process):
    answer = process("invoices", "show")
    assert answer.code == 2
    assert "INVOICE" in answer.err


def test_a_misspelt_database_is_refused_and_not_made(cli, tmp_path):
    answer = cli("invoices", "list", "--db", "typo.db", "--json")
    assert answer.code == 1
    assert answer.error["code"] == "store"
    assert "billhook db upgrade --db typo.db" in answer.error["message"]
    assert not (tmp_path / "typo.db").exists()


def test_an_error_for_people_says_what_to_do_next_and_shows_no_traceback(process):
    answer = process("invoices", "list", "--db", "typo.db")
    assert answer.code == 1
    assert "Check --db" in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_the_environment_names_the_database(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("BILLHOOK_DB", str(tmp_path / "named.db"))
    assert cli("db", "upgrade", "--json").json["from"] is None
    assert (tmp_path / "named.db").exists()


def test_upgrading_twice_does_nothing_the_second_time(cli):
    first, second = (cli("db", "upgrade", "--json").json for _ in range(2))
    assert second == {"from": first["to"], "to": first["to"]}


def test_a_sound_database_passes_the_check(cli):
    cli("db", "upgrade")
    assert cli("db", "check", "--json").json == {"problems": []}


def test_a_database_of_another_release_is_left_alone(cli, tmp_path):
    cli("db", "upgrade")
    with sqlite3.connect(tmp_path / "billhook.db") as other_release:
        other_release.execute("UPDATE billhook_schema_version SET version_num = 'r9999'")
    other_release.close()
    answer = cli("invoices", "list", "--json")
    assert (answer.code, answer.error["code"]) == (1, "store")
    assert "billhook db upgrade" in answer.error["message"]
    checked = cli("db", "check", "--json")
    assert checked.code == 1
    assert checked.json["problems"][0]["code"] == "schema_version"


def test_pruning_wants_a_length_of_time(cli):
    cli("db", "upgrade")
    assert cli("db", "prune", "--older-than", "P1M", "--json").error["code"] == "duration_not_exact"
    assert cli("db", "prune", "--older-than", "P90D", "--json").json["attempts_pruned"] == 0


def test_an_interrupt_is_exit_code_130(capsys):
    with pytest.raises(typer.Exit) as left, errors_as_exits(as_json=True):
        raise KeyboardInterrupt
    assert left.value.exit_code == 130
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "interrupted"


def test_the_installed_providers_are_listed_without_importing_them(cli):
    listed = cli("providers", "list", "--json").json["items"]
    assert {"custom_invoicing", "sandbox"} <= {entry["name"] for entry in listed}


def test_a_provider_says_what_it_can_do_and_what_it_wants_to_know(cli):
    shown = cli("providers", "show", "sandbox", "--json").json
    assert shown["capabilities"]["issue"] == {"level": "full"}
    assert "base_url" in shown["settings_schema"]["properties"]
    said = cli("providers", "show", "sandbox").out
    assert "base_url" in said
    assert "token" in said


def test_the_doctor_finds_our_providers_sound(cli):
    answer = cli("providers", "doctor", "--json")
    assert {finding["problem"] for finding in answer.json["items"]} == {None}
    assert answer.code == 0


def test_the_doctor_reports_a_provider_that_can_not_be_imported(cli, tmp_path, monkeypatch):
    info = tmp_path / "site" / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[billhook.providers]\nbroken = not_there_at_all:provider\n")
    monkeypatch.syspath_prepend(str(info.parent))
    answer = cli("providers", "doctor", "--json")
    assert answer.code == 1
    assert "not_there_at_all" in {entry["name"]: entry["problem"] for entry in answer.json["items"]}["broken"]


def test_the_environment_narrows_the_providers(cli, monkeypatch):
    monkeypatch.setenv("BILLHOOK_PROVIDERS", "custom_invoicing")
    assert [entry["name"] for entry in cli("providers", "list", "--json").json["items"]] == ["custom_invoicing"]
    answer = cli("providers", "show", "sandbox", "--json")
    assert (answer.code, answer.error["code"]) == (1, "provider_not_loaded")


def test_what_nobody_foresaw_is_one_line_and_a_traceback_only_where_wanted(capsys, monkeypatch):
    monkeypatch.delenv("BILLHOOK_TRACEBACK", raising=False)
    with pytest.raises(typer.Exit) as left, errors_as_exits(as_json=True):
        raise ZeroDivisionError("by\nzero")
    assert left.value.exit_code == 1
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "internal"
    assert "ZeroDivisionError: by zero" in error["message"]
    monkeypatch.setenv("BILLHOOK_TRACEBACK", "1")
    with pytest.raises(typer.Exit), errors_as_exits(as_json=False):
        raise ZeroDivisionError("again")
    assert "Traceback" in capsys.readouterr().err


def test_the_sandbox_is_served_until_it_is_told_to_stop(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", "from billhook.cli import main; main()", "simulate", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        told = process.stdout.readline()
        url = said.split(" at ")[1].split(";")[0]
        words = shlex.split(told.removeprefix("Install it: "))
        place = words.index("billhook")
        given = dict(word.split("=", 1) for word in words[:place])
        installing = [sys.executable, "-c", "from billhook.cli import main; main()", *words[place + 1 :], "--json"]
        installed = subprocess.run(installing, env={**env, **given}, cwd=tmp_path, capture_output=True, text=True)
        assert (installed.returncode, json.loads(installed.stdout)["status"]) == (0, "ready"), installed.stderr
        answer = httpx.get(f"{url}/v1/account", headers={"Authorization": "Bearer sandbox-token"}, trust_env=False)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert answer.status_code == 200
    assert (tmp_path / "sandbox-books.db").exists()
