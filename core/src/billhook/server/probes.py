"""What those ask who run the server: is it alive, is it ready, how busy is it. Open to all who reach it, and silent about tenants."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from billhook.server.metrics import CONTENT_TYPE

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The process can do its work; if not, why: 503."""
    reasons = await run_in_threadpool(request.app.state.readiness.reasons)
    if reasons:
        return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures as Prometheus reads them."""
    text = await run_in_threadpool(request.app.state.metrics.text)
    return Response(text, headers={"content-type": CONTENT_TYPE})
