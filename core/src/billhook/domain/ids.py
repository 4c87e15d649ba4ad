"""Identifiers: ULIDs, so that ids sort by the time they were made."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from pydantic import StringConstraints

from billhook.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOMNESS_BYTES = 10

# Two letters at a time: an id is made for every line of every invoice.
_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)

_PATTERN = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
_ULID = re.compile(_PATTERN)

Ulid = Annotated[str, StringConstraints(pattern=_PATTERN)]


def is_ulid(text: str) -> bool:
    """Whether the text is a ULID in upper case."""
    return _ULID.fullmatch(text) is not None


def new_ulid(at: datetime, randomness: bytes) -> str:
    """The id made at that moment from ten random bytes."""
    if len(randomness) != RANDOMNESS_BYTES:
        raise InvalidInput(
            "randomness_invalid", f"A ULID needs {RANDOMNESS_BYTES} random bytes, not {len(randomness)}."
        )
    milliseconds = int(at.timestamp()) * 1000 + at.microsecond // 1000
    return _base32(milliseconds, 10) + _base32(int.from_bytes(randomness), 16)


def child_ulid(parent_id: str, reference: str) -> str:
    """The id of a part of something, always the same for the same parent and reference."""
    digest = sha256(f"{parent_id}/{reference}".encode()).digest()
    return parent_id[:10] + _base32(int.from_bytes(digest[:RANDOMNESS_BYTES]), 16)


def _base32(number: int, length: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(5 * length - 10, -10, -10)])
