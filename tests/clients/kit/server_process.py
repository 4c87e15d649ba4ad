"""`billhook serve` as a process, and tokens from the command line."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

RUN = "from billhook.cli import main; main()"


@dataclass(frozen=True)
class ServerProcess:
    """Where it answers, and the database it answers from."""

    url: str
    database: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_namespace(self) -> str:
        """The token of an administrator of a namespace in which there is nothing yet."""
        options = ("--namespace", f"shop-{next(self._numbers)}", "--role", "admin")
        command = _billhook("tokens", "create", "--db", str(self.database), *options)
        made = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True)
        return made.stdout.strip()


@contextmanager
def serving(folder: Path) -> Iterator[ServerProcess]:
    """A server on a fresh database in that folder. At the end it stops in order and has complained of nothing."""
    database, log = folder / "billhook.db", folder / "log"
    command = _billhook("serve", "--db", str(database), "--port", "0", "--allow-private-targets")
    with log.open("w") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=_environment())
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("Serving at "), log.read_text()
    try:
        yield ServerProcess(ready.split()[-1], database)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert (process.returncode, log.read_text()) == (0, "")


def _billhook(*arguments: str) -> list[str]:
    return [sys.executable, "-c", RUN, *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
