"""Members that are only on the path, not installed, are found by their entry points all the same."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who installed every member: the command `billhook`, and providers that are found."""
    home = tmp_path_factory.mktemp("reader")
    put_command(home / "python3", "")
    put_command(home / "billhook", '-c "from billhook.cli import main; main()"')
    members = [ROOT / "core", *sorted((ROOT / "contrib").iterdir()), *sorted((ROOT / "plugins").iterdir())]
    for member in members:
        describe(member, home)
    paths = [str(home), *(str(member / "src") for member in members), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{home}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
    }


def put_command(path: Path, arguments: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
    path.chmod(0o755)


def describe(member: Path, home: Path) -> None:
    """Write the metadata that an installation would, unless there is one."""
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        distribution(project["name"])
    except PackageNotFoundError:
        folder = home / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = project.get("entry-points", {})
        lines = [
            line
            for group, entries in groups.items()
            for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
        ]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
