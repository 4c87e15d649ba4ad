"""What code that is not ours did wrong, told safely: its errors may themselves be broken."""

from __future__ import annotations

from billhook.faults import Crash

LONGEST = 1_000

NOT_A_PLUGINS: tuple[type[BaseException], ...] = (KeyboardInterrupt, Crash)
"""What passes through even where a plugin's code runs."""


def told(error: BaseException) -> str:
    """The error in one line that any store takes: its type, and its text as far as it has a readable one."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that can't even be shown
        return name
    readable = text.encode("utf-8", "replace").decode().replace("\x00", "?")[:LONGEST]
    return f"{name}: {readable}" if readable else name
