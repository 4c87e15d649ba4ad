"""Asking the same of many documents, each by itself and many in one commit: one that refuses stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from billhook.engine.context import Context
from billhook.engine.telling import told
from billhook.engine.unit import Unit
from billhook.errors import BillhookError, StaleWrite, StoreError
from billhook.store.transaction import Transaction

TOGETHER = 256
"""How many documents are given to the writer at once, which commits what waits for it together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of one document of many of which the same was asked. ``status`` is where it stands now.

    ``waits`` says that an operation is under way, and that it is done when that ends. ``code`` and ``reason`` say why it could not be done,
    and the document was left as it was.
    """

    kind: Literal["invoice", "credit_note"]
    id: str
    key: str | None
    status: str
    waits: bool = False
    code: str | None = None
    reason: str | None = None

    @property
    def is_left(self) -> bool:
        """It was left as it was."""
        return self.code is not None


Act = Callable[[Unit, Asked], Asked]


def documents_where(tx: Transaction, table: sa.Table, wanted: sa.ColumnElement[bool]) -> list[Any]:
    """What is to be known of documents before something is asked of them, the oldest first."""
    return tx.all(sa.select(table.c.id, table.c.client_key, table.c.state).where(wanted).order_by(table.c.id))


class OneByOne:
    """Does the same for each of many documents."""

    def __init__(self, context: Context, act: Act) -> None:
        self._context = context
        self._act = act

    def ask(self, documents: Sequence[Asked]) -> tuple[Asked, ...]:
        """Do it for each, in this order, and say what became of it."""
        parts = (documents[start : start + TOGETHER] for start in range(0, len(documents), TOGETHER))
        return tuple(asked for part in parts for asked in self._ask_together(part))

    def _ask_together(self, documents: Sequence[Asked]) -> Iterator[Asked]:
        submit = self._context.database.submit
        under_way = [submit(partial(self._try_alone, document=one)) for one in documents]
        for one, asked in zip(documents, under_way, strict=True):
            try:
                yield asked.result()
            except (StaleWrite, IntegrityError):
                yield self._afresh(one)

    def _afresh(self, document: Asked) -> Asked:
        """Somebody else changed it at the same moment: look again."""
        try:
            return self._context.database.write(partial(self._try_alone, document=document))
        except (StaleWrite, IntegrityError) as busy:
            return _left(document, StaleWrite.code, told(busy))

    def _try_alone(self, tx: Transaction, document: Asked) -> Asked:
        """Do it for one, or say why not; then nothing of it stays."""
        try:
            with tx.part():
                unit = Unit(self._context, tx)
                asked = self._act(unit, document)
                unit.flush()
        except (StoreError, DBAPIError):
            raise
        except BillhookError as refusal:
            return _left(document, refusal.code, str(refusal))
        except Exception as error:  # noqa: BLE001 - told of this one, such as what a plugin raised; the others go on
            return _left(
                document,
                "internal",
                f"Nobody foresaw this: {told(error)}. Ask it of this one by itself to see where it comes from.",
            )
        return asked


def _left(document: Asked, code: str, reason: str) -> Asked:
    return replace(document, code=code, reason=reason)
