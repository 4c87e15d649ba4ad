"""Operations of which every send was refused: nothing stands at the provider, so they may be given up and prepared anew."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.engine.journal import ANSWERED, SENDING
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED, READY
from billhook.store import schema

_operation, _attempt, _work = schema.operation, schema.attempt, schema.work

DISSOLVED = "dissolved"

# An effectful step that is being sent, was answered, or was ever unknown may have left something behind.
_MAY_STAND = sa.and_(
    _attempt.c.effectful == 1,
    sa.or_(_attempt.c.status.in_((SENDING, ANSWERED)), _attempt.c.ever_unknown == 1),
)


def dissolve_of_app(unit: Unit, app_id: str) -> int:
    """Give up the app's operations that were refused every time. Their work is prepared anew, with today's settings."""
    return _dissolve(unit, _operation.c.app_id == app_id)


def dissolve_of_subject(unit: Unit, subject_id: str) -> int:
    """Give up the operations that hold this document's work, where they were refused every time."""
    holding = sa.select(_work.c.operation_id).where(_work.c.subject_id == subject_id, _work.c.state == CLAIMED)
    return _dissolve(unit, _operation.c.id.in_(holding))


def _dissolve(unit: Unit, which: sa.ColumnElement[bool]) -> int:
    standing = sa.select(_attempt.c.operation_id).where(_attempt.c.operation_id == _operation.c.id, _MAY_STAND).exists()
    found = unit.tx.all(
        sa.select(_operation.c.id, _operation.c.app_id).where(which, _operation.c.status == "open", sa.not_(standing))
    )
    for row in found:
        unit.tx.execute(
            sa.update(_operation)
            .where(_operation.c.id == row.id)
            .values(status=DISSOLVED, due=None, settled_at=unit.now_micros)
        )
        unit.tx.execute(
            sa.update(_work)
            .where(_work.c.operation_id == row.id, _work.c.state == CLAIMED)
            .values(state=READY, operation_id=None, due=unit.now_micros)
        )
        unit.work.wake(row.app_id, unit.now_micros)
    return len(found)
