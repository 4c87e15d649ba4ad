"""A plugin that is written by the command passes what it will be asked, without a line changed; what can't be written leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import billhook
from billhook.errors import InvalidInput
from billhook.testing.new_plugin import write_plugin
from billhook.testing.new_plugin.names import LONGEST, plugin_name
from billhook.testing.new_plugin.writing import rendered

OURS = Path(billhook.__file__).parents[1]
RUN = "from billhook.cli import main; main()"
NAMES = ["ab", "a" * LONGEST, "acme_books_of_north1"]


def installed(folder, site):
    """Put a distribution where it is found, as pip would with -e."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    points = ("\n".join([f"[{group}]", *(f"{name} = {target}" for name, target in of.items())]) for group, of in groups)
    (info / "entry_points.txt").write_text("\n".join(points) + "\n")
    return [str(site), str(folder / "src")]


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """The plugin as it was written, and how to run something beside it."""
    folder = write_plugin("acme", tmp_path_factory.mktemp("work")).folder
    paths = [*installed(folder, tmp_path_factory.mktemp("site")), *filter(None, sys.path)]

    def run(*command):
        env = {
            **{name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
            "PYTHONPATH": os.pathsep.join(paths),
            "MYPYPATH": "" if OURS.name == "site-packages" else str(OURS),
        }
        command = [sys.executable, *command]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)

    return run


def test_it_passes_bronze_unchanged(acme):
    done = acme("-c", RUN, "check", "acme", "--tier", "bronze", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["tier"] == "bronze"


def test_its_own_tests_pass_up_to_gold(acme):
    done = acme("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no_secret_is_stored" not in done.stdout
    assert " passed" in done.stdout


RETRIED = """
from billhook import Engine, ProviderCatalog
from billhook.testing.simulator import SimReply
from billhook_acme.provider import AcmeProvider
from billhook_acme.simulator import AcmeSimulator


class Misreckoning(AcmeSimulator):
    def answer(self, request, now):
        reply = super().answer(request, now)
        return SimReply.of(201, {**reply.json(), "total": "7.66"}) if request.method == "POST" else reply


books, catalog = Misreckoning(), ProviderCatalog.from_objects([AcmeProvider])
with books.serve() as served, Engine.open("retried.db", catalog=catalog) as engine:
    billing, known = engine.namespace(), books.connection(served.url)
    app = billing.apps.install("acme", settings=known.settings, credentials=known.credentials)
    apps = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app.id)
    billing.profiles.create("Acme", supplier={"name": "Acme"}, is_default=True, **apps)
    billing.customers.create("Jane Doe", key="jane")
    line = {"name": "Seats", "price": {"type": "flat", "amount": "7.65"}}
    id = billing.invoices.submit({"customer_key": "jane", "currency": "GBP", "lines": [line]}).id
    engine.run_until_idle()
    print(billing.invoices.get(id).issues[0].code)
    billing.invoices.retry(id)
    engine.run_until_idle()
    print(billing.invoices.get(id).status, len(books.documents()))
"""


def test_a_retry_takes_up_what_was_issued_with_other_amounts_and_makes_no_second(acme):
    done = acme("-c", RETRIED)
    assert done.stdout.split() == ["totals_differ", "payment_processing.pending", "1"], done.stderr


def test_ruff_and_mypy_find_nothing(acme):
    for tool, *arguments in (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy", "--cache-dir", os.devnull),
    ):
        pytest.importorskip(tool)
        done = acme("-m", tool, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_length_is_formatted(name, tmp_path):
    pytest.importorskip("ruff")
    folder = write_plugin(name, tmp_path).folder
    for arguments in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "."], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_every_template_is_filled_in_and_none_holds_a_stub():
    for path, text in rendered(plugin_name("acme")).items():
        assert "NotImplementedError" not in text, path
        assert "acme" in text.lower() or path.endswith(("py.typed", ".gitignore")), path
        assert path.endswith("ci.yml") or "$" not in text, path


def test_the_command_tells_what_it_wrote_and_what_comes_next(cli, tmp_path):
    told = cli("new-plugin", "acme_books")
    assert told.code == 0
    assert "billhook check acme_books" in told.out
    assert (tmp_path / "billhook-acme-books" / "src" / "billhook_acme_books" / "provider.py").is_file()
    (tmp_path / "elsewhere").mkdir()
    written = cli("new-plugin", "acme", "--into", str(tmp_path / "elsewhere"), "--json").json
    assert written["distribution"] == "billhook-acme"
    assert all((Path(written["folder"]) / name).is_file() for name in written["files"])


@pytest.mark.parametrize(
    "name", ["Acme", "1st", "acme-books", "_acme", "acme__books", "class", "../acme", "", "a" * (LONGEST + 1)]
)
def test_a_name_that_no_provider_could_have_is_refused(name, tmp_path):
    with pytest.raises(InvalidInput, match="can't be the name of a provider"):
        write_plugin(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name, said", [("sandbox", "There is a provider 'sandbox' already"), ("manual", "already"), ("stripe", "already")]
)
def test_a_name_that_is_taken_is_refused(name, said, cli, tmp_path):
    refused = cli("new-plugin", name, "--json")
    assert (refused.code, refused.error["code"]) == (1, "plugin_name_taken")
    assert said in refused.error["message"]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_as_it_is(cli, tmp_path):
    folder = tmp_path / "billhook-acme"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    refused = cli("new-plugin", "acme", "--json")
    assert (refused.code, refused.error["code"]) == (1, "folder_exists")
    assert [path.name for path in tmp_path.rglob("*")] == ["billhook-acme", "mine"]
    assert cli("new-plugin", "acme", "--into", "nowhere", "--json").error["code"] == "folder_missing"


def test_a_disk_that_fails_halfway_leaves_nothing(tmp_path, monkeypatch):
    write_text = Path.write_text

    def full(self, text, **options):
        if self.name == "provider.py":
            raise OSError(28, "No space left on device")
        return write_text(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_plugin("acme", tmp_path)
    assert not list(tmp_path.iterdir())
