"""Notification events: what was told, how it arrived, and telling it once more."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from billhook.engine.notifications.events import EventFilter
from billhook.server.access import Integrating, Reading
from billhook.server.v1.notification_lists import EventOrder, OrderByEvent
from billhook.server.v1.notification_wire import ResendRequest, event_v1
from billhook.server.v1.pages import Order, Paging, page_of_all, page_v1
from billhook.server.v1.wire import UlidPath, reply

router = APIRouter(prefix="/notification/events", tags=["Notifications"])

Texts = Annotated[list[str] | None, Query()]
ALL_CHANNELS = ResendRequest()


@router.get("", response_model=dict[str, Any])
def list_events(
    billing: Reading,
    paging: Paging,
    since: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    feature: Texts = None,
    subject: Texts = None,
    rule: Texts = None,
    channel: Texts = None,
    order: Order = Order.DESC,
    order_by: OrderByEvent = EventOrder.CREATED_AT,
) -> Response:
    """Events, the newest first. No event here is about a feature or a subject."""
    if feature or subject:
        return reply(page_of_all((), paging))
    wanted = EventFilter(since, until, _ids(rule), _ids(channel))
    found = billing.notifications.events.list(
        wanted,
        order=order_by.engine,
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    return reply(page_v1(found, lambda event: event_v1(event, billing.engine.catalog)))


@router.get("/{event_id}", response_model=dict[str, Any])
def get_event(billing: Reading, event_id: UlidPath) -> Response:
    """One event with what it told and how it arrived."""
    return reply(event_v1(billing.notifications.events.get(event_id), billing.engine.catalog))


@router.post("/{event_id}/resend", status_code=202, response_class=Response)
def resend_event(
    billing: Integrating, event_id: UlidPath, request: Annotated[ResendRequest, Body()] = ALL_CHANNELS
) -> Response:
    """Send an event once more, to all its channels or to those that are named. It keeps its id."""
    billing.notifications.events.resend(event_id, request.channels or ())
    return Response(status_code=202)


def _ids(given: list[str] | None) -> tuple[str, ...]:
    return tuple(id.upper() for id in given or ())
