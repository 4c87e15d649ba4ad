from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from ulid import ULID

from billhook.domain.ids import child_ulid, is_ulid, new_ulid
from billhook.domain.period import CalendarDuration, Period, RecurringPeriod, format_duration, parse_duration, utc
from billhook.domain.workflow import WorkflowConfig, with_overrides
from billhook.errors import InvalidInput

NOON = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)


def test_an_id_holds_its_moment_and_its_randomness():
    made = ULID.from_str(new_ulid(NOON, bytes(range(10))))
    assert made.datetime == NOON
    assert made.bytes[6:] == bytes(range(10))


def test_ids_sort_by_the_time_they_were_made():
    assert new_ulid(NOON, b"\xff" * 10) < new_ulid(NOON + timedelta(milliseconds=1), b"\x00" * 10)


def test_an_id_needs_ten_random_bytes():
    with pytest.raises(InvalidInput):
        new_ulid(NOON, b"short")


def test_a_part_has_the_same_id_whenever_it_is_calculated():
    parent = new_ulid(NOON, b"0123456789")
    assert child_ulid(parent, "min-spend") == child_ulid(parent, "min-spend")
    assert child_ulid(parent, "min-spend") != child_ulid(parent, "usage")
    assert is_ulid(child_ulid(parent, "usage"))


@pytest.mark.parametrize(
    "text", ["", "01kdvdna00ves9ttxsf770j7x2", "81KDVDNA00VES9TTXSF770J7X2", "01KDVDNA00VES9TTXSF770J7XU"]
)
def test_what_is_no_ulid_is_told_apart(text):
    assert not is_ulid(text)


@pytest.mark.parametrize(
    "text, code",
    [
        ("2026-01-31T12:00:00", "datetime_naive"),
        ("2026-01-31", "datetime_naive"),
        ("yesterday", "datetime_invalid"),
        ("0001-01-01T00:00:00+14:00", "datetime_invalid"),
        (1767225600, "datetime_invalid"),
        (datetime(2026, 1, 31), "datetime_naive"),
    ],
)
def test_a_time_that_could_mean_several_moments_is_refused(text, code):
    with pytest.raises(InvalidInput) as refused:
        utc(text)
    assert refused.value.code == code


def test_every_time_is_brought_to_utc():
    assert utc("2026-01-31T13:00:00.123+01:00") == NOON
    assert utc("2026-01-31T13:00:00.123+01:00").tzinfo is UTC
    assert utc("2026-01-31T12:00:00.123456789Z").microsecond == 123_456


def test_a_period_that_is_empty_is_refused():
    with pytest.raises(ValidationError) as refused:
        Period(start=NOON, end=NOON)
    assert refused.value.errors()[0]["type"] == "period_empty"


@pytest.mark.parametrize(
    "text", ["P0D", "P30D", "PT1H", "P1M", "P1Y2M", "P1DT2H3M4S", "PT0.5S", "P1MT1H", "PT36M", "P10Y"]
)
def test_durations_come_back_as_they_were_written(text):
    assert format_duration(parse_duration(text)) == text


def test_weeks_and_long_hours_mean_days():
    assert parse_duration("P2W") == timedelta(days=14)
    assert format_duration(parse_duration("PT36H")) == "P1DT12H"


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "-P1D", "1D", "P1DT", "P1H", "P1.5D", "p30d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InvalidInput) as refused:
        parse_duration(text)
    assert refused.value.code == "duration_invalid"


def test_a_duration_of_ages_is_refused():
    with pytest.raises(InvalidInput) as refused:
        parse_duration("P9999Y")
    assert refused.value.code == "duration_too_long"


def test_a_month_after_the_last_of_january_is_the_last_of_february():
    assert NOON + CalendarDuration(1) == NOON.replace(month=2, day=28)
    assert NOON + parse_duration("P1Y1MT12H") == datetime(2027, 3, 1, 0, 0, 0, 123_000, tzinfo=UTC)


def test_the_default_workflow_is_openmeters():
    workflow = WorkflowConfig()
    stated = workflow.model_dump(mode="json")
    assert stated["collection_interval"] == "PT1H"
    assert stated["draft_period"] == "P0D"
    assert stated["due_after"] == "P30D"
    assert stated["collection_method"] == "charge_automatically"
    assert (workflow.auto_advance, workflow.progressive_billing) == (True, True)
    assert (workflow.tax_enabled, workflow.tax_enforced, workflow.overdue_after_due) == (True, False, False)


@pytest.mark.parametrize(
    "values, code",
    [
        ({"tax_enabled": False, "tax_enforced": True}, "tax_enforced_while_off"),
        ({"collection_alignment": "anchored"}, "collection_anchor_mismatch"),
    ],
)
def test_a_workflow_that_contradicts_itself_is_refused(values, code):
    with pytest.raises(ValidationError) as refused:
        WorkflowConfig(**values)
    assert refused.value.errors()[0]["type"] == code


def test_an_override_that_states_the_default_still_wins():
    assert with_overrides(WorkflowConfig(auto_advance=False), WorkflowConfig(auto_advance=True)).auto_advance


def test_values_that_belong_together_are_overridden_together():
    anchored = WorkflowConfig(
        collection_alignment="anchored",
        collection_anchor=RecurringPeriod(interval=CalendarDuration(1), anchor=NOON),
        tax_enforced=True,
    )
    merged = with_overrides(anchored, WorkflowConfig(collection_alignment="subscription", tax_enabled=False))
    assert (merged.collection_anchor, merged.tax_enabled, merged.tax_enforced) == (None, False, False)
