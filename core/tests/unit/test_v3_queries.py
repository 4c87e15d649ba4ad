"""Query strings of the third form of the API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billhook.errors import InvalidInput
from billhook.server.v3.query import Asked, Comparison, Kind, Query, Sort

QUERY = Query(
    filters={"status": Kind.EXACT, "created_at": Kind.TIME, "name": Kind.TEXT, "is_default": Kind.BOOLEAN},
    sorts=("created_at", "issued_at"),
)


def test_nothing_asked_is_the_first_page():
    assert QUERY.read([]) == Asked(1, 100, (), ())


def test_pages_sorts_and_filters_are_read():
    asked = QUERY.read([
        ("page[number]", "3"),
        ("page[size]", "20"),
        ("sort", "created_at desc, issued_at"),
        ("filter[status][oeq]", "draft, issued"),
        ("filter[created_at][gte]", "2026-01-01T00:00:00Z"),
        ("filter[name][contains]", "a,b"),
        ("filter[is_default]", "true"),
    ])  # fmt: skip
    assert (asked.page, asked.page_size) == (3, 20)
    assert asked.sort == (Sort("created_at", descending=True), Sort("issued_at"))
    assert asked.of("status") == (Comparison("status", "oeq", ("draft", "issued")),)
    assert asked.of("created_at") == (Comparison("created_at", "gte", datetime(2026, 1, 1, tzinfo=UTC)),)
    assert asked.of("name") == (Comparison("name", "contains", "a,b"),)
    assert asked.of("is_default") == (Comparison("is_default", "eq", True),)


@pytest.mark.parametrize(
    "name, value, code",
    [
        ("page[number]", "0", "page_invalid"),
        ("page[number]", "-1", "page_invalid"),
        ("page[number]", "9" * 5000, "page_invalid"),
        ("page[size]", "1001", "page_invalid"),
        ("page[size]", "ten", "page_invalid"),
        ("page[size]", "²", "page_invalid"),
        ("page", "1", "query_unknown"),
        ("sort", "name", "sort_unknown"),
        ("sort", "created_at sideways", "sort_unknown"),
        ("filter[status][gte]", "a", "filter_unknown"),
        ("filter[status][]", "a", "query_unknown"),
        ("filter[secret][eq]", "a", "query_unknown"),
        ("filter[created_at][gte]", "yesterday", "datetime_invalid"),
        ("filter[created_at][gte]", "2026-01-01T00:00:00", "datetime_naive"),
        ("filter[is_default]", "1", "boolean_invalid"),
    ],
)
def test_what_can_not_be_asked_is_refused_by_name(name, value, code):
    with pytest.raises(InvalidInput) as refused:
        QUERY.read([(name, value)])
    assert refused.value.code == code
    assert name.partition("[")[0] in refused.value.path


def test_a_list_that_can_not_be_sorted_says_so():
    with pytest.raises(InvalidInput):
        Query().read([("sort", "created_at")])
