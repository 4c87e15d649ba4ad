"""Identifiers: ULIDs, so that ids sort by the time they were made."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from typing import Annotated

from pydantic import StringConstraints
from ulid import ULID

from billhook.errors import InvalidInput

RANDOMNESS_BYTES = 10
_TIME_BYTES, _TIME_LETTERS = 6, 10

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
    return str(ULID(milliseconds.to_bytes(_TIME_BYTES) + randomness))


def child_ulid(parent_id: str, reference: str) -> str:
    """The id of a part of something, always the same for the same parent and reference."""
    digest = sha256(f"{parent_id}/{reference}".encode()).digest()
    random_part = str(ULID(bytes(_TIME_BYTES) + digest[:RANDOMNESS_BYTES]))[_TIME_LETTERS:]
    return parent_id[:_TIME_LETTERS] + random_part
