"""Installed apps: list, get, update, uninstall."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.responses import Response

from billhook.server.access import Administering, Reading
from billhook.server.v1.app_wire import AppUpdate, app_v1, changes_of
from billhook.server.v1.pages import Paging, page_v1
from billhook.server.v1.wire import UlidPath, nothing, reply

router = APIRouter(prefix="/apps", tags=["Apps"])


@router.get("", response_model=dict[str, Any])
def list_apps(billing: Reading, paging: Paging) -> Response:
    """The installed apps."""
    found = billing.apps.list(page=paging.page, page_size=paging.page_size)
    return reply(page_v1(found, lambda app: app_v1(app, billing.engine.catalog)))


@router.get("/{app_id}", response_model=dict[str, Any])
def get_app(billing: Reading, app_id: UlidPath) -> Response:
    """One app, uninstalled ones too."""
    return reply(app_v1(billing.apps.get(app_id), billing.engine.catalog))


@router.put("/{app_id}", response_model=dict[str, Any])
def update_app(billing: Administering, app_id: UlidPath, update: Annotated[AppUpdate, Body()]) -> Response:
    """Replace what can be said of an app. What is left out is removed."""
    changes = changes_of(billing.apps.get(app_id), update)
    return reply(app_v1(billing.apps.update(app_id, **changes), billing.engine.catalog))


@router.delete("/{app_id}", status_code=204)
def uninstall_app(billing: Administering, app_id: UlidPath) -> Response:
    """Take the app away with its credentials. Refused (409) while a profile or anything open needs it."""
    billing.apps.uninstall(app_id)
    return nothing()
