"""What a verified webhook tells: hints that lead to a read, never facts to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

EventKind = Literal["document", "payment", "refund", "customer", "connection"]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One verified event. ``id`` is the provider's own, unique per event: the engine keeps each once."""

    id: str
    kind: EventKind
    """``document`` leads to `fetch`, ``payment`` to `check_payment`, ``refund`` to `check_refund`; or ``customer``, ``connection``."""
    external_id: str
    """The remote id of the thing that changed."""
    type: str
    """The provider's own word for what happened."""
    occurred_at: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The webhook is not acceptable: a bad signature, a missing secret, too old. Nothing is stored."""

    reason: str
