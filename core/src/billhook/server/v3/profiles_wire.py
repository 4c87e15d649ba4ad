"""Billing profiles in the third form of the API. Pure: no engine is called."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StrictBool

from billhook.domain.ids import Ulid
from billhook.engine.records import BillingProfile
from billhook.server.v1.profiles_wire import ROLES, ShortDescription, ShortName, app_ids_of
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v3.labels import MOST_LABELS, labels_v3
from billhook.server.v3.party_wire import SupplierInput, party_v3, supplier_values
from billhook.server.v3.wire import Labels, WireModel
from billhook.server.v3.workflow_wire import WorkflowInput, workflow_v3


class Reference(WireModel):
    """Something else by its id."""

    id: Ulid


class AppsInput(WireModel):
    """The apps of a profile. They may differ: one may issue the invoice, another one collect the money."""

    tax: Reference
    invoicing: Reference
    payment: Reference


class ProfileUpdate(WireModel):
    """What can change of a profile. It is replaced as far as it can be said here."""

    name: ShortName
    description: ShortDescription | None = None
    labels: Annotated[Labels | None, Field(max_length=MOST_LABELS)] = None
    supplier: SupplierInput
    workflow: WorkflowInput
    default: StrictBool

    def values(self) -> dict[str, Any]:
        """The arguments of the engine but for metadata. Raises InvalidInput."""
        return {
            "name": self.name,
            "description": self.description,
            "supplier": supplier_values(self.supplier),
            "is_default": self.default,
            "workflow": self.workflow.values(),
        }


class ProfileCreate(ProfileUpdate):
    """A new profile."""

    apps: AppsInput

    def values(self) -> dict[str, Any]:
        """The arguments of the engine. Raises InvalidInput."""
        apps = {f"{role}_app_id": getattr(self.apps, role).id for role in ROLES}
        return {**super().values(), **apps, "metadata": self.labels or {}}


def profile_v3(profile: BillingProfile) -> dict[str, Any]:
    """A billing profile."""
    return filled(
        id=profile.id,
        name=profile.name,
        description=profile.description,
        labels=labels_v3(profile.metadata),
        created_at=moment(profile.created_at),
        updated_at=moment(profile.updated_at),
        deleted_at=maybe_moment(profile.deleted_at),
        supplier=party_v3(profile.supplier),
        workflow=workflow_v3(profile.workflow),
        apps={role: {"id": app_id} for role, app_id in app_ids_of(profile).items()},
        default=profile.is_default,
    )
