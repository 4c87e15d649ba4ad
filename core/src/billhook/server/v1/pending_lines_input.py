"""Lines to be invoiced later, invoices to be made of them, and lines to be tried, as callers say it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from billhook.domain.base import not_empty
from billhook.domain.currency import CurrencyCode
from billhook.domain.invoice import MAX_LINES, LineDraft
from billhook.domain.period import UtcDatetime
from billhook.errors import InvalidInput
from billhook.server.v1.line_input import PendingLineInput, SimulatedLineInput, pending_line, simulated_line
from billhook.server.v1.wire import UlidText, WireModel

SIMULATED = "INV-SIMULATED"


class PendingLinesInput(WireModel):
    """Lines of one currency."""

    currency: CurrencyCode
    lines: Annotated[tuple[PendingLineInput, ...], Field(max_length=MAX_LINES), AfterValidator(not_empty)]

    def drafts(self) -> list[LineDraft]:
        """The lines as the engine keeps them. Raises InvalidInput."""
        return [pending_line(line, f"/lines/{place}") for place, line in enumerate(self.lines)]


class LineIdsInput(WireModel):
    """Which lines."""

    line_ids: Annotated[tuple[UlidText, ...] | None, Field(min_length=1)] = None


class InvoiceNowInput(WireModel):
    """Make invoices of what is due: of all of it, or of the lines that are named."""

    customer_id: UlidText
    as_of: UtcDatetime | None = None
    filters: LineIdsInput | None = None
    progressive_billing_override: bool | None = None

    def check(self) -> None:
        """Raise InvalidInput where it asks for what is not done here."""
        if self.progressive_billing_override:
            raise InvalidInput(
                "progressive_billing_not_supported",
                "A line is invoiced as a whole, once it is due. Leave progressiveBillingOverride out.",
                "/progressiveBillingOverride",
            )


class SimulationInput(WireModel):
    """Lines to be tried."""

    number: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")] = SIMULATED
    currency: CurrencyCode
    lines: Annotated[tuple[SimulatedLineInput, ...], Field(max_length=MAX_LINES)]

    def draft(self, customer_id: str) -> dict[str, Any]:
        """The draft of an invoice. Raises InvalidInput."""
        lines = [simulated_line(line, f"/lines/{place}") for place, line in enumerate(self.lines)]
        return {"customer_id": customer_id, "currency": self.currency, "lines": lines}
