"""Notification rules: which events go to which channels."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from billhook.errors import InvalidInput
from billhook.server.access import Administering, Integrating, Reading
from billhook.server.v1.notification_lists import IncludeDeleted, IncludeDisabled, OrderBySetting, SettingOrder
from billhook.server.v1.notification_wire import RuleRequest, event_v1, rule_v1
from billhook.server.v1.pages import Order, Paging, page_of_all, page_v1
from billhook.server.v1.wire import UlidPath, nothing, reply

router = APIRouter(prefix="/notification/rules", tags=["Notifications"])

Texts = Annotated[list[str] | None, Query()]


@router.get("", response_model=dict[str, Any])
def list_rules(
    billing: Reading,
    paging: Paging,
    feature: Texts = None,
    channel: Texts = None,
    include_deleted: IncludeDeleted = False,
    include_disabled: IncludeDisabled = False,
    order: Order = Order.ASC,
    order_by: OrderBySetting = SettingOrder.ID,
) -> Response:
    """The rules in force; the others where they are asked for. No rule here is about a feature."""
    if feature:
        return reply(page_of_all((), paging))
    found = billing.notifications.rules.list(
        channel_ids=[id.upper() for id in channel or ()],
        include_deleted=include_deleted,
        include_disabled=include_disabled,
        order=order_by.engine,
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    return reply(page_v1(found, rule_v1))


@router.post("", status_code=201, response_model=dict[str, Any])
def create_rule(billing: Administering, request: RuleRequest) -> Response:
    """A new rule; it tells what happens from now on."""
    rule = billing.notifications.rules.create(
        request.type,
        request.name,
        request.channels,
        disabled=request.disabled,
        metadata=request.metadata or {},
    )
    return reply(rule_v1(rule), 201)


@router.get("/{rule_id}", response_model=dict[str, Any])
def get_rule(billing: Reading, rule_id: UlidPath) -> Response:
    """One rule, deleted ones too."""
    return reply(rule_v1(billing.notifications.rules.get(rule_id)))


@router.put("/{rule_id}", response_model=dict[str, Any])
def update_rule(billing: Administering, rule_id: UlidPath, request: RuleRequest) -> Response:
    """Replace what can be said of a rule, but for its type."""
    rules = billing.notifications.rules
    type = rules.get(rule_id).type
    if request.type is not type:
        raise InvalidInput(
            "rule_type_fixed", f"This rule is of type {type}, which can't change. Create another.", "/type"
        )
    rule = rules.update(
        rule_id,
        name=request.name,
        channel_ids=request.channels,
        disabled=request.disabled,
        metadata=request.metadata or {},
    )
    return reply(rule_v1(rule))


@router.delete("/{rule_id}", status_code=204)
def delete_rule(billing: Administering, rule_id: UlidPath) -> Response:
    """Tell nothing more by that rule."""
    billing.notifications.rules.delete(rule_id)
    return nothing()


@router.post("/{rule_id}/test", status_code=201, response_model=dict[str, Any])
def test_rule(billing: Integrating, rule_id: UlidPath) -> Response:
    """Tell the rule's channels of an invoice that never was."""
    return reply(event_v1(billing.notifications.events.test(rule_id), billing.engine.catalog), 201)
