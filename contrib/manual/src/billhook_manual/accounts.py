"""Bank account numbers and payment references, with their check digits."""

from __future__ import annotations

import re

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_REFERENCE_LENGTH = 21


def checked_iban(text: str) -> str:
    """The IBAN without spaces, in upper case. Raises ValueError when it is none, or its check digits don't agree."""
    iban = "".join(text.split()).upper()
    if not _IBAN.fullmatch(iban):
        raise ValueError("is no IBAN: two letters, two check digits, then 11 to 30 letters and digits")
    if _remainder(iban[4:] + iban[:4]) != 1:
        raise ValueError("is no IBAN: its check digits don't agree with the rest; a digit is wrong or two are swapped")
    return iban


def checked_bic(text: str) -> str:
    """The BIC without spaces, in upper case. Raises ValueError when it has not the form of one."""
    bic = "".join(text.split()).upper()
    if not _BIC.fullmatch(bic):
        raise ValueError("is no BIC: eight or eleven letters and digits, such as COBADEFFXXX")
    return bic


def in_groups(code: str) -> str:
    """The code in groups of four, as it is printed."""
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))


def creditor_reference(number: str) -> str:
    """The ISO 11649 reference of an invoice number, without spaces; the number itself where it is too long or says nothing.

    Only letters A to Z and digits count; everything else in the number is left out.
    """
    body = re.sub(r"[^A-Z0-9]", "", number.upper())
    if not body or len(body) > _REFERENCE_LENGTH:
        return number
    return f"RF{98 - _remainder(f'{body}RF00'):02}{body}"


def _remainder(code: str) -> int:
    """By 97, with letters read as numbers from 10 (A) to 35 (Z)."""
    return int("".join(str(int(character, 36)) for character in code)) % 97
