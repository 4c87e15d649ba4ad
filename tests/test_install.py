"""What somebody has after installing the wheels into an empty environment, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

TYPED = """
import importlib.metadata, json, pathlib
import billhook, billhook_manual
print(json.dumps({
    "places": [module.__file__ for module in (billhook, billhook_manual)],
    "typed": [(pathlib.Path(module.__file__).parent / "py.typed").is_file() for module in (billhook, billhook_manual)],
    "licences": [importlib.metadata.metadata(name)["License-Expression"] for name in ("billhook", "billhook-manual")],
}))
"""


@pytest.fixture
def python():
    try:
        return Path(os.environ["BILLHOOK_INSTALLED_PYTHON"])
    except KeyError:
        pytest.fail("These tests look at an environment that the session makes: run `python3 noxfile.py -s wheels`.")


@pytest.fixture
def run(python, tmp_path):
    def run(*command: str) -> str:
        """What the command prints, started in an empty folder so that nothing of the checkout can be imported."""
        home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(command, cwd=tmp_path, env=home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def billhook(python, run):
    return lambda *arguments: run(str(python.with_name("billhook")), *arguments)


def test_the_packages_come_from_the_wheels_with_types_and_licence(python, run):
    facts = json.loads(run(str(python), "-c", TYPED))
    assert all(Path(place).is_relative_to(python.parents[1]) for place in facts["places"])
    assert facts["typed"] == [True, True]
    assert facts["licences"] == ["Apache-2.0", "Apache-2.0"]


def test_the_wheels_carry_the_licence_text(python):
    for info in python.parents[1].glob("lib/*/site-packages/billhook*.dist-info"):
        listed = [str(file) for file in PathDistribution(info).files or ()]
        assert any(name.endswith("licenses/LICENSE") for name in listed), info.name


def test_the_command_explains_itself(billhook):
    assert "providers" in billhook("--help")


def test_the_providers_of_every_wheel_are_listed(billhook):
    listed = billhook("providers", "list", "--json")
    assert json.loads(listed)
    assert all(name in listed for name in ("custom_invoicing", "sandbox", "manual"))


def test_the_demo_runs_without_the_checkout(billhook):
    assert json.loads(billhook("demo", "--json"))


def test_a_plugin_of_ones_own_is_written_installed_and_examined(python, run, billhook, tmp_path):
    written = json.loads(billhook("new-plugin", "acme", "--json"))
    run(str(python), "-m", "pip", "install", "-q", "--no-deps", str(tmp_path / written["folder"]))
    try:
        assert json.loads(billhook("check", "acme", "--tier", "bronze", "--json"))["tier"] == "bronze"
    finally:
        run(str(python), "-m", "pip", "uninstall", "-q", "-y", written["distribution"])
