"""How an invoice is to be made void, as callers say it: as a whole, or not at all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from billhook.errors import InvalidInput
from billhook.server.v1.line_input import Percentage
from billhook.server.v1.wire import WireModel


class LineActionInput(WireModel):
    """What becomes of the lines."""

    type: Literal["discard", "pending"]


class VoidActionInput(WireModel):
    """How much of the invoice is meant."""

    percentage: Percentage
    action: LineActionInput


class VoidInput(WireModel):
    """A void. Without one, the invoice is void as a whole."""

    action: VoidActionInput
    reason: Annotated[str, StringConstraints(max_length=1024)]
    overrides: Annotated[tuple[Any, ...] | None, Field(max_length=10_000)] = None

    def check(self) -> None:
        """Raise InvalidInput for a void of a part, or one that would invoice the lines anew."""
        if self.action.percentage != 100 or self.action.action.type != "discard" or self.overrides:
            raise InvalidInput(
                "void_partial_not_supported",
                "An invoice is made void as a whole: 100 percent, with its lines discarded. Credit a part of it with a credit note.",
                "/action",
            )
