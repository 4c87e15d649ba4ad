"""Commands as a user types them, on a database of the test's own, with our providers installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from billhook.cli.root import app
from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import Database, migrate
from billhook.testing.sandbox import simulator
from billhook.testing.simulator.http import Served

CORE = Path(__file__).resolve().parents[2]
RUN = "from billhook.cli import main; main()"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Mapping[str, Any]:
        return json.loads(self.err)["error"]


Cli = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _our_providers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry points of this distribution, also where the checkout is merely on the import path."""
    if any(point.name == "sandbox" for point in entry_points(group="billhook.providers")):
        return
    project = tomllib.loads((CORE / "pyproject.toml").read_text())["project"]
    info = tmp_path_factory.mktemp("site") / "billhook-0.dist-info"
    info.mkdir()
    points = "\n".join(f"{name} = {value}" for name, value in project["entry-points"]["billhook.providers"].items())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: billhook\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[billhook.providers]\n{points}\n")
    monkeypatch.syspath_prepend(str(info.parent))


@pytest.fixture(autouse=True)
def _place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("BILLHOOK_DB", "BILLHOOK_PROVIDERS", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session")
def built() -> Any:
    """The command tree, built once: building it takes longer than most commands."""
    return get_command(app)


@pytest.fixture
def cli(built: Any) -> Cli:
    """Run a command in this process."""

    def run(*arguments: str, input: str = "") -> Answer:
        out, err, stdin = io.StringIO(), io.StringIO(), io.StringIO(input)
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            with pytest.raises(SystemExit) as left:
                built.main(list(arguments), prog_name="billhook")
        return Answer(left.value.code or 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def python() -> Callable[..., Answer]:
    """Run Python in a process of its own, with the same import path."""

    def run(program: str, *arguments: str) -> Answer:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def process(python: Callable[..., Answer]) -> Cli:
    """Run a command in a process of its own."""
    return lambda *arguments: python(RUN, *arguments)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Served]:
    provider = simulator(tmp_path / "ledger.db")
    with provider.serve() as served:
        yield served
    provider.close()


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as database:
        migrate.upgrade(database)
    return path


@pytest.fixture
def app_id(cli: Cli, sandbox: Served, file_template: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sandbox app, on a database whose tables are there: how a command makes them is told where nothing is."""
    shutil.copy(file_template, "billhook.db")
    monkeypatch.setenv("SANDBOX_TOKEN", "sandbox-token")
    installed = cli(
        *("apps", "install", "sandbox", "--set", f"base_url={sandbox.url}"),
        *("--credential-env", "token=SANDBOX_TOKEN", "--json"),
    )
    assert installed.code == 0, installed.err
    return installed.json["id"]


@pytest.fixture
def shop(cli: Cli, app_id: str) -> str:
    """A default profile with that app, and the customer jane. Gives the profile's id."""
    profile = cli(
        *("profiles", "create", "Main", "--supplier", "ACME", "--app", app_id, "--default"),
        *("--workflow", "tax_enabled=false", "--json"),
    )
    assert profile.code == 0, profile.err
    created = cli("customers", "create", "Jane", "--key", "jane", "--address", "country=GB", "--json")
    assert created.code == 0, created.err
    return profile.json["id"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, object], str]:
    """Write a file, as JSON unless it is text."""

    def write(name: str, content: object) -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def draft(key: str, **more: object) -> dict[str, object]:
    line = {"name": "Tea", "item_code": "T1", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}
    return {"key": key, "customer_key": "jane", "currency": "GBP", "lines": [line], **more}


@pytest.fixture
def invoice(cli: Cli, shop: str, write: Callable[[str, object], str]) -> Callable[..., str]:
    """Submit an invoice under that key. Gives its id."""

    def submit(key: str, **more: object) -> str:
        created = cli("invoices", "create", write(f"{key}.json", draft(key, **more)), "--json")
        assert created.code == 0, created.err
        return created.json["created"][0]["id"]

    return submit
