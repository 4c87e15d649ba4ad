"""What a host remembers of an invoice, beside it: short facts by name, which make no revision and trigger nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from billhook.domain.base import Metadata, Value
from billhook.domain.parsing import parse
from billhook.engine.unit import Unit
from billhook.store import schema
from billhook.store.statements import Upsert
from billhook.store.transaction import Transaction

_annotation = schema.invoice_annotation
_KEEP = Upsert(_annotation, key=("invoice_id", "name"), columns=("invoice_id", "name", "value", "at"))


class _Annotations(Value):
    annotations: Metadata


def annotate(unit: Unit, invoice_id: str, annotations: Mapping[str, str]) -> None:
    """Remember these; an empty value forgets that name. Raises InvalidInput for what is no short text."""
    wanted = parse(_Annotations, {"annotations": annotations}).annotations
    kept = [(invoice_id, name, value, unit.now_micros) for name, value in wanted.items() if value]
    forgotten = [name for name, value in wanted.items() if not value]
    if kept:
        unit.tx.upsert_many(_KEEP, kept)
    if forgotten:
        here = sa.and_(_annotation.c.invoice_id == invoice_id, _annotation.c.name.in_(forgotten))
        unit.tx.execute(sa.delete(_annotation).where(here))


def annotations_of(tx: Transaction, invoice_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """What is remembered of these invoices, by invoice id; those of which nothing is are missing."""
    remembered: dict[str, dict[str, str]] = {}
    rows = tx.select_in(_annotation, ("invoice_id", "name", "value"), "invoice_id", list(invoice_ids))
    for invoice_id, name, value in sorted(rows):
        remembered.setdefault(str(invoice_id), {})[str(name)] = str(value)
    return remembered


def forget_annotations(tx: Transaction, invoice_ids: Sequence[str]) -> None:
    """Forget everything that was remembered of these invoices."""
    tx.execute(sa.delete(_annotation).where(_annotation.c.invoice_id.in_(invoice_ids)))
