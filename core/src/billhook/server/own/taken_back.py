"""What is said with what was noted by mistake."""

from __future__ import annotations

from billhook.domain.base import Key
from billhook.server.v3.wire import WireModel


class TakenBack(WireModel):
    """Why a payment or a refund is taken back. It stands in the timeline."""

    reason: Key
