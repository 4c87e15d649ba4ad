"""Customers as single apps know them, whatever the provider: who is there already is linked, and not made again."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from billhook.domain.base import Metadata
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.engine.records import CustomerApp, ExternalId
from billhook.server.access import Integrating, Reading
from billhook.server.v1.customers import IdOrKey
from billhook.server.v1.wire import UlidPath, nothing, reply
from billhook.server.v3.wire import WireModel

router = APIRouter(prefix="/customers/{customer}/apps", tags=["Customers at apps"])

Json = dict[str, Any]


class Known(WireModel):
    """What an app is to know of a customer. ``external_id`` names a customer who is at the provider already."""

    external_id: ExternalId | None = None
    payment_method: ExternalId | None = None
    data: Metadata = Field(default_factory=dict)


@router.get("", response_model=Json)
def list_known(billing: Reading, customer: IdOrKey) -> Response:
    """Every app that knows the customer, and how."""
    return reply({"data": [_shown(each) for each in billing.customer_apps.list(billing.customers.get(customer).id)]})


@router.put("/{app_id}", response_model=Json)
def set_known(billing: Integrating, customer: IdOrKey, app_id: UlidPath, known: Known) -> Response:
    """Let the app know this of the customer, and nothing else. Another external id is brought up to date with the next invoice.

    Refused (409) while the customer is just being brought there.
    """
    entry = CustomerAppEntry(app_id, **dict(known))
    (kept,) = billing.customer_apps.set(billing.customers.get(customer).id, [entry])
    return reply(_shown(kept))


@router.delete("/{app_id}", status_code=204)
def forget(billing: Integrating, customer: IdOrKey, app_id: UlidPath) -> Response:
    """Forget how the app knows the customer. What the provider holds stays there."""
    billing.customer_apps.delete(billing.customers.get(customer).id, app_id)
    return nothing()


def _shown(known: CustomerApp) -> Json:
    return known.model_dump(mode="json", exclude={"customer_id"}, exclude_none=True)
