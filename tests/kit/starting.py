"""Starts the command `billhook`, and scripts, in processes of their own that need not import what every one of them would import."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

HERE = Path(__file__).resolve().parent
ASKING = HERE / "asking.py"
NUMBER_BYTES = 4


@contextmanager
def ready(environment: Mapping[str, str], *modules: str) -> Iterator[Path]:
    """A process that imported those modules and becomes the command whenever it is asked at that socket."""
    with tempfile.TemporaryDirectory(prefix="billhook-") as folder:  # short, because a socket's path has to be
        at = Path(folder) / "ready"
        command = [sys.executable, HERE / "ready.py", at, *modules]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield at


class Command:
    """The command with these arguments, begun by who is ready there; what tests use of `subprocess.Popen`.

    ``script`` is run in place of `billhook`, and warnings of the categories ``refused`` are errors.
    """

    def __init__(
        self,
        ready_at: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        script: Path | None = None,
        refused: Sequence[type[Warning]] = (),
    ) -> None:
        self.returncode: int | None = None
        asked = {
            "arguments": arguments,
            "folder": str(folder or Path.cwd()),
            "environment": dict(environment),
            "script": script and str(script),
            "refused": [category.__name__ for category in refused],
        }
        body = json.dumps(asked).encode()
        self._teller = socket.socket(socket.AF_UNIX)
        self._teller.connect(str(ready_at))
        (out, its_out), (err, its_err), nothing = os.pipe(), os.pipe(), os.open(os.devnull, os.O_RDONLY)
        given = [nothing, its_out, its_err]
        socket.send_fds(self._teller, [len(body).to_bytes(NUMBER_BYTES)], given)
        for file in given:
            os.close(file)
        self._teller.sendall(body)
        self._files = (os.fdopen(out), os.fdopen(err))
        self._said: tuple[str, str] | None = None
        self.pid = int.from_bytes(self._teller.recv(NUMBER_BYTES))

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None and select.select([self._teller], [], [], 0)[0]:
            self._wait()
        return self.returncode

    def kill(self) -> None:
        """End it at once, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote, once it has ended. TimeoutError, and it is killed, after so many seconds."""
        if self._said is None:
            with ThreadPoolExecutor(2) as readers:
                out, err = (readers.submit(file.read) for file in self._files)
                self._wait(timeout)
                self._said = (out.result(), err.result())
            for closed in (*self._files, self._teller):
                closed.close()
        return self._said

    def _wait(self, timeout: float | None = None) -> None:
        if self.returncode is not None:
            return
        self._teller.settimeout(timeout)
        try:
            (self.returncode,) = self._teller.recv(1)
        except TimeoutError:
            os.kill(self.pid, SIGKILL)
            raise
