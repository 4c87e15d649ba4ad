"""Log records of the engine for somebody who reads a terminal: one line each, with their fields, on standard error."""

from __future__ import annotations

import logging
import sys

PREFIX = "billhook_"


class OneLine(logging.Formatter):
    """The message, then every field of the engine as ``name=value``, then what was raised; never more than one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {name.removeprefix(PREFIX): value for name, value in vars(record).items() if name.startswith(PREFIX)}
        parts = [f"{record.levelname}: {record.getMessage()}"]
        parts += [f"{name}={_quoted(str(value))}" for name, value in fields.items() if value is not None]
        if record.exc_info and record.exc_info[1] is not None:
            parts.append(f"raised={_quoted(repr(record.exc_info[1]))}")
        return " ".join(" ".join(parts).split())


class StandardError(logging.Handler):
    """Writes to what is standard error at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        print(self.format(record), file=sys.stderr)


def show_logs() -> None:
    """Have warnings and errors of the engine printed. Doing it twice is fine."""
    logger = logging.getLogger("billhook")
    if any(isinstance(handler, StandardError) for handler in logger.handlers):
        return
    handler = StandardError()
    handler.setFormatter(OneLine())
    logger.addHandler(handler)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
