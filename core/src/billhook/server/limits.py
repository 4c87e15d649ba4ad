"""What a request's body may be: of bearable size, and where it is JSON, JSON that every reader understands alike."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billhook.server.paths import is_api
from billhook.server.problems import Refusal

LARGEST_BODY = 4 * 1024 * 1024
DEEPEST_JSON = 64
JSON_BODY = "billhook.json"
"""Where the parsed body of a call stands in its scope. Absent where there is no body."""


class Limits:
    """Reads the body of a request before anything else does, and refuses what is not fit."""

    def __init__(self, app: ASGIApp, largest_body: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Refusal (400, 413, 415)."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self._check_announced(headers.get("content-length", ""))
        body = await self._read(receive)
        if body and is_api(scope):
            _check_type(headers.get("content-type", ""))
            scope[JSON_BODY] = json_of(body)
        await self._app(scope, _again(body, receive), send)

    def _check_announced(self, length: str) -> None:
        if length.isdecimal() and (len(length) > 18 or int(length) > self._largest):
            raise self._too_large()

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Refusal(400, "body_incomplete", "The connection ended before the body did.")
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size > self._largest:
                raise self._too_large()
            chunks.append(chunk)
        return b"".join(chunks)

    def _too_large(self) -> Refusal:
        return Refusal(413, "body_too_large", f"The body is too large; at most {self._largest} bytes are read.")


def json_of(body: bytes) -> Any:
    """The JSON in that body. Raises Refusal (400) for anything that two readers may understand differently, or that is too deep."""
    _check_depth(body)
    try:
        return json.loads(
            body.decode(), parse_float=_finite, parse_constant=_no_number, object_pairs_hook=_no_key_twice
        )
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "json_invalid", f"The body is no JSON: {_why(error)}.") from None


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Refusal(415, "content_type_not_json", "Send the body as JSON: Content-Type: application/json.")


def _check_depth(body: bytes) -> None:
    # Most bodies open fewer brackets than may be nested; one pass over the bytes tells.
    if body.count(b"[") + body.count(b"{") <= DEEPEST_JSON:
        return
    depth = 0
    is_text = is_escaped = False
    for byte in body:
        if is_text:
            is_escaped, is_text = byte == 92 and not is_escaped, byte != 34 or is_escaped
        elif byte == 34:
            is_text = True
        elif byte in b"[{":
            depth += 1
            if depth > DEEPEST_JSON:
                raise Refusal(400, "json_too_deep", f"The body is nested more than {DEEPEST_JSON} levels deep.")
        elif byte in b"]}":
            depth -= 1


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text[:40])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _no_key_twice(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        names = [name for name, _ in listed]
        raise ValueError(
            f"the property {next(name for name in names if names.count(name) > 1)[:64]!r} stands there twice"
        )
    return found


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at letter {error.pos}"
    return (
        "it is no UTF-8"
        if isinstance(error, UnicodeDecodeError)
        else "it is too large"
        if isinstance(error, RecursionError)
        else str(error)
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
