from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from billhook_manual.accounts import checked_bic, checked_iban, creditor_reference, in_groups


@pytest.mark.parametrize("iban", ["DE89 3704 0044 0532 0130 00", "gb82west12345698765432", "NO9386011117947"])
def test_an_iban_may_be_typed_with_spaces_and_in_lower_case(iban):
    assert checked_iban(iban) == "".join(iban.split()).upper()


@pytest.mark.parametrize(
    "iban",
    [
        "DE89370400440532013001",  # a digit is wrong
        "DE89370400440532031000",  # two are swapped
        "DE893704",
        "8937040044053201300089",
        "",
    ],
)
def test_a_mistyped_iban_is_refused(iban):
    with pytest.raises(ValueError, match="is no IBAN"):
        checked_iban(iban)


def test_a_bic_has_eight_or_eleven_characters():
    assert checked_bic("cobadeff xxx") == "COBADEFFXXX"
    with pytest.raises(ValueError, match="is no BIC"):
        checked_bic("COBADEF")


def test_the_reference_is_the_one_of_the_standard():
    assert creditor_reference("539007547034") == "RF18539007547034"
    assert in_groups(creditor_reference("539007547034")) == "RF18 5390 0754 7034"


@pytest.mark.parametrize("number", ["A" * 22, "---", "請求書"])
def test_a_number_that_makes_no_reference_is_its_own(number):
    assert creditor_reference(number) == number


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=21))
def test_every_reference_passes_the_check_that_banks_make(body):
    reference = creditor_reference(body)
    moved = reference[4:] + reference[:4]
    assert int("".join(str(int(character, 36)) for character in moved)) % 97 == 1
    assert (reference[:2], reference[4:]) == ("RF", body)
    assert reference[2:4].isdigit()
