"""Members that are only on the path, not installed, are found by their entry points all the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

from describing import describe
from starting import ASKING, ready

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reader:
    """Somebody who installed every member: what stands in the environment, and where a process is ready to be a page."""

    environment: Mapping[str, str]
    ready_at: Path


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """With the command `billhook`, and providers that are found."""
    home = tmp_path_factory.mktemp("reader")
    put_command(home / "python3", "")
    put_command(home / "pip", str(Path(__file__).with_name("install.py")))
    members = [ROOT / "core", *sorted((ROOT / "contrib").iterdir()), *sorted((ROOT / "plugins").iterdir())]
    for member in members:
        describe(member, home)
    paths = [str(home), *(str(member / "src") for member in members), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PATH": f"{home}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONUNBUFFERED": "1",
    }
    with ready(environment) as at:
        put_command(home / "billhook", f'-I -S "{ASKING}" "{at}"')
        yield Reader(environment, at)


def put_command(path: Path, arguments: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
    path.chmod(0o755)
