"""Pending lines: what is to be invoiced later, pooled for each customer and currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.domain.invoice import LineDraft
from billhook.domain.parsing import parse
from billhook.engine.arguments import checked
from billhook.engine.collection import check_pending_lines
from billhook.engine.context import Context
from billhook.engine.locks import hold, of_customer
from billhook.engine.moments import to_micros
from billhook.engine.numbers import NumberedDocument, Numbers
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import Gathered, Gathering, Page, PendingLine, ResolvedProfile
from billhook.engine.resolving import resolve
from billhook.engine.stored import read_gathering, read_pending_line
from billhook.engine.unit import Unit
from billhook.errors import Conflict, NotFound
from billhook.store import schema
from billhook.store.statements import Delete, Insert
from billhook.store.transaction import Transaction

SERIES = "gathering"

_gathering, _line = schema.gathering, schema.pending_line
_INSERT = Insert(_line, ("id", "namespace", "gathering_id", "invoice_at", "body", "created_at"))
_DELETE = Delete(_line, key=("id", "namespace"))
_LINES = sa.select(_line, _gathering.c.customer_id, _gathering.c.currency).join(
    _gathering, _line.c.gathering_id == _gathering.c.id
)


@checked
class PendingLineCommands:
    """The pending lines of one namespace."""

    def __init__(self, context: Context, namespace: str, numbers: Numbers) -> None:
        self._context = context
        self._namespace = namespace
        self._numbers = numbers

    def add(self, customer_id: str, currency: str, lines: Sequence[LineDraft | Mapping[str, Any]]) -> Gathered:
        """Keep lines until they are invoiced. A line keeps its id, given here where it brings none.

        Raises InvalidInput that lists every line that could never be invoiced, Conflict with code ``line_id_taken``.
        """
        drafts = [line if isinstance(line, LineDraft) else parse(LineDraft, line) for line in lines]
        check_pending_lines(drafts)
        return self._context.database.write(
            lambda tx: self._add(Unit(self._context, tx), customer_id, currency, drafts)
        )

    def list(self, *, customer_id: str | None = None, page: int = 1, page_size: int = PAGE_SIZE) -> Page[PendingLine]:
        """The pending lines of all customers or of one, in the order of their ids."""
        select = _LINES.where(_line.c.namespace == self._namespace).order_by(_line.c.id)
        if customer_id is not None:
            select = select.where(_gathering.c.customer_id == customer_id)
        with self._context.database.read() as tx:
            return read_page(tx, select, read_pending_line, page=page, page_size=page_size)

    def remove(self, line_ids: Sequence[str]) -> None:
        """Take pending lines away, all or none. Raises NotFound."""
        self._context.database.write(lambda tx: self._remove(tx, line_ids))

    def _add(self, unit: Unit, customer_id: str, currency: str, lines: Sequence[LineDraft]) -> Gathered:
        # Nobody makes the same pool, or deletes the customer, meanwhile.
        hold(unit.tx, self._namespace, of_customer(customer_id))
        resolved = resolve(unit.tx, self._namespace, customer_id=customer_id)
        gathering = self._find_gathering(unit.tx, customer_id, currency) or self._new_gathering(
            unit, resolved, currency
        )
        named = [line if line.id else line.model_copy(update={"id": self._context.new_id(unit.now)}) for line in lines]
        _check_ids(unit.tx, named)
        is_new = unit.tx.scalar(sa.select(_line.c.id).where(_line.c.gathering_id == gathering.id).limit(1)) is None
        pending = tuple(_pending(line, gathering, unit.now) for line in named)
        unit.tx.insert_many(_INSERT, [_row(line) for line in pending])
        return Gathered(gathering, pending, is_new)

    def _find_gathering(self, tx: Transaction, customer_id: str, currency: str) -> Gathering | None:
        pool = sa.and_(_gathering.c.customer_id == customer_id, _gathering.c.currency == currency)
        row = tx.first(sa.select(_gathering).where(_gathering.c.namespace == self._namespace, pool))
        return None if row is None else read_gathering(row)

    def _new_gathering(self, unit: Unit, resolved: ResolvedProfile, currency: str) -> Gathering:
        customer = resolved.customer
        unnumbered = parse(
            Gathering,
            {
                "id": self._context.new_id(unit.now),
                "namespace": self._namespace,
                "customer_id": customer.id,
                "currency": currency,
                "number": "",
                "created_at": unit.now,
            },
        )
        document = NumberedDocument(
            id=unnumbered.id,
            namespace=self._namespace,
            customer_id=customer.id,
            customer_name=customer.name,
            customer_key=customer.key,
            profile=resolved.profile.name,
            currency=currency,
            at=unit.now,
        )
        number = self._numbers.next_independent(unit, SERIES, document)
        gathering = unnumbered.model_copy(update={"number": number})
        unit.tx.execute(sa.insert(_gathering).values({**dict(gathering), "created_at": unit.now_micros}))
        return gathering

    def _remove(self, tx: Transaction, line_ids: Sequence[str]) -> None:
        for line_id in dict.fromkeys(line_ids):
            if not tx.delete_many(_DELETE, [(line_id, self._namespace)]):
                raise NotFound("pending line", line_id, self._namespace)


def read_lines(tx: Transaction, namespace: str, customer_id: str) -> list[PendingLine]:
    """The customer's pending lines, those that are due first in front."""
    mine = sa.and_(_line.c.namespace == namespace, _gathering.c.customer_id == customer_id)
    rows = tx.all(_LINES.where(mine).order_by(_line.c.invoice_at, _line.c.id))
    return [read_pending_line(row) for row in rows]


def lines_of(tx: Transaction, gathering_id: str) -> list[PendingLine]:
    """The lines of one pool, those that are due first in front."""
    rows = tx.all(_LINES.where(_line.c.gathering_id == gathering_id).order_by(_line.c.invoice_at, _line.c.id))
    return [read_pending_line(row) for row in rows]


def find_gathering(tx: Transaction, namespace: str, gathering_id: str) -> Gathering | None:
    """The pool of that id, or None."""
    row = tx.first(sa.select(_gathering).where(_gathering.c.namespace == namespace, _gathering.c.id == gathering_id))
    return None if row is None else read_gathering(row)


def remove_lines_of(tx: Transaction, namespace: str, gathering_id: str) -> None:
    """Take away every line of a pool."""
    tx.execute(sa.delete(_line).where(_line.c.namespace == namespace, _line.c.gathering_id == gathering_id))


def customers_with_due_lines(tx: Transaction, namespace: str, now: datetime) -> list[str]:
    """The customers that have a line to be invoiced by now."""
    due = sa.and_(_gathering.c.namespace == namespace, _line.c.invoice_at <= to_micros(now))
    joined = sa.select(_gathering.c.customer_id).join(_line, _line.c.gathering_id == _gathering.c.id)
    return [row.customer_id for row in tx.all(joined.where(due).distinct().order_by(_gathering.c.customer_id))]


def namespaces_with_due_lines(tx: Transaction, now: datetime) -> list[str]:
    """The namespaces that have a line to be invoiced by now."""
    due = _line.c.invoice_at <= to_micros(now)
    return [row.namespace for row in tx.all(sa.select(_line.c.namespace).where(due).distinct())]


def take_away(tx: Transaction, lines: Iterable[PendingLine]) -> None:
    """Remove the lines, which go onto an invoice in this transaction. Raises Conflict when one is gone already."""
    rows = [(line.id, line.namespace) for line in lines]
    if tx.delete_many(_DELETE, rows) != len(rows):
        raise Conflict(
            "Some of the pending lines were invoiced or removed meanwhile. Nothing was invoiced; ask again.",
            "pending_lines_changed",
        )


def _check_ids(tx: Transaction, lines: Iterable[LineDraft]) -> None:
    uses = Counter(line.id for line in lines)
    uses.update(row[0] for row in tx.select_in(_line, ("id",), "id", list(uses)))
    line_id, count = uses.most_common(1)[0]
    if count > 1:
        raise Conflict(f"The line id {line_id} is another pending line's. Use a new one, or none.", "line_id_taken")


def _pending(line: LineDraft, gathering: Gathering, now: datetime) -> PendingLine:
    return parse(
        PendingLine,
        {
            "id": line.id,
            "namespace": gathering.namespace,
            "gathering_id": gathering.id,
            "customer_id": gathering.customer_id,
            "currency": gathering.currency,
            "invoice_at": line.invoice_at,
            "line": line,
            "created_at": now,
        },
    )


def _row(line: PendingLine) -> tuple[Any, ...]:
    body = line.line.model_dump_json(exclude_defaults=True).encode()
    return (line.id, line.namespace, line.gathering_id, to_micros(line.invoice_at), body, to_micros(line.created_at))
