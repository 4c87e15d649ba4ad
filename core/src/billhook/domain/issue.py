"""What is wrong with an invoice, in a form that hosts can match and translate."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from billhook.domain.base import Metadata, Value


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


class ValidationIssue(Value):
    """One finding. A critical one stops the invoice; `component` says who found it."""

    severity: Severity
    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
    message: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    component: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "openmeter"
    path: Annotated[str, StringConstraints(pattern=r"^(/.*)?$", max_length=1024)] = ""
    metadata: Metadata = Field(default_factory=dict)
