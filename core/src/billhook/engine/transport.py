"""How requests leave: one small port, and the real one over httpx. No retries, no redirects, always a timeout."""

from __future__ import annotations

import threading
from typing import Protocol

import httpx

from billhook.contract.requests import Outgoing, Reply
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission


class Transport(Protocol):
    """Sends one request, once."""

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of it. Never raises for what a network or a provider can do."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class HttpTransport:
    """The real transport. Safe between threads."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._given = client
        self._lock = threading.Lock()

    @property
    def _client(self) -> httpx.Client:
        # Made at the first send: reading the certificate store takes longer than most commands that send nothing.
        with self._lock:
            if self._given is None:
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
                self._given = httpx.Client(follow_redirects=False, limits=limits)
            return self._given

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """Only what surely never left counts as not sent; anything else without an answer is lost."""
        try:
            response = self._client.request(
                request.method,
                request.url,
                headers=list(request.headers),
                content=request.body or None,
                timeout=timeout_seconds,
            )
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
            httpx.InvalidURL,
        ) as error:
            return NotSent(f"{type(error).__name__}: {error}")
        except httpx.HTTPError as error:
            return Lost(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        return Arrived(Reply(response.status_code, tuple(response.headers.multi_items()), response.content))

    def close(self) -> None:
        """Close every connection."""
        if self._given is not None:
            self._given.close()
