"""The application: every route, with the layers around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from billhook import __version__
from billhook.engine.engine import Engine
from billhook.errors import BillhookError
from billhook.server import callbacks, probes, provider_webhooks
from billhook.server.access import Documented, Gate
from billhook.server.connections import ConnectionsUnderWay, OAuth2Client
from billhook.server.document import document_of
from billhook.server.guard import Guard
from billhook.server.heads import Heads
from billhook.server.limits import LARGEST_BODY, Limits
from billhook.server.metrics import Metrics
from billhook.server.own import (
    apps as own_apps,
    causes,
    connections,
    credit_notes,
    customer_apps as own_customer_apps,
    doubts,
    invoices as own_invoices,
    issues,
    numbers,
)
from billhook.server.problems import on_error
from billhook.server.readiness import Readiness
from billhook.server.v1 import (
    apps,
    customer_apps,
    customers,
    invoices,
    marketplace,
    notification_channels,
    notification_events,
    notification_rules,
    overrides,
    pending_lines,
    profiles,
)
from billhook.server.v3 import (
    apps as apps_v3,
    customer_billing as customer_billing_v3,
    customers as customers_v3,
    invoices as invoices_v3,
    profiles as profiles_v3,
)
from billhook.server.ways_out import OWN_PATHS

V1 = "/api/v1"
V3 = ("/api/v3/openmeter", "/v3/openmeter")

V1_ROUTERS: tuple[APIRouter, ...] = (
    apps.router,
    customer_apps.router,
    customers.router,
    invoices.router,
    marketplace.router,
    notification_channels.router,
    notification_rules.router,
    notification_events.router,
    overrides.router,
    pending_lines.router,
    profiles.router,
)
V3_ROUTERS: tuple[APIRouter, ...] = (
    apps_v3.router,
    customer_billing_v3.router,
    customers_v3.router,
    invoices_v3.router,
    profiles_v3.router,
)
OWN_ROUTERS: tuple[APIRouter, ...] = (
    own_apps.router,
    connections.router,
    own_customer_apps.router,
    own_invoices.router,
    issues.router,
    causes.router,
    doubts.router,
    credit_notes.router,
    numbers.router,
)
NO_CLIENTS: Mapping[str, OAuth2Client] = MappingProxyType({})


def create_app(
    engine: Engine,
    *,
    oauth2_clients: Mapping[str, OAuth2Client] = NO_CLIENTS,
    largest_body: int = LARGEST_BODY,
) -> FastAPI:
    """An application on that engine, to be served alone or mounted in a host under any prefix.

    The caller keeps the engine open while the application serves, and runs the worker and the dispatcher of notifications.
    ``oauth2_clients`` are, by provider type, those with which OpenMeter's clients connect apps.
    """
    metrics = Metrics(engine)
    app = FastAPI(
        title="Billhook",
        version=__version__,
        description="Carries invoices through the systems that deliver them and collect the money. Speaks OpenMeter's API.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=dict.fromkeys((BillhookError, HTTPException, RequestValidationError), on_error),
        # From the outside in.
        middleware=[
            Middleware(Heads),
            Middleware(Guard, engine=engine, metrics=metrics),
            Middleware(Gate, tokens=engine.tokens),
            Middleware(Limits, largest_body=largest_body),
        ],
    )
    app.state.engine = engine
    app.state.readiness = Readiness(engine)
    app.state.metrics = metrics
    app.state.connections = ConnectionsUnderWay(engine.context.clock, oauth2_clients)
    app.router.routes.extend(_routes())
    app.openapi = partial(document_of, app, app.openapi, V1)  # type: ignore[method-assign]
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Every route. None of them knows its application, and what each one takes and gives costs a second to work out."""
    every = APIRouter()
    every.include_router(probes.router)
    every.routes.append(provider_webhooks.route)
    every.routes.extend(callbacks.routes_under(V1))
    for router in V1_ROUTERS:
        every.include_router(router, prefix=V1, dependencies=[Documented])
    for router in V3_ROUTERS:
        every.include_router(router, prefix=V3[0], dependencies=[Documented])
        every.include_router(router, prefix=V3[1], dependencies=[Documented], include_in_schema=False)
    for router in OWN_ROUTERS:
        every.include_router(router, prefix=OWN_PATHS, dependencies=[Documented])
    return tuple(every.routes)
