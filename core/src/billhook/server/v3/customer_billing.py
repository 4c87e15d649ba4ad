"""How a customer is billed: ``/openmeter/customers/{customer}/billing``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from billhook.engine.namespace import Namespace
from billhook.server.access import Integrating, Reading
from billhook.server.v1.shown import filled
from billhook.server.v3.customer_billing_wire import AppDataInput, BillingInput, app_data_v3, entries_of
from billhook.server.v3.wire import UlidPath, reply

router = APIRouter(prefix="/customers/{customer}/billing", tags=["Customers"])


@router.get("")
def get_billing(billing: Reading, customer: UlidPath) -> Response:
    """The profile that serves the customer, and what its apps know of the customer."""
    return reply(_shown(billing, customer))


@router.put("")
def update_billing(billing: Integrating, customer: UlidPath, body: BillingInput) -> Response:
    """Serve the customer by that profile, or by the default one, and let its apps know this; both, or neither."""
    profile_id = body.billing_profile.id if body.billing_profile else None
    choose = entries_of(body.app_data, billing.customer_apps.list(customer))
    billing.customer_apps.pin_and_set(customer, profile_id, choose)
    return reply(_shown(billing, customer))


@router.put("/app-data")
def update_app_data(billing: Integrating, customer: UlidPath, body: AppDataInput) -> Response:
    """Let the apps of the customer's profile know this."""
    billing.customer_apps.set(customer, entries_of(body, billing.customer_apps.list(customer)))
    return reply(_app_data(billing, customer))


def _shown(billing: Namespace, customer: str) -> dict[str, Any]:
    profile = billing.overrides.resolve(customer).profile
    return filled(billing_profile={"id": profile.id}, app_data=_app_data(billing, customer))


def _app_data(billing: Namespace, customer: str) -> dict[str, Any]:
    return app_data_v3(billing.customer_apps.profile_apps(customer), billing.customer_apps.list(customer))
