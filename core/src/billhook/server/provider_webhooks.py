"""Webhooks of providers: one address for each app, open to whoever can sign. Verified, kept, answered at once; worked later."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from billhook.domain.ids import is_ulid
from billhook.engine.engine import Engine
from billhook.errors import NotFound
from billhook.server.paths import KnownRoute

PATH = "/webhooks/{app_id}"


async def receive(request: Request) -> Response:
    """POST /webhooks/{app_id}: 200 without content for what the provider's signature vouches for, which Xero asks for as a handshake.

    401 for a bad signature, with nothing stored. Nothing of the body is shown or logged.
    """
    app_id = request.path_params["app_id"]
    if not is_ulid(app_id):
        raise NotFound("app", app_id)
    engine: Engine = request.app.state.engine
    await run_in_threadpool(engine.receive_webhook, app_id, dict(request.headers), await request.body())
    return Response()


route = KnownRoute(PATH, receive, methods=["POST"])
