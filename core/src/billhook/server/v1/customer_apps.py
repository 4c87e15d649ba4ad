"""What apps know of a customer: ``/api/v1/customers/{customerIdOrKey}/apps``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from starlette.responses import Response

from billhook.engine.namespace import Namespace
from billhook.engine.records import CustomerApp
from billhook.server.access import Integrating, Reading
from billhook.server.v1.apps_shown import shown_apps
from billhook.server.v1.customer_apps_wire import AppDataInput, AppType, app_data_v1, entries_of
from billhook.server.v1.customers import IdOrKey
from billhook.server.v1.pages import Paging, page_of_all
from billhook.server.v1.wire import NO_CONTENT, UlidPath, nothing, reply

router = APIRouter(prefix="/customers/{customer}/apps", tags=["Customers"])

MOST_ENTRIES = 100


@router.get("")
def list_app_data(
    billing: Reading,
    customer: IdOrKey,
    paging: Paging,
    type: Annotated[AppType | None, Query(description="Only of apps of this type.")] = None,
) -> Response:
    """What apps know of the customer."""
    data = _shown(billing, billing.customer_apps.list(billing.customers.get(customer).id))
    return reply(page_of_all((each for each in data if type in {None, each["type"]}), paging))


@router.put("")
def upsert_app_data(
    billing: Integrating, customer: IdOrKey, body: Annotated[list[AppDataInput], Body(max_length=MOST_ENTRIES)]
) -> Response:
    """Let apps know this of the customer: those that are named, or else those of the customer's billing profile."""
    named = billing.apps.by_id(item.id for item in body if item.id is not None)
    known = billing.customer_apps.set(billing.customers.get(customer).id, entries_of(body, named))
    return reply(_shown(billing, known))


@router.delete("/{app}", status_code=NO_CONTENT)
def delete_app_data(billing: Integrating, customer: IdOrKey, app: UlidPath) -> Response:
    """Forget what the app knows of the customer. What the provider holds stays there."""
    billing.customer_apps.delete(billing.customers.get(customer).id, app)
    return nothing()


def _shown(billing: Namespace, known: Sequence[CustomerApp]) -> list[dict[str, Any]]:
    ids = [each.app_id for each in known]
    return list(app_data_v1(known, billing.apps.by_id(ids), shown_apps(billing, ids)))
