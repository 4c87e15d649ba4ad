"""A simulator behind a real socket: HTTP/1.1 with kept-alive connections, which it can also drop."""

from __future__ import annotations

import atexit
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from billhook.testing.simulator.messages import ConnectionRefused, Dropped, Pairs, SimReply, SimRequest

if TYPE_CHECKING:
    import httpx

    from billhook.testing.simulator.base import Simulator

_TICK_SECONDS = 0.05
_NOBODY_THERE = 0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Served:
    """A simulator that is being served: where, and what."""

    url: str
    simulator: Simulator


@contextmanager
def serve(simulator: Simulator, port: int = 0) -> Iterator[Served]:
    """Serve a simulator on 127.0.0.1 until the block ends. Its clock is looked at all the while, so late things happen."""
    server = _Server(simulator, port)
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="simulator", daemon=True),
        threading.Thread(target=server.keep_ticking, name="simulator-clock", daemon=True),
    ]
    for thread in threads:
        thread.start()

    def end() -> None:
        atexit.unregister(end)
        if not server.stopping.is_set():
            server.stop()
            for thread in threads:
                thread.join()

    # Threads that end with the process, and an end before it: a program that fails within the block must still end.
    atexit.register(end)
    try:
        yield Served(f"http://127.0.0.1:{server.server_address[1]}", simulator)
    finally:
        end()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this the kernel may hold a small answer back for 40 ms.
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Server

    def exchange(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._write(SimReply.error(411, "length_required", "Send a Content-Length instead of chunks."))
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = SimRequest.from_url(self.command, self.path, self.headers.items(), body)
        try:
            reply = self.server.simulator.handle(request)
        except Dropped as drop:
            self._drop(reset=isinstance(drop, ConnectionRefused))
            return
        if reply.after_seconds and self.server.stopping.wait(reply.after_seconds):
            self._drop(reset=True)
            return
        self._write(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = exchange  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:
        """The request log is `Simulator.calls()`."""

    def _write(self, reply: SimReply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _drop(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, simulator: Simulator, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.simulator = simulator
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE))
        if linger == _RESET_ON_CLOSE:
            self.close_request(request)  # an orderly shutdown first would turn the reset into a polite goodbye
            return
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that gave up waiting is what several faults are for; anything else is a bug to be seen.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def keep_ticking(self) -> None:
        with closing(_Courier()) as courier:
            while not self.stopping.wait(_TICK_SECONDS):
                self.simulator.tick()
                url = self.simulator.webhook_url
                if url is not None:
                    self.simulator.deliver_webhooks(partial(courier.post, url))

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):  # the client may have closed it first, which is as good
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Courier:
    """Posts webhooks over one kept-alive client, which is made when there is something to post."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None

    def post(self, url: str, headers: Pairs, body: bytes) -> int:
        """The status that the receiver answered with; `_NOBODY_THERE` when there was no answer."""
        import httpx

        self._client = self._client or httpx.Client(timeout=5)
        try:
            return self._client.post(url, headers=list(headers), content=body).status_code
        except httpx.TransportError:
            return _NOBODY_THERE

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
