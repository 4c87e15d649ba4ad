"""What the three lists of notifications are asked: which order, and what else is shown."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Query

from billhook.engine.notifications.kinds import ListOrder

IncludeDeleted = Annotated[bool, Query(alias="includeDeleted")]
IncludeDisabled = Annotated[bool, Query(alias="includeDisabled")]


class SettingOrder(StrEnum):
    """By what channels and rules are sorted."""

    ID = "id"
    TYPE = "type"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"

    @property
    def engine(self) -> ListOrder:
        """The same in the engine's words."""
        return ListOrder[self.name]


class EventOrder(StrEnum):
    """By what events are sorted."""

    ID = "id"
    CREATED_AT = "createdAt"

    @property
    def engine(self) -> ListOrder:
        """The same in the engine's words."""
        return ListOrder[self.name]


OrderBySetting = Annotated[SettingOrder, Query(alias="orderBy")]
OrderByEvent = Annotated[EventOrder, Query(alias="orderBy")]
