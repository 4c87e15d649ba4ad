"""Billing profiles on the wire. Pure: no engine is called."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import StrictBool, StringConstraints

from billhook.domain.base import Metadata, Name
from billhook.engine.profile_commands import ProfileOrder
from billhook.engine.records import BillingProfile
from billhook.server.v1.party_input import PartyInput, supplier_values
from billhook.server.v1.party_wire import party_v1
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v1.wire import UlidText, WireModel
from billhook.server.v1.workflow_input import WorkflowInput
from billhook.server.v1.workflow_wire import workflow_v1

ShortName = Annotated[Name, StringConstraints(max_length=256)]
ShortDescription = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
ROLES = ("tax", "invoicing", "payment")


class OrderBy(StrEnum):
    """By what profiles are sorted."""

    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    DEFAULT = "default"
    NAME = "name"


ORDERS: Mapping[OrderBy | None, ProfileOrder] = {
    None: ProfileOrder.CREATED_AT,
    OrderBy.CREATED_AT: ProfileOrder.CREATED_AT,
    OrderBy.UPDATED_AT: ProfileOrder.UPDATED_AT,
    OrderBy.DEFAULT: ProfileOrder.DEFAULT,
    OrderBy.NAME: ProfileOrder.NAME,
}


class Expand(StrEnum):
    """What of a profile is shown in full."""

    APPS = "apps"


class AppsInput(WireModel):
    """The apps of a profile. They may differ: one may issue the invoice, another one collect the money."""

    tax: UlidText
    invoicing: UlidText
    payment: UlidText


class ProfileUpdate(WireModel):
    """What can change of a profile. It is replaced as far as it can be said here."""

    name: ShortName
    description: ShortDescription | None = None
    metadata: Metadata | None = None
    supplier: PartyInput
    default: StrictBool
    workflow: WorkflowInput

    def values(self) -> dict[str, Any]:
        """The arguments of the engine. Raises InvalidInput."""
        return {
            "name": self.name,
            "description": self.description,
            "metadata": self.metadata or {},
            "supplier": supplier_values(self.supplier),
            "is_default": self.default,
            "workflow": self.workflow.values(),
        }


class ProfileCreate(ProfileUpdate):
    """A new profile."""

    apps: AppsInput

    def values(self) -> dict[str, Any]:
        """The arguments of the engine. Raises InvalidInput."""
        apps = {f"{role}_app_id": getattr(self.apps, role) for role in ROLES}
        return {**super().values(), **apps}


def app_ids_of(profile: BillingProfile) -> dict[str, str]:
    """The app of each role."""
    return {role: getattr(profile, f"{role}_app_id") for role in ROLES}


def apps_v1(profile: BillingProfile, apps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The apps of a profile: as ``apps`` has them by id, or by their ids alone."""
    return {role: apps.get(app_id, {"id": app_id}) for role, app_id in app_ids_of(profile).items()}


def profile_v1(profile: BillingProfile, apps: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A billing profile."""
    return filled(
        id=profile.id,
        name=profile.name,
        description=profile.description,
        metadata=dict(profile.metadata),
        createdAt=moment(profile.created_at),
        updatedAt=moment(profile.updated_at),
        deletedAt=maybe_moment(profile.deleted_at),
        supplier=party_v1(profile.supplier),
        workflow=workflow_v1(profile.workflow),
        apps=apps_v1(profile, apps),
        default=profile.is_default,
    )
