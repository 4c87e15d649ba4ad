"""Customer overrides on the wire. Pure: no engine is called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from billhook.engine.customer_search import CustomerOrder
from billhook.engine.records import CustomerOverride, ResolvedProfile
from billhook.server.v1.customers_wire import customer_v1
from billhook.server.v1.party_wire import party_v1
from billhook.server.v1.profiles_wire import apps_v1
from billhook.server.v1.shown import filled, moment
from billhook.server.v1.wire import UlidText, WireModel
from billhook.server.v1.workflow_wire import workflow_v1


class OrderBy(StrEnum):
    """By what customers are sorted."""

    CUSTOMER_ID = "customerId"
    CUSTOMER_NAME = "customerName"
    CUSTOMER_KEY = "customerKey"
    CUSTOMER_PRIMARY_EMAIL = "customerPrimaryEmail"
    CUSTOMER_CREATED_AT = "customerCreatedAt"


ORDERS: Mapping[OrderBy | None, CustomerOrder] = {
    None: CustomerOrder.ID,
    OrderBy.CUSTOMER_ID: CustomerOrder.ID,
    OrderBy.CUSTOMER_NAME: CustomerOrder.NAME,
    OrderBy.CUSTOMER_KEY: CustomerOrder.KEY,
    OrderBy.CUSTOMER_PRIMARY_EMAIL: CustomerOrder.EMAIL,
    OrderBy.CUSTOMER_CREATED_AT: CustomerOrder.CREATED_AT,
}


class Expand(StrEnum):
    """What of an override is shown in full."""

    APPS = "apps"
    CUSTOMER = "customer"


class OverrideInput(WireModel):
    """Which profile serves the customer; the default one where none is named."""

    billing_profile_id: UlidText | None = None


def resolved_v1(
    resolved: ResolvedProfile, apps: Mapping[str, Mapping[str, Any]], expand: Collection[Expand]
) -> dict[str, Any]:
    """What a customer's next invoice gets, and the override behind it if there is one."""
    profile, override = resolved.profile, resolved.override
    return filled(
        customerOverride=override_v1(override) if override is not None else None,
        baseBillingProfileId=profile.id,
        customerProfile={
            "supplier": party_v1(profile.supplier),
            "workflow": workflow_v1(resolved.workflow),
            "apps": apps_v1(profile, apps),
        },
        customer=customer_v1(resolved.customer) if Expand.CUSTOMER in expand else None,
    )


def override_v1(override: CustomerOverride) -> dict[str, Any]:
    """The override itself."""
    return filled(
        customerId=override.customer_id,
        billingProfileId=override.profile_id,
        createdAt=moment(override.created_at),
        updatedAt=moment(override.updated_at),
    )
