"""A look at a provider may be older than what is known: what changes anything or is told to a person, a second look, some time later, has to show as well."""

from __future__ import annotations

from datetime import datetime, timedelta

from billhook.engine.moments import from_micros
from billhook.engine.unit import Unit

SURE_AFTER = timedelta(minutes=10)


def sure_at(unit: Unit, item_id: str, app_id: str, name: str, shown: str) -> datetime:
    """When a look that shows the same is to be believed. What is shown first, or otherwise than before, counts from now."""
    before = unit.links.remembered(item_id, app_id, name)
    if before is None or before["shown"] != shown:
        before = {"shown": shown, "at": unit.now_micros}
        unit.links.remember(item_id, app_id, name, before)
    return from_micros(before["at"]) + SURE_AFTER


def forget(unit: Unit, item_id: str, app_id: str, name: str) -> bool:
    """What was shown before is shown no more. Returns whether there was such."""
    if unit.links.remembered(item_id, app_id, name) is None:
        return False
    unit.links.remember(item_id, app_id, name, None)
    return True
