"""What is wrong with an invoice, in a form that hosts can match and translate."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from billhook.domain.base import Metadata, Value

CODE = r"^[a-z][a-z0-9_]{0,127}$"
LONGEST_MESSAGE = 4096


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


class ValidationIssue(Value):
    """One finding. A critical one stops the invoice; `component` says who found it."""

    severity: Severity
    code: Annotated[str, StringConstraints(pattern=CODE)]
    message: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_MESSAGE)]
    component: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "openmeter"
    path: Annotated[str, StringConstraints(pattern=r"^(/.*)?$", max_length=1024)] = ""
    metadata: Metadata = Field(default_factory=dict)

    @classmethod
    def told(cls, code: str, words: str, *, path: str = "", otherwise: str = "refused") -> Self:
        """A critical one in the code and the words of another system, whatever they look like.

        A code that is not of our form, snake_case, is told as ``otherwise``; words beyond 4096 characters are cut, and where there are none
        its code is told.
        """
        known = code if re.fullmatch(CODE, code) else otherwise
        message = (
            words.replace("\x00", "")[:LONGEST_MESSAGE]
            or f"No reason was given beyond the code {code!r}."[:LONGEST_MESSAGE]
        )
        return cls(severity=Severity.CRITICAL, code=known, message=message, path=path)
