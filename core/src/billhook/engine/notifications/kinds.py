"""The words of notifications: what is told, how a delivery stands, and how lists are sorted."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa


class EventType(StrEnum):
    """What is told."""

    INVOICE_CREATED = "invoice.created"
    INVOICE_UPDATED = "invoice.updated"


class DeliveryState(StrEnum):
    """How a delivery stands: not tried yet, tried in vain and to be tried again, arrived, given up, or asked for once more."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    RESENDING = "RESENDING"


class ListOrder(StrEnum):
    """By what channels, rules and events are sorted; those that are alike come by id."""

    ID = "id"
    TYPE = "type"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"

    def columns(self, table: sa.Table, *, descending: bool) -> Sequence[sa.ColumnElement[Any]]:
        """What to sort the rows of a table by. A column that it does not have is alike everywhere."""
        by = [table.c[name] for name in dict.fromkeys((self.value, "id")) if name in table.c]
        return [column.desc() if descending else column.asc() for column in by]
