"""What a person has dealt with outside is told of no longer: nothing else ends a warning whose cause nobody here can see."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.domain.issue import Severity
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, NotAllowed
from billhook.store import schema

_issue = schema.validation_issue


def dismiss(unit: Unit, row: InvoiceRow, code: str, reason: str) -> None:
    """End the open warnings of that code. Doing it twice is doing it once.

    Raises NotAllowed for what is critical, and InvalidInput for what the invoice was never told of.
    """
    told = unit.tx.all(
        sa.select(_issue.c.severity, _issue.c.superseded_at.is_(None).label("is_open")).where(
            _issue.c.document_id == row.id, _issue.c.code == code
        )
    )
    if not told:
        raise InvalidInput(
            "issue_unknown", f"Invoice {row.id} was never told of {code!r}. Its issues say what stands open.", "/code"
        )
    still_open = [issue for issue in told if issue.is_open]
    if any(issue.severity == Severity.CRITICAL.value for issue in still_open):
        raise NotAllowed(
            f"{code} stops invoice {row.id}, and a word does not mend that. Mend what it names, then retry the invoice.",
            "issue_critical",
        )
    if still_open:
        unit.issues.dismiss(row.id, code)
        unit.record(row, "issue.dismissed", note=f"{code}: {reason}")
