from __future__ import annotations

import psycopg
from hypothesis import given, settings, strategies as st

from billhook.store.arrays import bigint_array, bytea_array, text_array

WHATEVER_A_COLUMN_HOLDS = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
AWKWARD = st.sampled_from(["", '"', "\\", '","', "NULL", "null", "{}", " ", 'a"b', "x,y", "\n"])
TEXTS = st.lists(st.none() | AWKWARD | st.text(WHATEVER_A_COLUMN_HOLDS), min_size=1, max_size=5)
NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5)
BYTES = st.lists(st.none() | st.binary(), min_size=1, max_size=5)


def test_values_come_back_from_postgresql_as_they_were(postgres_server):
    with psycopg.connect(postgres_server.url()) as connection:

        @settings(max_examples=150, deadline=None)
        @given(TEXTS, NUMBERS, BYTES)
        def check(texts, numbers, pieces):
            literals = (text_array(texts), bigint_array(numbers), bytea_array(pieces))
            row = connection.execute("SELECT %s::text[], %s::bigint[], %s::bytea[]", literals).fetchone()
            assert row == (texts, numbers, pieces)

        check()
