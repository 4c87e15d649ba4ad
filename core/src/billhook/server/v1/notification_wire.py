"""Notification channels, rules and events in the first form of the API. Pure: no call of the engine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import to_json

from billhook.engine.notifications.kinds import EventType
from billhook.engine.notifications.outgoing import Render
from billhook.engine.notifications.records import Attempt, Channel, Delivery, InvoiceSnapshot, NotificationEvent, Rule
from billhook.plugins.catalog import ProviderCatalog
from billhook.server.v1.app_wire import app_v1
from billhook.server.v1.invoice_wire import invoice_v1
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v1.wire import ANY_CASE_ULID, WireModel

WEBHOOK = "WEBHOOK"
"""The one type of channel that there is."""

Name = Annotated[str, Field(min_length=1, max_length=256)]
AnyCaseUlid = Annotated[str, Field(pattern=ANY_CASE_ULID), AfterValidator(str.upper)]
Metadata = dict[str, str] | None


class ChannelRequest(WireModel):
    """Everything that can be said of a channel. An update that names no secret leaves the one there is."""

    type: Literal["WEBHOOK"]
    name: Name
    url: str
    disabled: bool = False
    custom_headers: Annotated[dict[str, str] | None, Field(repr=False)] = None
    signing_secret: Annotated[str | None, Field(repr=False)] = None
    metadata: Metadata = None


class RuleRequest(WireModel):
    """Everything that can be said of a rule."""

    type: EventType
    name: Name
    disabled: bool = False
    channels: Annotated[list[AnyCaseUlid], Field(min_length=1)]
    metadata: Metadata = None


class ResendRequest(WireModel):
    """The channels that are to get an event once more: all of it, where none is named."""

    channels: list[AnyCaseUlid] | None = None


def channel_v1(channel: Channel, *, with_secrets: bool) -> dict[str, Any]:
    """A channel; what proves who sends is for those who may set it."""
    reason = channel.disabled_reason
    return filled(
        id=channel.id,
        type=WEBHOOK,
        name=channel.name,
        disabled=channel.disabled,
        url=channel.url,
        customHeaders=dict(channel.custom_headers) if with_secrets else None,
        signingSecret=channel.signing_secret.get_secret_value() if with_secrets else None,
        metadata=dict(channel.metadata),
        annotations={"notification.channel.disabledReason": reason} if reason else None,
        createdAt=moment(channel.created_at),
        updatedAt=moment(channel.updated_at),
        deletedAt=maybe_moment(channel.deleted_at),
    )


def rule_v1(rule: Rule) -> dict[str, Any]:
    """A rule."""
    return filled(
        id=rule.id,
        type=rule.type.value,
        name=rule.name,
        disabled=rule.disabled,
        channels=[_channel_meta(channel_id) for channel_id in rule.channel_ids],
        metadata=dict(rule.metadata),
        createdAt=moment(rule.created_at),
        updatedAt=moment(rule.updated_at),
        deletedAt=maybe_moment(rule.deleted_at),
    )


def event_v1(event: NotificationEvent, catalog: ProviderCatalog) -> dict[str, Any]:
    """An event with what it told and how it arrived."""
    invoice = event.snapshot.details.invoice
    about = {"event.invoice.id": invoice.id, "event.invoice.number": invoice.number}
    return {
        "id": event.id,
        "type": event.type.value,
        "createdAt": moment(event.created_at),
        "rule": rule_v1(event.rule),
        "payload": {
            "id": event.id,
            "type": event.type.value,
            "timestamp": moment(event.created_at),
            "data": _invoice(event.snapshot, catalog),
        },
        "deliveryStatus": [_delivery_v1(delivery) for delivery in event.deliveries],
        "annotations": {**about, **({"notification.rule.test": True} if event.is_test else {})},
    }


def renderer(catalog: ProviderCatalog) -> Render:
    """Writes an invoice as receivers of notifications read it."""
    return lambda snapshot: to_json(_invoice(snapshot, catalog))


def _invoice(snapshot: InvoiceSnapshot, catalog: ProviderCatalog) -> dict[str, Any]:
    return invoice_v1(snapshot.details, apps={id: app_v1(app, catalog) for id, app in snapshot.apps.items()})


def _delivery_v1(delivery: Delivery) -> dict[str, Any]:
    return {
        "state": delivery.state.value,
        "reason": delivery.reason,
        "updatedAt": moment(delivery.updated_at),
        "channel": _channel_meta(delivery.channel_id),
        "attempts": [_attempt_v1(attempt) for attempt in delivery.attempts],
        **filled(nextAttempt=maybe_moment(delivery.next_attempt_at)),
    }


def _attempt_v1(attempt: Attempt) -> dict[str, Any]:
    response = filled(statusCode=attempt.status_code, url=attempt.url or None)
    return {
        "state": attempt.state.value,
        "timestamp": moment(attempt.at),
        "response": {**response, "body": attempt.body, "durationMs": attempt.duration_ms},
    }


def _channel_meta(channel_id: str) -> dict[str, str]:
    return {"id": channel_id, "type": WEBHOOK}
