"""Billing profiles: ``/openmeter/profiles``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from billhook.server.access import Administering, Reading
from billhook.server.v3.labels import metadata_with
from billhook.server.v3.profiles_wire import ProfileCreate, ProfileUpdate, profile_v3
from billhook.server.v3.query import Asked, Query
from billhook.server.v3.wire import NO_CONTENT, UlidPath, nothing, page_v3, reply

router = APIRouter(prefix="/profiles", tags=["Billing profiles"])


@router.get("")
def list_profiles(billing: Reading, asked: Annotated[Asked, Depends(Query())]) -> Response:
    """The billing profiles, in the order in which they were made."""
    return reply(page_v3(billing.profiles.list(page=asked.page, page_size=asked.page_size), profile_v3))


@router.post("", status_code=201)
def create_profile(billing: Administering, body: ProfileCreate) -> Response:
    """A new profile. As the default it takes the place of the one before."""
    return reply(profile_v3(billing.profiles.create(**body.values())), 201)


@router.get("/{id}")
def get_profile(billing: Reading, id: UlidPath) -> Response:
    """One profile, deleted ones too."""
    return reply(profile_v3(billing.profiles.get(id)))


@router.put("/{id}")
def update_profile(billing: Administering, id: UlidPath, body: ProfileUpdate) -> Response:
    """Replace what can be said here of a profile. Its apps stay, and invoices that are there keep their workflow."""
    metadata = metadata_with(body.labels, billing.profiles.get(id).metadata)
    return reply(profile_v3(billing.profiles.amend(id, **body.values(), metadata=metadata)))


@router.delete("/{id}", status_code=NO_CONTENT)
def delete_profile(billing: Administering, id: UlidPath) -> Response:
    """Delete a profile that is neither the default nor named by an override."""
    billing.profiles.delete(id)
    return nothing()
