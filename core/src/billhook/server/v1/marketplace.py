"""The marketplace: what can be installed, and installing it. No billing profile is made of an app: that needs a supplier."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import RedirectResponse, Response

from billhook.engine.namespace import Namespace
from billhook.engine.records import App
from billhook.server.access import Administering, Reading
from billhook.server.connections import connections_of
from billhook.server.installing import described, install_with_api_key, install_without_credentials
from billhook.server.v1.app_wire import app_v1, declaration_of
from billhook.server.v1.catalog_wire import KNOWN_TYPES, listing_v1
from billhook.server.v1.pages import Paging, page_of_all
from billhook.server.v1.wire import WireModel, reply

router = APIRouter(prefix="/marketplace/listings", tags=["Apps"])


class Install(WireModel):
    """How the app is to be called; the provider's own name where none is given."""

    name: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    create_billing_profile: bool = True


class ApiKeyInstall(Install):
    """The same, with the key that lets it in."""

    api_key: Annotated[str, Field(min_length=1, max_length=4096)]


@router.get("", response_model=dict[str, Any])
def list_listings(billing: Reading, paging: Paging) -> Response:
    """The providers that can be installed here, of those that the document has a type for. All: GET /api/billhook/v1/providers."""
    catalog = billing.engine.catalog
    names = [name for name in catalog.names() if name in KNOWN_TYPES]
    found = [(name, declaration_of(name, catalog)) for name in names]
    return reply(page_of_all([listing_v1(name, said) for name, said in found if said is not None], paging))


@router.get("/{type}", response_model=dict[str, Any])
def get_listing(billing: Reading, type: str) -> Response:
    """One provider."""
    _, declaration = described(billing, type)
    return reply(listing_v1(type, declaration))


@router.post("/{type}/install", response_model=dict[str, Any])
def install(billing: Administering, type: str, wanted: Install) -> Response:
    """Install a provider that needs no credentials."""
    return _installed(billing, install_without_credentials(billing, type, wanted.name))


@router.post("/{type}/install/apikey", response_model=dict[str, Any])
def install_by_api_key(billing: Administering, type: str, wanted: ApiKeyInstall) -> Response:
    """Install a provider that is let in by a key."""
    return _installed(billing, install_with_api_key(billing, type, wanted.name, wanted.api_key))


@router.get("/{type}/install/oauth2", response_model=dict[str, Any])
def begin_oauth2(request: Request, billing: Administering, type: str) -> Response:
    """Where a person grants access, for a provider whose OAuth client this server was given."""
    return reply({"url": connections_of(request).begin_with_client(billing, type).url})


@router.get("/{type}/install/oauth2/authorize", status_code=303, response_class=RedirectResponse)
def finish_oauth2(
    request: Request,
    billing: Administering,
    type: str,
    state: Annotated[str, Query(max_length=1024)] = "",
) -> Response:
    """Take what the person came back with, and install an app for each account that was granted."""
    apps = connections_of(request).finish(billing, type, state, dict(request.query_params))
    place = request.url.path.partition("/marketplace/")[0]
    return RedirectResponse(f"{place}/apps/{apps[0].id}", status_code=303)


def _installed(billing: Namespace, app: App) -> Response:
    return reply({"app": app_v1(app, billing.engine.catalog), "defaultForCapabilityTypes": []})
