"""Numbers for documents, from counters in the store.

A gapless number is taken in the transaction that issues its document and belongs to it for ever. An independent one
may be given at any time, and may leave gaps.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from billhook.contract.declaration import NumberRules
from billhook.contract.numbers import NumberRequest
from billhook.domain.numbering import (
    GapAudit,
    IssuedNumber,
    NumberContext,
    Series,
    SeriesKind,
    audit,
    format_number,
    has_counter,
)
from billhook.engine.apps import AppHandle
from billhook.engine.context import Context
from billhook.engine.counters import Counter, advance, counter_of, counts_for, locked_value, next_value
from billhook.engine.locks import hold
from billhook.engine.moments import to_micros
from billhook.engine.number_blocks import NumberBlocks
from billhook.engine.number_series import DEFINING, KnownSeries, read_series
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, NotAllowed, StaleWrite
from billhook.store import schema
from billhook.store.statements import Insert
from billhook.store.transaction import Transaction

_taken, _sequence = schema.taken_number, schema.sequence

_INSERT = Insert(_taken, ("namespace", "series", "sequence", "number", "document_id", "cancelled", "at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedDocument:
    """What a document's number may be made of. ``at`` is its date."""

    id: str
    namespace: str
    customer_id: str
    customer_name: str
    profile: str
    currency: str
    at: datetime
    customer_key: str | None = None

    def context_in(self, series: Series) -> NumberContext:
        """As the template of that series reads it."""
        return NumberContext(
            customer_id=self.customer_id,
            customer_name=self.customer_name,
            profile=self.profile,
            currency=self.currency,
            on=series.day_of(self.at),
            customer_key=self.customer_key,
        )


class Numbers:
    """The numbers of all namespaces. One for each open engine: it keeps blocks of independent values."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._series = KnownSeries()
        self._blocks = NumberBlocks(context.database)

    def take(
        self, unit: Unit, series_name: str, document: NumberedDocument, app: AppHandle | None = None
    ) -> IssuedNumber:
        """The document's number in a gapless series. Asking again gives the same one.

        It is taken with this transaction or not at all. Raises NotAllowed in a host's transaction, which could
        stay open and hold up everybody's numbers, and InvalidInput for a number that the app does not take.
        """
        if unit.bound:
            raise NotAllowed(
                f"No final number is taken for {document.id} in the host's transaction. Commit it; the number follows.",
                "number_in_host_transaction",
            )
        series = self._of_kind(unit.tx, document.namespace, series_name, SeriesKind.GAPLESS)
        counter = counter_of(series, document.namespace, document.context_in(series))
        following = locked_value(unit.tx, counter)
        before = self.bound(unit.tx, [document.id]).get(document.id)
        if before is not None:
            return before
        issued = IssuedNumber(following, number_for(series, document, following, app), document.id)
        if not self.claim(unit.tx, counter, following, [issued]):
            raise StaleWrite(f"The counter {counter.key} moved on while it was locked. Nothing was written; try again.")
        return issued

    def bound(self, tx: Transaction, document_ids: Sequence[str]) -> dict[str, IssuedNumber]:
        """The numbers that these documents have, by document id."""
        columns = ("sequence", "number", "document_id", "cancelled")
        rows = tx.select_in(_taken, columns, "document_id", document_ids)
        return {row[2]: IssuedNumber(row[0], row[1], row[2], bool(row[3])) for row in rows}

    def counter(self, tx: Transaction, series_name: str, document: NumberedDocument) -> tuple[Series, Counter]:
        """The gapless series, and the counter in it that the document's number comes from."""
        series = self._of_kind(tx, document.namespace, series_name, SeriesKind.GAPLESS)
        return series, counter_of(series, document.namespace, document.context_in(series))

    def peek(self, tx: Transaction, counter: Counter) -> int:
        """The value that comes next, which ``claim`` then has to confirm. Takes nothing."""
        return next_value(tx, counter)

    def claim(self, tx: Transaction, counter: Counter, expected_next: int, rows: Sequence[IssuedNumber]) -> bool:
        """Take the values from ``expected_next`` on for these documents; False when another was first."""
        if [row.sequence for row in rows] != list(range(expected_next, expected_next + len(rows))):
            raise ValueError(f"The values claimed from {counter.key} must follow each other from {expected_next} on.")
        if expected_next == counter.start and not self._is_defined_so(tx, counter):
            return False
        if not advance(tx, counter, expected_next, len(rows)):
            return False
        at = to_micros(self._context.clock.now())
        place = (counter.namespace, counter.key)
        tx.insert_many(_INSERT, [(*place, row.sequence, row.number, row.document_id, 0, at) for row in rows])
        return True

    def _is_defined_so(self, tx: Transaction, counter: Counter) -> bool:
        """Whether the series of a counter that begins is still defined as it was read; once it counts, nothing changes that tells its counters apart."""
        hold(tx, counter.namespace, DEFINING)
        series = read_series(tx, counter.namespace, counter.key.partition("/")[0])
        return series.start == counter.start and has_counter(series, counter.key)

    def next_independent(
        self, unit: Unit, series_name: str, document: NumberedDocument, app: AppHandle | None = None
    ) -> str:
        """A number of an independent series, never given before. Nothing remembers which document got it."""
        series = self._of_kind(unit.tx, document.namespace, series_name, SeriesKind.INDEPENDENT)
        counter = counter_of(series, document.namespace, document.context_in(series))
        return number_for(series, document, self._blocks.next_value(unit, counter), app)

    def cancel(self, unit: Unit, document_id: str) -> None:
        """Note that the document was voided or deleted. It keeps its number, which is no gap."""
        unit.tx.execute(sa.update(_taken).where(_taken.c.document_id == document_id).values(cancelled=1))

    def audit(self, namespace: str, series_name: str) -> dict[str, GapAudit]:
        """What is missing, repeated or cancelled in each counter of a gapless series.

        Raises NotFound, and InvalidInput for an independent series: nothing remembers which of its values documents have.
        """
        with self._context.database.read() as tx:
            series = read_series(tx, namespace, series_name)
            _refuse_independent(series)
            following = self._counters(tx, namespace, series_name)
            taken = self._all_taken(tx, namespace, series_name)
        keys = sorted({*following, *taken})
        return {key: audit(taken[key], start=series.start, next_sequence=following.get(key)) for key in keys}

    def _of_kind(self, tx: Transaction, namespace: str, name: str, kind: SeriesKind) -> Series:
        series = self._series.get(tx, namespace, name)
        if series.kind is not kind:
            raise InvalidInput(
                "number_series_of_other_kind",
                f"The series {name!r} is {series.kind}; here it takes one that is {kind}.",
            )
        return series

    def _counters(self, tx: Transaction, namespace: str, series_name: str) -> dict[str, int]:
        mine = sa.and_(_sequence.c.namespace == namespace, counts_for(_sequence.c.series, series_name))
        return {row.series: row.next_value for row in tx.all(sa.select(_sequence).where(mine))}

    def _all_taken(self, tx: Transaction, namespace: str, series_name: str) -> defaultdict[str, list[IssuedNumber]]:
        mine = sa.and_(_taken.c.namespace == namespace, counts_for(_taken.c.series, series_name))
        by_counter: defaultdict[str, list[IssuedNumber]] = defaultdict(list)
        for row in tx.all(sa.select(_taken).where(mine)):
            issued = IssuedNumber(row.sequence, row.number, row.document_id, bool(row.cancelled))
            by_counter[row.series].append(issued)
        return by_counter


def _refuse_independent(series: Series) -> None:
    if series.kind is SeriesKind.INDEPENDENT:
        raise InvalidInput(
            "number_series_of_other_kind",
            f"The series {series.name!r} is independent: its numbers may leave gaps, and there is nothing to audit. Name a gapless one.",
        )


def number_for(series: Series, document: NumberedDocument, sequence: int, app: AppHandle | None = None) -> str:
    """The number made of that value: by the app's host or provider where they have a say, else by the series' template.

    Raises InvalidInput for a number that the app does not take.
    """
    suggested = format_number(series, document.context_in(series), sequence)
    if app is None:
        return suggested
    request = NumberRequest(
        series=series.name,
        sequence=sequence,
        suggested=suggested,
        document_id=document.id,
        customer_name=document.customer_name,
        customer_key=document.customer_key,
        currency=document.currency,
        at=document.at,
    )
    number = app.handle.assign_number(request, app.settings) or suggested
    return _accepted(number, app.handle.declaration.numbers, app.name)


def _accepted(number: str, rules: NumberRules, app_name: str) -> str:
    if len(number) > rules.max_length:
        raise InvalidInput(
            "number_too_long",
            f"The number {number!r} has {len(number)} characters; {app_name} takes {rules.max_length}. "
            "Shorten the series' template, then retry.",
        )
    if rules.pattern is not None and not re.fullmatch(rules.pattern, number):
        raise InvalidInput(
            "number_not_accepted",
            f"The number {number!r} is not of the form {rules.pattern!r} that {app_name} takes. "
            "Change the series' template.",
        )
    return number
