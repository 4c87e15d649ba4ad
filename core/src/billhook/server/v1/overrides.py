"""Customer overrides: ``/api/v1/billing/customers``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator
from starlette.responses import Response

from billhook.engine.customer_search import CustomerField, CustomerFilter
from billhook.engine.namespace import Namespace
from billhook.engine.records import ResolvedProfile
from billhook.server.access import Integrating, Reading
from billhook.server.v1.apps_shown import ShownApps, shown_apps
from billhook.server.v1.customers import Part
from billhook.server.v1.customers_wire import parts_looked_for
from billhook.server.v1.overrides_wire import ORDERS, Expand, OrderBy, OverrideInput, resolved_v1
from billhook.server.v1.pages import Order, Paging, page_v1
from billhook.server.v1.profiles_wire import app_ids_of
from billhook.server.v1.wire import ANY_CASE_ULID, NO_CONTENT, UlidText, nothing, reply

router = APIRouter(prefix="/billing/customers", tags=["Customer overrides"])

CustomerId = Annotated[str, Path(pattern=ANY_CASE_ULID), AfterValidator(str.upper)]
Expanded = Annotated[list[Expand], Query(default_factory=list, description="What is shown in full.")]
Ids = Annotated[list[UlidText], Query(default_factory=list, max_length=1000)]


@router.get("")
def list_overrides(
    billing: Reading,
    paging: Paging,
    expand: Expanded,
    profile_ids: Annotated[Ids, Query(alias="billingProfile", description="Only customers that one of these serves.")],
    customer_ids: Annotated[Ids, Query(alias="customerId", description="Only these customers.")],
    *,
    include_all: Annotated[
        bool, Query(alias="includeAllCustomers", description="Customers without an override, too.")
    ] = True,
    unpinned: Annotated[
        bool,
        Query(
            alias="customersWithoutPinnedProfile",
            description="Only customers that the default profile serves, with an override or without.",
        ),
    ] = False,
    name: Annotated[Part, Query(alias="customerName")] = None,
    key: Annotated[Part, Query(alias="customerKey")] = None,
    primary_email: Annotated[Part, Query(alias="customerPrimaryEmail")] = None,
    order: Order = Order.ASC,
    order_by: Annotated[OrderBy | None, Query(alias="orderBy")] = None,
) -> Response:
    """What each customer's next invoice gets. Customers that no profile serves are left out."""
    looked_for = {CustomerField.NAME: name, CustomerField.KEY: key, CustomerField.EMAIL: primary_email}
    wanted = CustomerFilter(parts_looked_for(looked_for), tuple(customer_ids), tuple(profile_ids))
    page = billing.overrides.list_customers(
        wanted,
        overridden=not include_all and not unpinned,
        unpinned=unpinned,
        order=ORDERS[order_by],
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    apps = _apps(billing, expand, page.items)
    return reply(page_v1(page, lambda resolved: resolved_v1(resolved, apps, expand)))


@router.get("/{customer}")
def get_override(billing: Reading, customer: CustomerId, expand: Expanded) -> Response:
    """What the customer's next invoice gets, with an override or without."""
    resolved = billing.overrides.resolve(customer)
    return reply(resolved_v1(resolved, _apps(billing, expand, [resolved]), expand))


@router.put("/{customer}")
def upsert_override(billing: Integrating, customer: CustomerId, body: OverrideInput) -> Response:
    """Serve the customer by that profile, or by the default one."""
    resolved = billing.overrides.pin(customer, body.billing_profile_id)
    return reply(resolved_v1(resolved, _apps(billing, [Expand.APPS], [resolved]), [Expand.CUSTOMER]))


@router.delete("/{customer}", status_code=NO_CONTENT)
def delete_override(billing: Integrating, customer: CustomerId) -> Response:
    """Let the customer have the default again."""
    billing.overrides.delete(customer)
    return nothing()


def _apps(billing: Namespace, expand: Collection[Expand], found: Collection[ResolvedProfile]) -> ShownApps:
    if Expand.APPS not in expand:
        return {}
    return shown_apps(billing, (id for each in found for id in app_ids_of(each.profile).values()))
