"""How notifications leave: to the address that was checked and no other, within a limit that no slow answer stretches."""

from __future__ import annotations

import math
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Protocol

import httpcore

from billhook.engine.notifications.schedule import Answer
from billhook.engine.notifications.targets import TargetRefused, Targets
from billhook.errors import InvalidInput

LIMIT = timedelta(seconds=15)
"""How long a receiver may take, from the look-up of its name to the end of its answer."""
READ_BYTES = 64 * 1024
KEPT_CHARACTERS = 1_000
"""Of an answer so much is kept, for whoever looks why it was no success."""
IDLE_CONNECTIONS = 64
IDLE_SECONDS = 20.0

Seconds = Callable[[], float]
MaybeSeconds = float | None


class Courier(Protocol):
    """Sends one request, once."""

    def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """What became of it. Never raises for what a network or a receiver can do."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class WebCourier:
    """The real one. Safe between threads. Follows no redirect, uses no proxy."""

    def __init__(
        self, targets: Targets, clock_seconds: Seconds, *, limit: timedelta = LIMIT, tls: ssl.SSLContext | None = None
    ) -> None:
        self._targets = targets
        self._now_seconds = clock_seconds
        self._limit = limit
        self._deadline = _Deadline(clock_seconds)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=_CheckedNetwork(targets, self._deadline),
        )

    def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        """Any answer at all is one; without any its body says why."""
        began_seconds = self._now_seconds()
        self._deadline.at_seconds = began_seconds + self._limit.total_seconds()
        status, text = self._exchange(url, headers, body)
        return Answer(status, text, int((self._now_seconds() - began_seconds) * 1000))

    def _exchange(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> tuple[int | None, str]:
        try:
            self._targets.endpoint(url)
            with self._pool.stream("POST", url, headers=list(headers), content=body) as response:
                return response.status, _beginning(response.iter_stream())
        except (InvalidInput, TargetRefused) as refused:
            return None, str(refused)
        except httpcore.TimeoutException:
            return None, f"nothing within {self._limit.total_seconds():g} seconds"
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
            ValueError,
        ) as error:
            return None, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _beginning(chunks: Iterable[bytes]) -> str:
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) >= READ_BYTES:
            break
    return read[:READ_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")[:KEPT_CHARACTERS]


class _Deadline(threading.local):
    """Until when the request of this thread has time."""

    at_seconds: float = math.inf

    def __init__(self, now_seconds: Seconds) -> None:
        self._now_seconds = now_seconds

    def left_seconds(self) -> float:
        """How much time it has left. Raises httpcore.ReadTimeout when none."""
        left_seconds = self.at_seconds - self._now_seconds()
        if left_seconds <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return left_seconds


class _CheckedNetwork(httpcore.NetworkBackend):
    """Connects to an address that was just found to be allowed, so that a name which changes meanwhile leads nowhere else."""

    def __init__(self, targets: Targets, deadline: _Deadline) -> None:
        self._targets = targets
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: MaybeSeconds = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = OSError(f"The host {host} has no address")
        for address in self._targets.addresses(host, port):
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._deadline.left_seconds(), local_address, socket_options
                )
            except httpcore.ConnectError as error:
                failed = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failed


class _TimedStream(httpcore.NetworkStream):
    """A connection on which everything together must end in time, not each read by itself."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: MaybeSeconds = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left_seconds())

    def write(self, buffer: bytes, timeout: MaybeSeconds = None) -> None:
        self._inner.write(buffer, self._deadline.left_seconds())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: MaybeSeconds = None
    ) -> httpcore.NetworkStream:
        secured = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left_seconds())
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
