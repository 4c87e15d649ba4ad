"""How requests leave: one small port, and the real one over httpx. No retries, no redirects, always a timeout."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urlsplit

from billhook.contract.requests import Outgoing, Reply
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission, Unsendable

if TYPE_CHECKING:
    import httpx


@runtime_checkable
class Transport(Protocol):
    """Sends one request, once."""

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of it. Never raises for what a network or a provider can do."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class HttpTransport:
    """The real transport. Safe between threads.

    Whoever sends nothing does not wait for the HTTP library, nor for it to read the certificate store.
    """

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._given = client
        self._lock = threading.Lock()

    @property
    def _client(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._given is None:
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
                self._given = httpx.Client(follow_redirects=False, limits=limits)
            return self._given

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """Only what surely never left counts as not sent; anything else without an answer is lost."""
        import httpx

        try:
            built = self._built(request, timeout_seconds)
        except (httpx.InvalidURL, ValueError, TypeError, AttributeError) as error:
            return Unsendable(f"{type(error).__name__}: {error}")
        try:
            response = self._client.send(built)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotSent(f"{type(error).__name__}: {error}")
        except (
            httpx.UnsupportedProtocol,
            UnicodeError,
        ) as error:  # UnicodeError: no name server takes such a host name
            return Unsendable(f"{type(error).__name__}: {error}")
        except httpx.HTTPError as error:
            return Lost(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        return Arrived(Reply(response.status_code, tuple(response.headers.multi_items()), response.content))

    def _built(self, request: Outgoing, timeout_seconds: float) -> httpx.Request:
        """The request, ready to leave. Raises ValueError for what no server could be sent."""
        refuse_unsendable(request)
        return self._client.build_request(
            request.method,
            request.url,
            headers=list(request.headers),
            content=request.body or None,
            timeout=timeout_seconds,
        )

    def close(self) -> None:
        """Close every connection."""
        if self._given is not None:
            self._given.close()


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def refuse_unsendable(request: Outgoing) -> None:
    """Raise ValueError when the address, the method or a header is one that HTTP can't carry. Never shows a header's value."""
    parts = urlsplit(request.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        # Its path and query are left out: credentials may be in them.
        raise ValueError(
            f"The address has the scheme {parts.scheme!r} and the host {parts.netloc.rpartition('@')[2]!r}. "
            "It must begin with http:// or https:// and a host name."
        )
    if not _TOKEN.fullmatch(request.method):
        raise ValueError(f"{request.method!r} is no method that HTTP can carry.")
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"The header name {name!r} has characters that HTTP can't carry.")
        if not value.isascii() or not _LINE.fullmatch(value) or value != value.strip():
            raise ValueError(
                f"The value of the header {name!r} has characters that HTTP can't carry: "
                "other than ASCII, a line break, or a space at an end."
            )
        _refuse_other_framing(name.lower(), value, len(request.body))


def _refuse_other_framing(name: str, value: str, length: int) -> None:
    # The transport frames the body; a request that says otherwise breaks off halfway.
    if name == "transfer-encoding" or (name == "content-length" and value != str(length)):
        raise ValueError(f"The header {name!r} does not fit a body of {length} bytes. Leave it to the transport.")
