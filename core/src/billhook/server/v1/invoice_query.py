"""Which invoices a caller asks for, and in which order."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from fastapi import Depends, Query

from billhook.domain.period import UtcDatetime
from billhook.engine.invoice_filter import InvoiceFilter, InvoiceOrder
from billhook.server.v1.wire import UlidText


class Expand(StrEnum):
    """What is shown besides. Apps always are, and nothing ever precedes an invoice here."""

    LINES = "lines"
    PRECEDING = "preceding"
    APPS = "workflow.apps"


class OrderBy(StrEnum):
    """What invoices can be sorted by."""

    CUSTOMER_NAME = "customer.name"
    ISSUED_AT = "issuedAt"
    STATUS = "status"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    PERIOD_START = "periodStart"


ORDERS = {
    OrderBy.CUSTOMER_NAME: InvoiceOrder.CUSTOMER_NAME,
    OrderBy.ISSUED_AT: InvoiceOrder.ISSUED_AT,
    OrderBy.STATUS: InvoiceOrder.STATUS,
    OrderBy.CREATED_AT: InvoiceOrder.CREATED_AT,
    OrderBy.UPDATED_AT: InvoiceOrder.UPDATED_AT,
    OrderBy.PERIOD_START: InvoiceOrder.PERIOD_START,
}

Status = Literal[
    "gathering", "draft", "issuing", "issued", "payment_processing", "overdue", "paid", "uncollectible", "voided"
]
Time = UtcDatetime | None


async def _filter(
    statuses: Annotated[list[Status], Query(default_factory=list)],
    extended_statuses: Annotated[list[str], Query(alias="extendedStatuses", default_factory=list)],
    customers: Annotated[list[UlidText], Query(default_factory=list)],
    *,
    issued_after: Annotated[Time, Query(alias="issuedAfter")] = None,
    issued_before: Annotated[Time, Query(alias="issuedBefore")] = None,
    period_start_after: Annotated[Time, Query(alias="periodStartAfter")] = None,
    period_start_before: Annotated[Time, Query(alias="periodStartBefore")] = None,
    created_after: Annotated[Time, Query(alias="createdAfter")] = None,
    created_before: Annotated[Time, Query(alias="createdBefore")] = None,
    include_deleted: Annotated[bool, Query(alias="includeDeleted")] = False,
) -> InvoiceFilter:
    return InvoiceFilter(
        statuses=tuple(statuses),
        extended_statuses=tuple(extended_statuses),
        customer_ids=tuple(customers),
        issued_from=issued_after,
        issued_before=issued_before,
        period_start_from=period_start_after,
        period_start_before=period_start_before,
        created_from=created_after,
        created_before=created_before,
        include_deleted=include_deleted,
    )


Filtered = Annotated[InvoiceFilter, Depends(_filter)]
Expanded = Annotated[list[Expand], Query(default_factory=list, description="What is shown besides.")]
