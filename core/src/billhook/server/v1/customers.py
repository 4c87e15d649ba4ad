"""Customers: ``/api/v1/customers``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from billhook.engine.customer_search import CustomerField, CustomerFilter
from billhook.server.access import Integrating, Reading
from billhook.server.v1.customers_wire import ORDERS, CustomerInput, OrderBy, customer_v1, parts_looked_for
from billhook.server.v1.pages import Order, Paging, page_v1, shown
from billhook.server.v1.wire import NO_CONTENT, nothing, reply

router = APIRouter(prefix="/customers", tags=["Customers"])

IdOrKey = Annotated[str, Path(min_length=1, max_length=256, description="The customer's id, or its key.")]
Part = Annotated[
    str | None, Query(max_length=1024, pattern=r"^[^\x00]*$", description="A part of it, whatever its case.")
]


class Expand(StrEnum):
    """What of a customer is shown besides. There are no subscriptions here, so that shows nothing."""

    SUBSCRIPTIONS = "subscriptions"


Expanded = Annotated[list[Expand], Query(default_factory=list, description="What is shown besides.")]


@router.post("", status_code=201)
def create_customer(billing: Integrating, body: CustomerInput) -> Response:
    """A new customer."""
    return reply(customer_v1(billing.customers.create(**body.values())), 201)


@router.get("")
def list_customers(
    billing: Reading,
    paging: Paging,
    expand: Expanded,
    *,
    include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False,
    key: Part = None,
    name: Part = None,
    primary_email: Annotated[Part, Query(alias="primaryEmail")] = None,
    subject: Part = None,
    plan_key: Annotated[str | None, Query(alias="planKey", description="Nobody has a plan here.")] = None,
    order: Order = Order.ASC,
    order_by: Annotated[OrderBy | None, Query(alias="orderBy")] = None,
) -> Response:
    """The customers, by name unless another order is asked for."""
    if plan_key is not None:
        return reply(shown((), 0, paging.page, paging.page_size))
    looked_for = {
        CustomerField.KEY: key,
        CustomerField.NAME: name,
        CustomerField.EMAIL: primary_email,
        CustomerField.SUBJECT_KEY: subject,
    }
    page = billing.customers.list(
        CustomerFilter(parts_looked_for(looked_for), include_deleted=include_deleted),
        order=ORDERS[order_by],
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    return reply(page_v1(page, customer_v1))


@router.get("/{customer}")
def get_customer(billing: Reading, customer: IdOrKey, expand: Expanded) -> Response:
    """One customer, deleted ones too, by id."""
    return reply(customer_v1(billing.customers.get(customer)))


@router.put("/{customer}")
def update_customer(billing: Integrating, customer: IdOrKey, body: CustomerInput) -> Response:
    """Replace what can be said here of a customer, and bring it to every app that knows the customer."""
    return reply(customer_v1(billing.customers.update(customer, **body.values())))


@router.delete("/{customer}", status_code=NO_CONTENT)
def delete_customer(billing: Integrating, customer: IdOrKey) -> Response:
    """Delete a customer for whom nothing is open. Its key is free again."""
    billing.customers.delete(customer)
    return nothing()
