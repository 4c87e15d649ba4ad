"""OpenMeter's notifications, received: verified, answered at once, and taken as nothing but a hint to look."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

log = logging.getLogger(__name__)

LARGEST_BODY = 8 * 1024 * 1024
INVOICE_EVENTS = ("invoice.created", "invoice.updated")
_SECRET = re.compile(r"(whsec_)?[A-Za-z0-9+/=]{32,100}")
_HEADERS = ("id", "timestamp", "signature")


def is_secret(told: str) -> bool:
    """Whether it looks like the secret of one of OpenMeter's notification channels."""
    return _SECRET.fullmatch(told) is not None


def invoice_id_of(secret: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """The invoice that a notification names; None for one of another kind. Raises WebhookVerificationError."""
    # Delivered by Svix the headers begin with its name; white-labelled, and by others, with the standard's.
    lowered = {name.lower(): value for name, value in headers.items()}
    standard = {f"webhook-{name}": _first(lowered, f"webhook-{name}", f"svix-{name}") for name in _HEADERS}
    told = Webhook(secret).verify(body, standard)
    if not isinstance(told, dict) or told.get("type") not in INVOICE_EVENTS:
        return None
    data = told.get("data")
    id = data.get("id") if isinstance(data, dict) else None
    return id if isinstance(id, str) else None


def _first(headers: Mapping[str, str], *names: str) -> str:
    return next((headers[name] for name in names if name in headers), "")


def application(secret: str, hint: Callable[[str], None]) -> Starlette:
    """Takes notifications at any path, to be mounted or served. 204: seen. 401: the signature or its age is wrong."""

    async def receive(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                return Response(status_code=413)
        try:
            invoice_id = invoice_id_of(secret, request.headers, body)
        except (WebhookVerificationError, ValueError) as error:  # ValueError: what can't even be decoded
            log.warning("a notification is refused, compare its secret and this machine's clock: %s", error)
            return Response(status_code=401)
        if invoice_id is not None:
            hint(invoice_id)
        return Response(status_code=204)

    return Starlette(routes=[Route("/{path:path}", receive, methods=["POST"])])


class Listening:
    """The application served on an address of this machine, from ``with`` to the end of the block. Port 0 takes a free one."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        config = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._socket = config.bind_socket()
        self._thread = threading.Thread(target=self._run, name="billhook-hints", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
