"""What the exit code of a command says."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
REFUSED: Final = 1
WRONG_USAGE: Final = 2
NEEDS_A_PERSON: Final = 3
INTERRUPTED: Final = 130
