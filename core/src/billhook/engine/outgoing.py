"""Requests as they leave, but for their credentials."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from billhook.contract.requests import Outgoing, Request


def outgoing(request: Request, key: str | None) -> Outgoing:
    """The request with its idempotency key where the provider wants it."""
    plain = Outgoing(request.method, request.url, request.headers, request.body)
    if request.key is None or key is None:
        return plain
    if request.key.place == "header":
        return plain.with_headers((request.key.name, key))
    parts = urlsplit(request.url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), (request.key.name, key)]
    return Outgoing(plain.method, urlunsplit(parts._replace(query=urlencode(query))), plain.headers, plain.body)
