"""Becomes the command `billhook`, or a script, in a process of its own, whenever that is asked for: what all of them import is imported once.

    python ready.py SOCKET MODULE...

Imports those modules, too. It says `ready` once it listens there to who runs asking.py or has a Command of starting.py, and ends when its standard input does.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import pkgutil
import random
import runpy
import select
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import billhook.cli
import billhook.engine.engine  # what nearly every command needs

NUMBER_BYTES = 4


def main(path: str, *modules: str) -> None:
    """Listen. Only a process that was asked to be something comes out of it."""
    for name in (*(module.name for module in pkgutil.iter_modules(billhook.cli.__path__, "billhook.cli.")), *modules):
        importlib.import_module(name)
    asked, files = _await(path)
    _put_on(asked, files)
    if asked.get("script") is None:
        billhook.cli.main()
    else:
        runpy.run_path(asked["script"], run_name="__main__")


def _await(path: str) -> tuple[dict[str, Any], Sequence[int]]:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for whom it began
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - to whoever started this process
        while True:
            heard, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in heard:
                sys.exit()
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    return _taken(connection)


def _taken(connection: socket.socket) -> tuple[dict[str, Any], Sequence[int]]:
    """What is asked for and the three standard files. The process that returns is to do it; this one stays, and tells how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, files, _, _ = socket.recv_fds(connection, NUMBER_BYTES, 3)
    with connection.makefile("rb") as lines:
        asked = json.loads(lines.read(int.from_bytes(length)))
    doing = os.fork()
    if doing == 0:
        return asked, files
    for file in files:
        os.close(file)
    connection.sendall(doing.to_bytes(NUMBER_BYTES))
    _, status = os.waitpid(doing, 0)
    connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    os._exit(0)


def _put_on(asked: dict[str, Any], files: Sequence[int]) -> None:
    """Have the arguments, folder, environment and standard files of whoever asks, as if started there."""
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    os.chdir(asked["folder"])
    ours, theirs = _paths(os.environ), _paths(asked["environment"])
    script = asked.get("script")
    place = "" if script is None else str(Path(script).parent)
    sys.path[:] = [place, *theirs, *(path for path in sys.path[1:] if path not in ours)]
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = [script or "billhook", *asked["arguments"]]
    for category in asked.get("refused", ()):
        warnings.simplefilter("error", getattr(builtins, category))
    random.seed()


def _paths(environment: Any) -> list[str]:
    return [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]


if __name__ == "__main__":
    main(*sys.argv[1:])
