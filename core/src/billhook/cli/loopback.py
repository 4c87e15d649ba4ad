"""Waits on this machine for a browser to come back from a provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from billhook.errors import ConfigError

CALLBACK = "/callback"
DONE = "Billhook has the answer. You can close this window and go back to the terminal."
STRANGE = "This is not what Billhook asked for, or no longer. Nothing was done."
PAGE = '<!doctype html><meta charset="utf-8"><title>Billhook</title><p>{}</p>'


class Loopback:
    """Listens on loopback for one answer."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self._state: str | None = None
        self._returned: dict[str, str] | None = None
        self._arrived = threading.Event()

    @property
    def uri(self) -> str:
        """Where the provider is to send the browser."""
        return f"http://localhost:{self._server.server_address[1]}{CALLBACK}"

    def expect(self, state: str) -> None:
        """Take the answer to this question and to no other."""
        self._state = state

    def wait(self, timeout_seconds: float) -> Mapping[str, str]:
        """What came back. Raises ConfigError when nothing did in time."""
        if not self._arrived.wait(timeout_seconds) or self._returned is None:
            raise ConfigError(f"Nobody came back within {timeout_seconds:.0f} seconds. Run it again.")
        return self._returned

    def take(self, target: str) -> tuple[int, str]:
        """The status and the text to show for a request."""
        parts = urlsplit(target)
        returned = dict(parse_qsl(parts.query))
        if parts.path != CALLBACK or self._state is None or returned.get("state") != self._state:
            return 404, STRANGE
        self._state, self._returned = None, returned
        return 200, DONE

    def answered(self) -> None:
        """The browser has its page: whoever waits may go on, and end this process."""
        if self._returned is not None:
            self._arrived.set()


@contextmanager
def listening(port: int) -> Iterator[Loopback]:
    """Listen on 127.0.0.1 until the block ends. Raises ConfigError when the port is taken."""
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    except OSError as error:
        raise ConfigError(
            f"Port {port} of this machine can't be used ({error.strerror}). Free it, or register another redirect address with the "
            "provider and name its --port."
        ) from None
    loopback = Loopback(server)
    server.loopback = loopback  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        loopback: Loopback = self.server.loopback  # type: ignore[attr-defined]
        status, text = loopback.take(self.path)
        try:
            self._show(status, text)
        finally:
            loopback.answered()

    def _show(self, status: int, text: str) -> None:
        body = PAGE.format(text).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address holds a code."""
