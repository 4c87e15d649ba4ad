"""The catalog and installed apps."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from starlette.responses import Response

from billhook.engine.records import Page
from billhook.server.access import Administering, Reading
from billhook.server.installing import described, install_with_api_key, install_without_credentials
from billhook.server.v1.app_wire import declaration_of
from billhook.server.v1.catalog_wire import KNOWN_TYPES
from billhook.server.v3.app_wire import AppUpdate, Install, app_v3, changes_of, item_v3, own_type
from billhook.server.v3.query import Asked, Query
from billhook.server.v3.wire import UlidPath, nothing, page_v3, reply

router = APIRouter(tags=["Apps"])

Paged = Annotated[Asked, Depends(Query())]


@router.get("/app-catalog", response_model=dict[str, Any])
def list_catalog(billing: Reading, asked: Paged) -> Response:
    """The providers that can be installed here, of those that the document has a type for."""
    catalog = billing.engine.catalog
    names = [name for name in catalog.names() if name in KNOWN_TYPES and declaration_of(name, catalog)]
    start = (asked.page - 1) * asked.page_size
    page = Page(tuple(names[start : start + asked.page_size]), len(names), asked.page, asked.page_size)
    return reply(page_v3(page, lambda name: item_v3(name, declaration_of(name, catalog))))


@router.get("/app-catalog/{app_type}", response_model=dict[str, Any])
def get_catalog_item(billing: Reading, app_type: str) -> Response:
    """One provider."""
    type = own_type(app_type)
    _, declaration = described(billing, type)
    return reply(item_v3(type, declaration))


@router.post("/app-catalog/install", status_code=201, response_model=dict[str, Any])
def install(billing: Administering, wanted: Install) -> Response:
    """Install a provider, with its key where it needs one."""
    type = own_type(wanted.type)
    if wanted.api_key is None:
        app = install_without_credentials(billing, type, wanted.name)
    else:
        app = install_with_api_key(billing, type, wanted.name, wanted.api_key)
    return reply({"app": app_v3(app, billing.engine.catalog), "default_for_capability_types": []}, 201)


@router.get("/apps", response_model=dict[str, Any])
def list_apps(billing: Reading, asked: Paged) -> Response:
    """The installed apps."""
    found = billing.apps.list(page=asked.page, page_size=asked.page_size)
    return reply(page_v3(found, lambda app: app_v3(app, billing.engine.catalog)))


@router.get("/apps/{app_id}", response_model=dict[str, Any])
def get_app(billing: Reading, app_id: UlidPath) -> Response:
    """One app, uninstalled ones too."""
    return reply(app_v3(billing.apps.get(app_id), billing.engine.catalog))


@router.put("/apps/{app_id}", response_model=dict[str, Any])
def update_app(billing: Administering, app_id: UlidPath, update: Annotated[AppUpdate, Body()]) -> Response:
    """Replace what can be said of an app. What is left out is removed."""
    changes = changes_of(billing.apps.get(app_id), update)
    return reply(app_v3(billing.apps.update(app_id, **changes), billing.engine.catalog))


@router.delete("/apps/{app_id}", status_code=204)
def uninstall_app(billing: Administering, app_id: UlidPath) -> Response:
    """Take the app away with its credentials. Refused (409) while a profile or anything open needs it."""
    billing.apps.uninstall(app_id)
    return nothing()
