"""What was mended while an invoice stood still: its customer, and where its lines go.

What was frozen stays as it was sent; what is taken over becomes a revision of its own.
"""

from __future__ import annotations

from collections.abc import Container

import sqlalchemy as sa

from billhook.domain.calculation import InvoiceEdit, recalculate
from billhook.domain.invoice import InvoiceContent, content_json
from billhook.domain.lifecycle import State, is_mutable
from billhook.domain.party import CustomerSnapshot
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.submitting import content_columns
from billhook.engine.unit import Unit
from billhook.engine.validating import mapping_of
from billhook.store import schema

_MAPPED_ANEW = frozenset({State.DRAFT_INVALID, State.DRAFT_SYNC_FAILED, State.ISSUING_FAILED})
_TAXED = frozenset({"taxed_revision"})
_ISSUED = _TAXED | {"validated_revision", "synced_revision", "issued_revision"}
_APPS = ("tax_app_id", "invoicing_app_id")


def customer_now(unit: Unit, row: InvoiceRow) -> CustomerSnapshot | None:
    """Its customer as it stands now; None where it was deleted."""
    table = schema.customer
    mine = sa.select(table.c.party).where(table.c.id == row.values["customer_id"], table.c.deleted_at.is_(None))
    party = unit.tx.scalar(mine)
    return None if party is None else CustomerSnapshot.model_validate_json(party)


def mended_customer(unit: Unit, row: InvoiceRow) -> CustomerSnapshot | None:
    """Its customer as it stands now, where a retry may take it over, it is another, and the invoice was not given its own by an edit.

    Of an invoice that was issued only the address changes that it is e-mailed to: the document stays as it is.
    """
    if row.values["own_customer"] or not (is_mutable(row.state) or row.state is State.ISSUING_FAILED):
        return None
    now, before = customer_now(unit, row), unit.revisions.content(row.id, row.revision).customer
    if now is not None and is_issued(row):
        now = before.model_copy(update={"email": now.email})
    return None if now == before else now


def is_issued(row: InvoiceRow) -> bool:
    """Whether its document is final at the app, although it may still have to be sent."""
    return row.values["issued_revision"] is not None


def take_over(unit: Unit, row: InvoiceRow, customer: CustomerSnapshot | None) -> str:
    """Make a revision with the mended customer, where the invoice can't be edited any more, or where it is mapped otherwise by now.

    Returns what the retry is called in the timeline.
    """
    content = unit.revisions.content(row.id, row.revision)
    if customer is not None and is_issued(row):
        _renew(unit, row, content.model_copy(update={"customer": customer}), _ISSUED)
        return "retry.customer"
    if customer is not None:
        _renew(unit, row, recalculate(content, InvoiceEdit(customer=customer)), frozenset())
        return "retry.customer"
    if row.state in _MAPPED_ANEW and not is_issued(row) and _is_mapped_otherwise(unit, row):
        _renew(unit, row, content, _TAXED)
        return "retry.mapping"
    return "retry"


def takes_edit(row: InvoiceRow) -> bool:
    """Whether an edit upstream of a mirrored invoice is one here, although its document was refused when it was to be issued.

    Its upstream may wait in its draft sync still, and be edited there; nothing is issued at the app yet.
    """
    return bool(row.values["mirrored"]) and row.state is State.ISSUING_FAILED and not is_issued(row)


def take_edit(unit: Unit, row: InvoiceRow, content: InvoiceContent) -> None:
    """Make a revision with that content; a retry drafts it anew."""
    _renew(unit, row, content, frozenset())


def _is_mapped_otherwise(unit: Unit, row: InvoiceRow) -> bool:
    apps = {row.values[name] for name in _APPS}
    unit.revisions.load_mappings([(row.id, row.revision, app_id) for app_id in apps])
    frozen = {app_id: unit.revisions.mapping(row.id, row.revision, app_id) for app_id in apps}
    return any(lines and mapping_of(unit, row, unit.app(app_id))[1] != lines for app_id, lines in frozen.items())


def _renew(unit: Unit, row: InvoiceRow, content: InvoiceContent, kept: Container[str]) -> None:
    """The next revision. Of the passes that the present one has, those in ``kept`` are the next one's too."""
    revision = row.revision + 1
    passes = {name: revision for name in _ISSUED if name in kept and row.values[name] == row.revision}
    unit.revisions.add(row.id, revision, content, content_json(content))
    row.values |= {**passes, **content_columns(content), "revision": revision}
