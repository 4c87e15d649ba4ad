"""The number series of a namespace: OpenMeter's defaults, and what the host defines instead."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import sqlalchemy as sa

from billhook.domain.numbering import (
    CREDIT_NOTE_SERIES,
    DRAFT_SERIES,
    GATHERING_SERIES,
    INVOICE_SERIES,
    Series,
)
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.counters import counts_for
from billhook.engine.locks import hold
from billhook.errors import Conflict, InvalidInput, NotFound
from billhook.store import schema
from billhook.store.statements import Query, Upsert
from billhook.store.transaction import Transaction

DEFAULTS = {series.name: series for series in (DRAFT_SERIES, INVOICE_SERIES, GATHERING_SERIES, CREDIT_NOTE_SERIES)}

DEFINING = "series"
"""A series is defined, or begins to count, while nobody does the other."""

_series, _sequence = schema.number_series, schema.sequence
_BODY = Query(
    sa.select(_series.c.body).where(
        _series.c.namespace == sa.bindparam("of_namespace"), _series.c.name == sa.bindparam("of_name")
    )
)
_UPSERT = Upsert(_series, key=("namespace", "name"), columns=("namespace", "name", "body"))


class KnownSeries:
    """The series as a transaction sees them, read once for each transaction."""

    def __init__(self) -> None:
        self._read: WeakKeyDictionary[Transaction, dict[tuple[str, str], Series]] = WeakKeyDictionary()

    def get(self, tx: Transaction, namespace: str, name: str) -> Series:
        """The series of that name. Raises NotFound."""
        known = self._read.setdefault(tx, {})
        if (namespace, name) not in known:
            known[namespace, name] = read_series(tx, namespace, name)
        return known[namespace, name]


def read_series(tx: Transaction, namespace: str, name: str) -> Series:
    """The series as it is stored, or the default of that name. Raises NotFound."""
    for (body,) in tx.fetch(_BODY, {"of_namespace": namespace, "of_name": name}):
        return Series.model_validate_json(body)
    if name in DEFAULTS:
        return DEFAULTS[name]
    raise NotFound("number series", name, namespace)


@checked
class SeriesCommands:
    """The number series of one namespace."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def get(self, name: str) -> Series:
        """The series of that name. Raises NotFound."""
        with self._context.database.read() as tx:
            return read_series(tx, self._namespace, name)

    def list(self) -> tuple[Series, ...]:
        """All series by name, the defaults included."""
        with self._context.database.read() as tx:
            return self._all(tx)

    def define(self, series: Series) -> Series:
        """Make a series, or change one. Once it counts, only its template and its time zone may change, and numbers that
        were taken stay.

        Raises Conflict with code ``number_series_in_use``, or ``number_template_taken`` where another series writes the
        same numbers.
        """
        return self._context.database.write(lambda tx: self._define(tx, series))

    def _define(self, tx: Transaction, series: Series) -> Series:
        hold(tx, self._namespace, DEFINING)
        if series.name in DEFAULTS and series.kind is not DEFAULTS[series.name].kind:
            raise InvalidInput(
                "number_series_kind_fixed",
                f"The series {series.name!r} is {DEFAULTS[series.name].kind}. Its template can change, not its kind.",
                "/kind",
            )
        existing = self._all(tx)
        self._check_template(series, existing)
        before = next((other for other in existing if other.name == series.name), series)
        may_differ = {"template": before.template, "timezone": before.timezone}
        if series.model_copy(update=may_differ) != before and self._counts(tx, series.name):
            raise Conflict(
                f"The series {series.name!r} has given numbers already, so only its template and its time zone can change. "
                "Define a series of another name.",
                "number_series_in_use",
            )
        tx.upsert_many(_UPSERT, [(self._namespace, series.name, series.model_dump_json())])
        return series

    def _check_template(self, series: Series, existing: tuple[Series, ...]) -> None:
        for other in existing:
            if other.name != series.name and other.template == series.template:
                raise Conflict(
                    f"The series {other.name!r} has the template {series.template!r} too, so numbers would repeat. "
                    "Make the templates differ.",
                    "number_template_taken",
                )

    def _counts(self, tx: Transaction, name: str) -> bool:
        mine = sa.and_(_sequence.c.namespace == self._namespace, counts_for(_sequence.c.series, name))
        return tx.first(sa.select(_sequence.c.series).where(mine).limit(1)) is not None

    def _all(self, tx: Transaction) -> tuple[Series, ...]:
        bodies = tx.all(sa.select(_series.c.body).where(_series.c.namespace == self._namespace))
        stored = [Series.model_validate_json(row.body) for row in bodies]
        named = {**DEFAULTS, **{series.name: series for series in stored}}
        return tuple(named[name] for name in sorted(named))
