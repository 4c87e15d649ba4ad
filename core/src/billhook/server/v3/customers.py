"""Customers: ``/openmeter/customers``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from billhook.engine.records import Page
from billhook.server.access import Integrating, Reading
from billhook.server.v3.customers_wire import (
    FILTERS,
    SORTS,
    CustomerCreate,
    CustomerUpdate,
    customer_v3,
    customers_wanted,
)
from billhook.server.v3.labels import metadata_with
from billhook.server.v3.query import Asked, Query, Sort
from billhook.server.v3.wire import NO_CONTENT, UlidPath, nothing, page_v3, reply

router = APIRouter(prefix="/customers", tags=["Customers"])

BY_NAME = (Sort("name"),)


@router.post("", status_code=201)
def create_customer(billing: Integrating, body: CustomerCreate) -> Response:
    """A new customer."""
    return reply(customer_v3(billing.customers.create(**body.values())), 201)


@router.get("")
def list_customers(
    billing: Reading, asked: Annotated[Asked, Depends(Query(filters=FILTERS, sorts=tuple(SORTS)))]
) -> Response:
    """The customers, by name unless another order is asked for. Of several orders the first one counts."""
    wanted = customers_wanted(asked.filters)
    if wanted is None:
        return reply(page_v3(Page((), 0, asked.page, asked.page_size), customer_v3))
    by = (asked.sort or BY_NAME)[0]
    page = billing.customers.list(
        wanted, order=SORTS[by.field], descending=by.descending, page=asked.page, page_size=asked.page_size
    )
    return reply(page_v3(page, customer_v3))


@router.get("/{customer}")
def get_customer(billing: Reading, customer: UlidPath) -> Response:
    """One customer, deleted ones too."""
    return reply(customer_v3(billing.customers.get(customer)))


@router.put("/{customer}")
def update_customer(billing: Integrating, customer: UlidPath, body: CustomerUpdate) -> Response:
    """Replace what can be said here of a customer, and bring it to every app that knows the customer."""
    metadata = metadata_with(body.labels, billing.customers.get(customer).metadata)
    return reply(customer_v3(billing.customers.update(customer, **body.values(), metadata=metadata)))


@router.delete("/{customer}", status_code=NO_CONTENT)
def delete_customer(billing: Integrating, customer: UlidPath) -> Response:
    """Delete a customer for whom nothing is open. Its key is free again."""
    billing.customers.delete(customer)
    return nothing()
