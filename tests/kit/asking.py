"""Asks ready.py to be the command `billhook` with these arguments, files, folder and environment, and ends as that ends.

    python asking.py SOCKET ARGUMENT...

A signal that asks it to end is told on.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

NUMBER_BYTES = 4


def main(path: str, *arguments: str) -> int:
    """The exit status of the command."""
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all the rest
    asked = {"arguments": arguments, "folder": folder, "environment": dict(os.environ)}
    body = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [len(body).to_bytes(NUMBER_BYTES)], [0, 1, 2])
        connection.sendall(body)
        doing = int.from_bytes(connection.recv(NUMBER_BYTES))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(doing, number))
        (status,) = connection.recv(1)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
