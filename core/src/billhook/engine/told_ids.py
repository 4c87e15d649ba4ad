"""An id that an operator gave for a document at a provider: it counts once a look shows it, and is taken back where none does."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from billhook.engine.doubted import IN_DOUBT
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED, WorkRow
from billhook.store import schema

Link = dict[str, Any]
_TOLD = "told"
_operation = schema.operation


class Told(NamedTuple):
    """What was known before, and the operation that was in doubt."""

    external_id: str | None
    number: str | None
    operation: str
    operation_id: str | None


def keep_told(link: Link, work: WorkRow, external_id: str | None, number: str | None) -> None:
    """Note the id that was given for what that work made."""
    told = Told(link["external_id"], link["number"], work.operation, work.operation_id)
    link |= {
        "external_id": external_id,
        "number": number or link["number"],
        "evidence": {**(link["evidence"] or {}), _TOLD: told._asdict()},
    }


def take_told(link: Link) -> Told | None:
    """What was noted, which is no longer noted then."""
    evidence = dict(link["evidence"] or {})
    told = evidence.pop(_TOLD, None)
    link["evidence"] = evidence or None
    return None if told is None else Told(**told)


def take_back(unit: Unit, link: Link, told: Told, looked: WorkRow, reason: str) -> WorkRow:
    """Forget the id, and hold the work again as it was held. Returns that work."""
    link |= {"external_id": told.external_id, "number": told.number}
    unit.links.save(link)
    reopened = sa.update(_operation).where(_operation.c.id == told.operation_id)
    unit.tx.execute(reopened.values(status=IN_DOUBT, reason=reason, due=None, settled_at=None))
    return looked._replace(operation=told.operation, operation_id=told.operation_id, state=CLAIMED, give_up_at=None)
