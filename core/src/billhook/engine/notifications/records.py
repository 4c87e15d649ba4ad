"""Channels, rules, events and deliveries, as frozen values with datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from billhook.domain.base import Key, Metadata, Value, inside_model
from billhook.domain.ids import Ulid
from billhook.domain.period import UtcDatetime
from billhook.engine.notifications.kinds import DeliveryState, EventType
from billhook.engine.notifications.requests import check_headers
from billhook.engine.notifications.signing import check_secret
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import App, ShortName

CustomHeaders = Annotated[Mapping[str, str], AfterValidator(inside_model(check_headers))]
SigningSecret = Annotated[SecretStr, AfterValidator(inside_model(check_secret))]


class Channel(Value):
    """A webhook to which notifications are sent. ``disabled_reason`` says why we stopped sending, where nobody else did."""

    id: Ulid
    namespace: Key
    name: ShortName
    url: str
    disabled: bool = False
    disabled_reason: str | None = None
    signing_secret: SigningSecret
    custom_headers: CustomHeaders = Field(default_factory=dict, repr=False)
    metadata: Metadata = Field(default_factory=dict)
    created_at: UtcDatetime
    updated_at: UtcDatetime
    deleted_at: UtcDatetime | None = None


class Rule(Value):
    """Which events go to which channels."""

    id: Ulid
    namespace: Key
    type: EventType
    name: ShortName
    disabled: bool = False
    channel_ids: tuple[Ulid, ...]
    metadata: Metadata = Field(default_factory=dict)
    created_at: UtcDatetime
    updated_at: UtcDatetime
    deleted_at: UtcDatetime | None = None


class Attempt(Value):
    """One request to a channel, and what was answered. Without a status no answer came, and the body says why."""

    at: UtcDatetime
    state: DeliveryState
    status_code: int | None = None
    body: str
    duration_ms: int
    url: str


class Delivery(Value):
    """An event on its way to one channel."""

    channel_id: Ulid
    state: DeliveryState
    reason: str
    updated_at: UtcDatetime
    next_attempt_at: UtcDatetime | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    """An invoice as it was when an event told of it, with its apps by id as they are now."""

    details: InvoiceDetails
    apps: Mapping[str, App]


@dataclass(frozen=True, slots=True)
class NotificationEvent:
    """Something that was told, and how it reached its channels. The snapshot of a test is of an invoice that never was."""

    id: str
    namespace: str
    type: EventType
    created_at: UtcDatetime
    rule: Rule
    deliveries: tuple[Delivery, ...]
    snapshot: InvoiceSnapshot
    is_test: bool = False
