"""Notification channels: webhooks to which notifications are sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from billhook.engine.records import UNCHANGED
from billhook.engine.tokens import Caller, Role
from billhook.server.access import CALLER, Administering, Reading
from billhook.server.v1.notification_lists import IncludeDeleted, IncludeDisabled, OrderBySetting, SettingOrder
from billhook.server.v1.notification_wire import ChannelRequest, channel_v1
from billhook.server.v1.pages import Order, Paging, page_v1
from billhook.server.v1.wire import UlidPath, nothing, reply

router = APIRouter(prefix="/notification/channels", tags=["Notifications"])


async def _sees_secrets(request: Request) -> bool:
    caller: Caller = request.scope[CALLER]
    return caller.role.covers(Role.ADMIN)


SeesSecrets = Annotated[bool, Depends(_sees_secrets)]
"""Whether the caller may set the secret, and so may see it."""


@router.get("", response_model=dict[str, Any])
def list_channels(
    billing: Reading,
    sees_secrets: SeesSecrets,
    paging: Paging,
    include_deleted: IncludeDeleted = False,
    include_disabled: IncludeDisabled = False,
    order: Order = Order.ASC,
    order_by: OrderBySetting = SettingOrder.ID,
) -> Response:
    """The channels that are in use; the others where they are asked for."""
    found = billing.notifications.channels.list(
        include_deleted=include_deleted,
        include_disabled=include_disabled,
        order=order_by.engine,
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    return reply(page_v1(found, lambda channel: channel_v1(channel, with_secrets=sees_secrets)))


@router.post("", status_code=201, response_model=dict[str, Any])
def create_channel(billing: Administering, request: ChannelRequest) -> Response:
    """A new channel, with a fresh signing secret where none is given."""
    channel = billing.notifications.channels.create(
        request.name,
        request.url,
        disabled=request.disabled,
        signing_secret=request.signing_secret,
        custom_headers=request.custom_headers or {},
        metadata=request.metadata or {},
    )
    return reply(channel_v1(channel, with_secrets=True), 201)


@router.get("/{channel_id}", response_model=dict[str, Any])
def get_channel(billing: Reading, sees_secrets: SeesSecrets, channel_id: UlidPath) -> Response:
    """One channel, deleted ones too."""
    return reply(channel_v1(billing.notifications.channels.get(channel_id), with_secrets=sees_secrets))


@router.put("/{channel_id}", response_model=dict[str, Any])
def update_channel(billing: Administering, channel_id: UlidPath, request: ChannelRequest) -> Response:
    """Replace what can be said of a channel. The signing secret stays where none is given."""
    channel = billing.notifications.channels.update(
        channel_id,
        name=request.name,
        url=request.url,
        disabled=request.disabled,
        signing_secret=request.signing_secret or UNCHANGED,
        custom_headers=request.custom_headers or {},
        metadata=request.metadata or {},
    )
    return reply(channel_v1(channel, with_secrets=True))


@router.delete("/{channel_id}", status_code=204)
def delete_channel(billing: Administering, channel_id: UlidPath) -> Response:
    """Delete a channel that no rule names."""
    billing.notifications.channels.delete(channel_id)
    return nothing()
