"""The outermost layer: each request has an id and is counted, and whatever goes wrong inside is answered as a problem."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from billhook.engine.engine import Engine
from billhook.server.metrics import Metrics
from billhook.server.problems import answer

REQUEST_ID = "X-Request-Id"
_FIT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Guard:
    """Gives requests their ids, those that they bring where they are fit, and answers errors."""

    def __init__(self, app: ASGIApp, engine: Engine, metrics: Metrics) -> None:
        self._app = app
        self._context = engine.context
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope["billhook.request_id"] = request_id
        began_seconds = self._context.clock.monotonic()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:
            response = answer(scope, error)
            if status:
                raise
            await response(scope, receive, send_named)
        finally:
            self._metrics.answered(scope, status, self._context.clock.monotonic() - began_seconds)

    def _request_id(self, scope: Scope) -> str:
        given = Headers(scope=scope).get(REQUEST_ID, "")
        return given if _FIT_ID.fullmatch(given) else self._context.new_id(self._context.clock.now())
