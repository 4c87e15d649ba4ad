"""A door on this machine's loopback, for what sends by itself: the SDK that a provider's `Call` calls.

A bench works in process, under an address that is nobody's. What it would send itself goes straight to the simulator; an SDK has a socket
of its own, so a call is given the door's address in place of the bench's. The simulator's faults strike it there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from billhook.contract.requests import Call, Function, Json, Outgoing
from billhook.engine.effects import Arrived, Lost, Transmission

Deliver = Callable[[Outgoing], Transmission]
_OF_THE_WIRE = frozenset({"content-length", "transfer-encoding", "connection"})


class Door:
    """Listens at ``url``. Whoever holds it open gets each request as one to an address of his own, one at a time."""

    def __init__(self) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self._held, self._one_request = threading.Lock(), threading.Lock()
        self._inside = ""
        self._deliver: Deliver = _nobody
        threading.Thread(target=server.serve_forever, name="door", daemon=True).start()

    @contextmanager
    def held_open(self, step: Call, inside: str, deliver: Deliver) -> Iterator[Call]:
        """The call with the door's address wherever the one ``inside`` stands in its arguments; what it sends is delivered there."""
        with self._held:
            self._inside, self._deliver = inside, deliver
            try:
                args: Any = _replaced(dict(step.function.args), inside, self.url)
                yield replace(step, function=Function(step.function.name, args))
            finally:
                self._inside, self._deliver = "", _nobody

    def let_in(self, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Transmission:
        """What becomes of a request that knocked."""
        with self._one_request:
            return self._deliver(Outgoing(method, f"{self._inside}{path}", headers, body))


@cache
def the_door() -> Door:
    """The one of this process; it is made when something knocks for the first time."""
    return Door()


def _nobody(_: Outgoing) -> Transmission:
    return Lost("nobody holds the door open")


def _replaced(value: Json, old: str, new: str) -> Json:
    match value:
        case str():
            return value.replace(old, new)
        case list() | tuple():
            return [_replaced(each, old, new) for each in value]
        case dict():
            return {name: _replaced(each, old, new) for name, each in value.items()}
        case _:
            return value


def _handler_of(door: Door) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65536

        def exchange(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            came = door.let_in(self.command, self.path, tuple(self.headers.items()), body)
            if not isinstance(came, Arrived):
                self.close_connection = True  # an answer that is lost is a connection that closes without one
                return
            self.send_response_only(came.reply.status)
            for name, value in came.reply.headers:
                if name.lower() not in _OF_THE_WIRE:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(came.reply.body)))
            self.end_headers()
            self.wfile.write(came.reply.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = exchange  # noqa: N815 - the base class looks for these names

        def log_message(self, format: str, *args: Any) -> None:
            """The request log is that of the simulator."""

    return Handler
