from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from pydantic import ValidationError

from billhook.domain.numbering import (
    CREDIT_NOTE_SERIES,
    DRAFT_SERIES,
    GATHERING_SERIES,
    INVOICE_SERIES,
    Gap,
    IssuedNumber,
    NumberContext,
    NumberTemplate,
    Series,
    audit,
    customer_prefix,
    format_number,
    series_key,
)
from billhook.errors import InvalidInput

ACME = NumberContext(
    customer_id="01HZX3V5R8Q4ZB1T2N6M7K9PWD",
    customer_name="Test Customer",
    customer_key="acme",
    profile="uk",
    currency="GBP",
    on=date(2026, 3, 9),
)


@pytest.mark.parametrize(
    "series,number,kind",
    [
        (DRAFT_SERIES, "DRAFT-TECU-1", "independent"),
        (GATHERING_SERIES, "GATHER-TECU-GBP-1", "independent"),
        (INVOICE_SERIES, "INV-TECU-1", "gapless"),
        (CREDIT_NOTE_SERIES, "CN-TECU-1", "gapless"),
    ],
)
def test_the_default_numbers_are_those_of_openmeter(series, number, kind):
    assert format_number(series, ACME, series.start) == number
    assert series.kind == kind
    assert series.scope == "namespace"


@pytest.mark.parametrize(
    "name,prefix",
    [
        ("Test Customer", "TECU"),
        ("Test of three", "TEOF"),
        ("acme", "ACME"),
        ("Acmesoft", "ACME"),
        ("Jo", "JO"),
        ("J K", "JK"),
        ("Ångström Öl", "ANOL"),
        ("  & Sons  Ltd", "SOLT"),
        ("O'Neill", "ONEI"),
        ("3M Company", "3MCO"),
        ("", "UNKN"),
        ("株式会社", "UNKN"),
    ],
)
def test_the_customer_prefix(name, prefix):
    assert customer_prefix(name) == prefix


@pytest.mark.parametrize(
    "template,number",
    [
        ("INV-{year}-{sequence:06d}", "INV-2026-000042"),
        ("INV-{year}{month}{sequence:04}", "INV-2026030042"),
        ("{profile}/{customer_key}/{sequence}", "uk/acme/42"),
        ("{sequence}", "42"),
        ("{{{currency}}}{sequence}", "{GBP}42"),
    ],
)
def test_a_template_is_filled_in(template, number):
    assert NumberTemplate(template).render(ACME, 42) == number


@pytest.mark.parametrize(
    "template",
    [
        "",
        "INV-1",
        "{sequence}-{sequence}",
        "{sequenc}",
        "{}-{sequence}",
        "{0}-{sequence}",
        "{year.__class__}-{sequence}",
        "{year!r}-{sequence}",
        "{year:>10}-{sequence}",
        "{sequence:x}",
        "{sequence:6d}",
        "{sequence:999999999d}",
        "{sequence:{year}}",
        "INV-{sequence",
        "INV\n{sequence}",
        "{customer_prefix}{sequence}",
        "{sequence}{customer_key}",
        "{profile}0{sequence}",
        "X" * 250 + "{sequence}",
    ],
)
def test_a_template_that_cannot_work_is_refused_by_name(template):
    with pytest.raises(InvalidInput) as refused:
        NumberTemplate(template)
    assert refused.value.code == "number_template_invalid"
    assert repr(template)[1:20] in refused.value.message


def test_a_number_longer_than_the_outside_system_takes_is_refused():
    series = Series(name="invoice", template="INVOICE-{customer_prefix}-{sequence:06d}")
    assert format_number(series, ACME, 1, max_length=19) == "INVOICE-TECU-000001"
    with pytest.raises(InvalidInput, match="'invoice'") as refused:
        format_number(series, ACME, 1, max_length=18)
    assert refused.value.code == "number_too_long"


def test_a_number_that_needs_a_key_is_refused_for_a_customer_without_one():
    series = Series(name="invoice", template="{customer_key}-{sequence}", scope="customer")
    with pytest.raises(InvalidInput, match="customer_key") as refused:
        format_number(series, replace(ACME, customer_key=None), 1)
    assert refused.value.code == "number_field_missing"


def test_each_scope_and_year_has_its_own_counter():
    by_profile = Series(name="inv", template="{profile}-{year}-{sequence}", scope="profile", reset="yearly")
    by_customer = Series(name="inv", template="{customer_key}-{sequence}", scope="customer")
    assert series_key(INVOICE_SERIES, ACME) == "invoice"
    assert series_key(by_profile, ACME) == "inv/profile=uk/year=2026"
    assert series_key(by_profile, replace(ACME, on=date(2027, 1, 1))) == "inv/profile=uk/year=2027"
    assert series_key(by_customer, ACME) == "inv/customer=01HZX3V5R8Q4ZB1T2N6M7K9PWD"


def test_a_profile_named_like_a_year_does_not_share_its_counter():
    plain = Series(name="inv", template="{profile}-{sequence}", scope="profile")
    yearly = Series(name="inv", template="{profile}-{year}-{sequence}", scope="profile", reset="yearly")
    assert series_key(plain, replace(ACME, profile="uk/year=2026")) != series_key(yearly, ACME)


@pytest.mark.parametrize(
    "settings,field",
    [
        ({"reset": "yearly", "template": "INV-{month}-{sequence}"}, "{year}"),
        ({"scope": "profile", "template": "INV-{sequence}"}, "{profile}"),
        ({"scope": "customer", "template": "{customer_prefix}-{sequence}"}, "{customer_key}"),
    ],
)
def test_a_series_whose_counters_would_repeat_a_number_is_refused(settings, field):
    with pytest.raises(ValidationError) as refused:
        Series(name="invoice", **settings)
    (problem,) = refused.value.errors()
    assert problem["type"] == "number_series_ambiguous"
    assert f"Add {field} " in problem["msg"]


@pytest.mark.parametrize("name", ["", "Berlin", "Europe", "../Europe/Berlin", "Europe/Berlin\x00", "E" * 65])
def test_a_series_of_no_time_zone_is_refused(name):
    with pytest.raises(ValidationError) as refused:
        Series(name="inv", template="{sequence}", timezone=name)
    assert [error["loc"] for error in refused.value.errors()] == [("timezone",)]


def test_a_series_with_a_broken_template_reports_the_template():
    with pytest.raises(ValidationError) as refused:
        Series(name="invoice", template="{nothing}")
    (problem,) = refused.value.errors()
    assert (problem["type"], problem["loc"]) == ("number_template_invalid", ("template",))


def test_a_series_survives_json():
    series = Series(name="inv", template="{profile}-{year}-{sequence}", scope="profile", reset="yearly", start=100)
    assert Series.model_validate_json(series.model_dump_json()) == series


def issued(sequence: int, **changes: object) -> IssuedNumber:
    return IssuedNumber(sequence, f"INV-{sequence}", f"document-{sequence}")._replace(**changes)


def test_a_cancelled_number_is_no_gap():
    cancelled = issued(2, cancelled=True)
    found = audit([issued(3), cancelled, issued(1)], next_sequence=4)
    assert found.is_whole
    assert found.cancelled == (cancelled,)


def test_missing_values_are_found_at_the_start_between_and_at_the_end():
    found = audit([issued(12), issued(13), issued(17)], start=10, next_sequence=20)
    assert found.gaps == (Gap(10, 11), Gap(14, 16), Gap(18, 19))
    assert not found.is_whole


def test_without_the_counter_the_end_is_not_judged():
    assert audit([issued(1)]).is_whole
    assert audit([]).is_whole
    assert audit([], next_sequence=3).gaps == (Gap(1, 2),)


def test_a_value_from_before_the_start_hides_no_gap():
    assert audit([issued(5)], start=10, next_sequence=11).gaps == (Gap(10, 10),)


def test_a_number_that_occurs_twice_is_found_once():
    twice = (issued(2, document_id="a"), issued(2, document_id="b"))
    found = audit([issued(1), *twice, issued(3)])
    assert found.duplicates == (twice,)
    assert found.gaps == ()
    assert not found.is_whole


def test_two_sequence_values_with_the_same_number_are_found():
    twice = (issued(1, number="INV-X"), issued(2, number="INV-X"))
    assert audit(twice).duplicates == (twice,)
