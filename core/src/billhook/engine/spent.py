"""What was spent of a limit, in its row: one for each scope and name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from billhook.contract.declaration import Scope
from billhook.engine.apps import AppHandle
from billhook.store import schema
from billhook.store.statements import Upsert
from billhook.store.transaction import Transaction

UPSERT_BUDGET = Upsert(schema.budget, key=("scope", "limit_name"), columns=("scope", "limit_name", "spent"))


def scope_name(scope: Scope, app: AppHandle) -> str:
    """Whose budget a limit of that scope counts at the app."""
    match scope:
        case Scope.CREDENTIAL:
            return f"credential:{app.credential_id or app.id}"
        case Scope.ACCOUNT:
            return f"account:{app.type}:{getattr(app.settings, 'account', None) or app.id}"
        case Scope.DEVELOPER:
            return f"developer:{app.type}"
        case _:
            return f"app:{app.id}"


def read_spent(tx: Transaction, scope: str, name: str) -> dict[int, int]:
    """What the row holds: counts by a moment; nothing where there is none."""
    table = schema.budget
    text = tx.scalar(sa.select(table.c.spent).where(table.c.scope == scope, table.c.limit_name == name))
    return {int(moment): count for moment, count in json.loads(text or "{}").items()}


def store_spent(tx: Transaction, rows: Sequence[tuple[str, str, Mapping[int, int]]]) -> None:
    """Keep what was spent, by scope and name."""
    tx.upsert_many(UPSERT_BUDGET, [(scope, name, json.dumps(dict(spent))) for scope, name, spent in rows])
