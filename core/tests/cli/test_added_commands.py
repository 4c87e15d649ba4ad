"""Commands that other distributions add."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer

from billhook.cli import main
from billhook.cli.added import add_commands
from billhook.errors import ProviderLoadError

MODULE = """
def register(app):
    @app.command("greet")
    def greet() -> None:
        "Say hello."
"""


@pytest.fixture
def line() -> typer.Typer:
    app = typer.Typer()
    app.command("own")(lambda: None)
    return app


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a distribution with that entry point on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, name: str, module: str) -> None:
        (tmp_path / f"{module}.py").write_text(MODULE)
        monkeypatch.delitem(sys.modules, module, raising=False)
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[billhook.commands]\n{name} = {module}:register\n")

    return put


def names(app: typer.Typer) -> list[str | None]:
    return [command.name for command in app.registered_commands]


def test_a_command_of_another_distribution_is_there_for_whoever_asks(line, install):
    install("greeter", "greet", "greeter_commands")
    add_commands(line, ["greet"])
    assert "greet" in names(line)


def test_nothing_installed_is_looked_at_for_a_command_of_our_own(line, install):
    install("greeter", "greet", "greeter_commands")
    add_commands(line, ["own", "--help"])
    assert names(line) == ["own"]
    assert "greeter_commands" not in sys.modules


def test_a_command_of_our_own_is_never_replaced(line, install):
    install("greeter", "own", "greeter_commands")
    add_commands(line, ["--help"])
    assert "greeter_commands" not in sys.modules


def test_a_name_that_two_claim_is_refused(line, install):
    install("greeter", "greet", "greeter_commands")
    install("other", "greet", "other_commands")
    with pytest.raises(ProviderLoadError, match="offered by several"):
        add_commands(line, ["greet"])


def test_one_that_can_not_be_imported_names_its_distribution(line, install, tmp_path):
    install("greeter", "greet", "greeter_commands")
    (tmp_path / "greeter_commands.py").write_text("import nothing_of_that_name")
    with pytest.raises(ProviderLoadError, match="'greet' of greeter could not be imported: No module named"):
        add_commands(line, ["greet"])


def test_the_command_line_refuses_it_without_a_traceback(line, install, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("billhook.cli.root.app", line)
    install("greeter", "greet", "greeter_commands")
    (tmp_path / "greeter_commands.py").write_text("import nothing_of_that_name")
    monkeypatch.setattr(sys, "argv", ["billhook", "greet", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().err)["error"]["message"].startswith("The command 'greet' of greeter")
