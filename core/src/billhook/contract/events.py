"""What observers are told, after commit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InvoiceTransitioned:
    """An invoice moved through ``hops``, each ``(trigger, state)``; the last is where it rests."""

    namespace: str
    invoice_id: str
    version: int
    hops: tuple[tuple[str, str], ...]
    at: datetime

    @property
    def state(self) -> str:
        """Where the invoice rests now."""
        return self.hops[-1][1]


@dataclass(frozen=True, slots=True)
class OperationSettled:
    """An operation ended for one item. ``outcome`` is done, pending, rejected, retry or in_doubt."""

    namespace: str
    app_id: str
    operation: str
    item_id: str
    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AppStatusChanged:
    """An app's status or switch changed. ``status`` is ready or unauthorized."""

    namespace: str
    app_id: str
    status: str
    enabled: bool
    at: datetime
