from __future__ import annotations

import pytest
import sqlalchemy as sa

from billhook.domain.states import State
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.kept_rows import KeptRows
from billhook.engine.unit import Unit
from billhook.errors import StaleWrite
from billhook.store import schema


def numbered(desk, invoice_id: str, number: str) -> None:
    """Give an invoice a number, as any command changes one."""

    def job(tx):
        unit = Unit(desk.context, tx)
        row = unit.invoice(invoice_id)
        row.values["number"] = number
        unit.record(row, "numbered")
        unit.flush()

    desk.write(job)


def number_of(desk, invoice_id: str) -> str:
    with desk.context.database.read() as tx:
        return str(desk.context.rows.read(tx, [invoice_id])[invoice_id]["number"])


@pytest.fixture
def invoice_id(desk, profile) -> str:
    id = desk.put_invoice(profile, State.DRAFT_CREATED)
    numbered(desk, id, "A-1")
    return id


def test_what_another_process_wrote_is_seen_at_once(desk, second_desk, invoice_id):
    assert number_of(desk, invoice_id) == "A-1"
    numbered(second_desk, invoice_id, "B-1")
    assert number_of(desk, invoice_id) == "B-1"
    numbered(desk, invoice_id, "A-2")
    assert number_of(second_desk, invoice_id) == "A-2"


def test_what_was_rolled_back_is_not_taken_for_stored(desk, second_desk, invoice_id):
    def job(tx):
        unit = Unit(desk.context, tx)
        unit.record(unit.invoice(invoice_id), "forgotten")
        unit.invoice(invoice_id).values["number"] = "never"
        unit.flush()
        assert Unit(desk.context, tx).invoice(invoice_id).values["number"] == "never"
        raise InterruptedError

    with pytest.raises(InterruptedError):
        desk.write(job)
    # The same version now says something else.
    numbered(second_desk, invoice_id, "B-1")
    assert number_of(desk, invoice_id) == "B-1"


def test_whoever_changes_a_row_changes_a_copy(desk, invoice_id):
    with desk.context.database.read() as tx:
        kept = desk.context.rows.read(tx, [invoice_id])[invoice_id]
    InvoiceRow(kept).values["number"] = "scribbled"
    assert number_of(desk, invoice_id) == "A-1"


def test_a_row_that_moved_on_in_between_is_not_overwritten(desk, second_desk, invoice_id):
    def job(tx):
        unit = Unit(desk.context, tx)
        row = unit.invoice(invoice_id)
        tx.execute(sa.update(schema.invoice).where(schema.invoice.c.id == invoice_id).values(version=7))
        unit.record(row, "late")
        unit.flush()

    with pytest.raises(StaleWrite):
        desk.write(job)
    assert number_of(second_desk, invoice_id) == "A-1"


def test_only_so_many_are_kept_the_latest_first(desk, profile):
    ids = [desk.put_invoice(profile, State.DRAFT_CREATED) for _ in range(4)]
    rows = KeptRows(most=2)
    with desk.context.database.read() as tx:
        assert rows.read(tx, ids).keys() == set(ids)
        assert len(rows) == 2
        assert rows.read(tx, [*ids, "nobody"]).keys() == set(ids)
        rows.forget(ids)
        assert len(rows) == 0
