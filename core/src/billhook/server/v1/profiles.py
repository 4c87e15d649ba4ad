"""Billing profiles: ``/api/v1/billing/profiles``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from billhook.engine.namespace import Namespace
from billhook.engine.records import BillingProfile
from billhook.server.access import Administering, Reading
from billhook.server.v1.apps_shown import ShownApps, shown_apps
from billhook.server.v1.pages import Order, Paging, page_v1
from billhook.server.v1.profiles_wire import (
    ORDERS,
    Expand,
    OrderBy,
    ProfileCreate,
    ProfileUpdate,
    app_ids_of,
    profile_v1,
)
from billhook.server.v1.wire import NO_CONTENT, UlidPath, nothing, reply

router = APIRouter(prefix="/billing/profiles", tags=["Billing profiles"])

Expanded = Annotated[list[Expand], Query(default_factory=list, description="What is shown in full.")]


@router.get("")
def list_profiles(
    billing: Reading,
    paging: Paging,
    expand: Expanded,
    *,
    include_archived: Annotated[bool, Query(alias="includeArchived", description="Deleted ones too.")] = False,
    order: Order = Order.ASC,
    order_by: Annotated[OrderBy | None, Query(alias="orderBy")] = None,
) -> Response:
    """The billing profiles."""
    page = billing.profiles.list(
        include_deleted=include_archived,
        order=ORDERS[order_by],
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    apps = _apps(billing, *page.items) if Expand.APPS in expand else {}
    return reply(page_v1(page, lambda profile: profile_v1(profile, apps)))


@router.post("", status_code=201)
def create_profile(billing: Administering, body: ProfileCreate) -> Response:
    """A new profile. As the default it takes the place of the one before."""
    return reply(_whole(billing, billing.profiles.create(**body.values())), 201)


@router.get("/{id}")
def get_profile(billing: Reading, id: UlidPath, expand: Expanded) -> Response:
    """One profile, deleted ones too."""
    profile = billing.profiles.get(id)
    return reply(_whole(billing, profile) if Expand.APPS in expand else profile_v1(profile, {}))


@router.put("/{id}")
def update_profile(billing: Administering, id: UlidPath, body: ProfileUpdate) -> Response:
    """Replace what can be said here of a profile. Its apps stay, and invoices that are there keep their workflow."""
    return reply(_whole(billing, billing.profiles.amend(id, **body.values())))


@router.delete("/{id}", status_code=NO_CONTENT)
def delete_profile(billing: Administering, id: UlidPath) -> Response:
    """Delete a profile that is neither the default nor named by an override."""
    billing.profiles.delete(id)
    return nothing()


def _whole(billing: Namespace, profile: BillingProfile) -> dict[str, object]:
    return profile_v1(profile, _apps(billing, profile))


def _apps(billing: Namespace, *profiles: BillingProfile) -> ShownApps:
    return shown_apps(billing, (id for profile in profiles for id in app_ids_of(profile).values()))
