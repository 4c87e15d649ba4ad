"""Many rows at once: the same statements mean the same on both stores."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from billhook.store import Database, Delete, Insert, Transaction, Update, Upsert

tag = sa.Table("tag", sa.MetaData(), sa.Column("name", sa.Text, primary_key=True))

COLUMNS = ("id", "version", "order", "body")

ids = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
whole_numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
rows_of_items = st.dictionaries(ids, st.tuples(whole_numbers, st.none() | ids, st.none() | st.binary(max_size=20)))


def stored(tx: Transaction, item: sa.Table) -> dict[str, tuple[Any, ...]]:
    return {row.id: tuple(row)[1:] for row in tx.all(sa.select(item))}


def contents(db: Database, item: sa.Table) -> dict[str, tuple[Any, ...]]:
    with db.read() as tx:
        return stored(tx, item)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_items)
def test_what_is_inserted_comes_back_digit_for_digit(db: Database, item: sa.Table, rows: dict[str, Any]) -> None:
    def replace_all(tx: Transaction) -> None:
        tx.execute(sa.delete(item))
        tx.insert_many(Insert(item, COLUMNS), [(id, *values) for id, values in rows.items()])

    db.write(replace_all)

    assert contents(db, item) == rows


def test_an_update_counts_only_the_rows_whose_version_it_met(db: Database, item: sa.Table) -> None:
    bump = Update(item, key=("id", "version"), set=("version", "order"))
    db.write(lambda tx: tx.insert_many(Insert(item, COLUMNS), [("a", 1, "", b""), ("b", 7, "", b"")]))

    changed = db.write(lambda tx: tx.update_many(bump, [("a", 1, 2, "first"), ("b", 6, 7, "too late")]))

    assert changed == 1
    assert contents(db, item) == {"a": (2, "first", b""), "b": (7, "", b"")}


def test_an_update_can_compare_what_is_stored_with_what_is_given(db: Database, item: sa.Table) -> None:
    lower = Update(item, key=("id",), set=("version",), where="version > {version}")
    db.write(lambda tx: tx.insert_many(Insert(item, COLUMNS), [("a", 5, "", b""), ("b", 5, "", b"")]))

    assert db.write(lambda tx: tx.update_many(lower, [("a", 3), ("b", 9)])) == 1
    assert {id: version for id, (version, *_) in contents(db, item).items()} == {"a": 3, "b": 5}


def test_an_upsert_overwrites_and_of_equal_keys_the_last_row_stays(db: Database, item: sa.Table) -> None:
    upsert = Upsert(item, key=("id",), columns=COLUMNS)
    db.write(lambda tx: tx.upsert_many(upsert, [("a", 1, "old", b"")]))
    db.write(lambda tx: tx.upsert_many(upsert, [("a", 2, "new", b"x"), ("b", 1, "one", b""), ("b", 2, "two", b"")]))

    assert contents(db, item) == {"a": (2, "new", b"x"), "b": (2, "two", b"")}


def test_an_upsert_of_nothing_but_its_key_leaves_the_row_alone(db: Database) -> None:
    mention = Upsert(tag, key=("name",), columns=("name",))
    db.write(lambda tx: tag.create(tx.connection))
    db.write(lambda tx: tx.upsert_many(mention, [("a",)]))
    db.write(lambda tx: tx.upsert_many(mention, [("a",), ("b",)]))

    with db.read() as tx:
        assert [row.name for row in tx.all(sa.select(tag).order_by(tag.c.name))] == ["a", "b"]


def test_a_delete_counts_what_it_removed(db: Database, item: sa.Table) -> None:
    db.write(lambda tx: tx.insert_many(Insert(item, COLUMNS), [("a", 1, "", b""), ("b", 1, "", b"")]))

    assert db.write(lambda tx: tx.delete_many(Delete(item, key=("id", "version")), [("a", 1), ("b", 2), ("c", 1)])) == 1
    assert set(contents(db, item)) == {"b"}


def test_selecting_by_more_keys_than_a_statement_can_bind(db: Database, item: sa.Table) -> None:
    rows = [(f"{number:05}", number, None, None) for number in range(3000)]
    db.write(lambda tx: tx.insert_many(Insert(item, COLUMNS), rows))
    wanted = [id for id, *_ in rows] * 2 + ["missing"]

    with db.read() as tx:
        found = tx.select_in(item, ("version", "id"), "id", wanted)
        assert tx.select_in(item, ("id",), "version", [7, 7, 8]) in ([("00007",), ("00008",)], [("00008",), ("00007",)])
        assert tx.select_in(item, ("id",), "id", []) == []

    assert sorted(found) == [(version, id) for id, version, *_ in rows]


def test_no_rows_are_no_statement(db: Database, item: sa.Table) -> None:
    assert db.write(lambda tx: tx.update_many(Update(item, key=("id",), set=("version",)), [])) == 0


def test_a_reader_sees_one_state_whatever_is_written_meanwhile(db: Database, item: sa.Table) -> None:
    count = sa.select(sa.func.count()).select_from(item)
    with db.read() as tx:
        before = tx.scalar(count)
        db.write(lambda tx: tx.insert_many(Insert(item, COLUMNS), [("a", 1, "", b"")]))
        assert tx.scalar(count) == before == 0

    with db.read() as tx:
        assert tx.scalar(count) == 1
        row = tx.first(sa.select(item))
        assert row is not None
        assert row.order == ""


def test_a_reader_can_not_write(db: Database, item: sa.Table) -> None:
    with db.read() as tx, pytest.raises(sa.exc.DBAPIError, match=r"read.?only"):
        tx.insert_many(Insert(item, COLUMNS), [("a", 1, "", b"")])


def test_a_statement_names_the_columns_that_a_table_has(item: sa.Table) -> None:
    with pytest.raises(KeyError, match=r"no column 'state'.*id, version, order, body"):
        Insert(item, ("id", "state"))


def test_a_column_that_is_no_text_number_or_bytes_is_refused() -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("amount", sa.Float))
    with pytest.raises(TypeError, match="BigInteger or LargeBinary"):
        Insert(table, ("amount",))
