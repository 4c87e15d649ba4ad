"""What code that is not ours did wrong, told safely: its errors may themselves be broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from billhook.faults import Crash

LONGEST = 1_000
MASK = "[secret]"
SHORTEST_SECRET = 4
"""Anything shorter guards nothing, and would be found everywhere."""

NOT_A_PLUGINS: tuple[type[BaseException], ...] = (KeyboardInterrupt, Crash)
"""What passes through even where a plugin's code runs."""


def told(error: BaseException, credentials: BaseModel | None = None) -> str:
    """The error in one line that any store takes: its type, and its text as far as it has a readable one.

    The secret values of those ``credentials`` are masked in it.
    """
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that can't even be shown
        return name
    readable = told_text(text, credentials)
    return f"{name}: {readable}" if readable else name


def told_text(text: str, credentials: BaseModel | None = None) -> str:
    """A plugin's own words, as far as they can be read, with the secret values of those ``credentials`` masked."""
    for secret in sorted(secret_values(credentials), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text.encode("utf-8", "replace").decode().replace("\x00", "?")[:LONGEST]


def secret_values(value: Any) -> Iterator[str]:
    """The secret values anywhere in a model."""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        if len(secret) >= SHORTEST_SECRET:
            yield secret
    elif isinstance(value, BaseModel):
        for _, part in value:
            yield from secret_values(part)
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from secret_values(part)
