"""What goes in and out of a simulator: requests, replies, dropped connections and events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One request as it reached the provider."""

    method: str
    path: str
    query: Pairs = ()
    headers: Pairs = ()
    body: bytes = b""

    @classmethod
    def from_url(cls, method: str, url: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Self:
        """The request that an HTTP client would send to `url`; scheme and host are dropped."""
        parts = urlsplit(url)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method.upper(), parts.path or "/", query, tuple(headers), body)

    @property
    def line(self) -> str:
        """Method and path, as in `POST /v1/invoices`: what the `matching` of a fault is looked for in."""
        return f"{self.method} {self.path}"

    def header(self, name: str) -> str | None:
        """The value of a header in any spelling, or None."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), None)

    def param(self, name: str) -> str | None:
        """The value of a query parameter, or None."""
        return next((value for known, value in self.query if known == name), None)


@dataclass(frozen=True, slots=True)
class SimReply:
    """One answer. `after_seconds` says how late it is: the HTTP door waits that long, an in-process one may time out."""

    status: int
    headers: Pairs = ()
    body: bytes = b""
    after_seconds: float = 0.0

    @classmethod
    def of(cls, status: int, value: Any, headers: Pairs = ()) -> Self:
        """An answer whose body is `value` as JSON."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, (("Content-Type", "application/json"), *headers), body)

    @classmethod
    def error(cls, status: int, code: str, message: str, headers: Pairs = ()) -> Self:
        """A refusal of the whole request: `{"error": {"code", "message"}}`."""
        return cls.of(status, {"error": {"code": code, "message": message}}, headers)

    def header(self, name: str) -> str | None:
        """The value of a header in any spelling, or None."""
        wanted = name.lower()
        return next((value for known, value in self.headers if known.lower() == wanted), None)

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Dropped(Exception):
    """The connection closed and there is no answer. Whether the request was applied, the client can't know."""


class ConnectionRefused(Dropped):
    """There never was a connection: the provider saw nothing, and the client knows it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that the provider tells by webhook. `skew` is how wrong its clock is while it tells it."""

    id: str
    type: str
    reference: str
    object_id: str
    at: datetime
    skew: timedelta = timedelta()

    @property
    def line(self) -> str:
        """What the `matching` of a fault is looked for in, as in `webhook payment.succeeded`."""
        return f"webhook {self.type}"


@dataclass(frozen=True, slots=True)
class SimCall:
    """One line of the request log. `verdict` is `answered`, `replayed`, `refused`, `server_error` or a fault's kind."""

    number: int
    at: datetime
    method: str
    path: str
    key: str | None
    verdict: str
    status: int | None
