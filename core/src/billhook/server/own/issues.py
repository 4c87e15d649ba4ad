"""Issues that a caller found with an invoice that waits for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from billhook.domain.issue import Severity
from billhook.engine.queries import InvoiceDetails
from billhook.engine.reported_issues import MOST_ISSUES
from billhook.server.access import Integrating
from billhook.server.v1.wire import UlidPath, reply
from billhook.server.v3.wire import WireModel

router = APIRouter(tags=["Custom Invoicing"])


class Issue(WireModel):
    """Something wrong with an invoice. A critical one fails the synchronization."""

    severity: Severity
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
    message: Annotated[str, Field(min_length=1, max_length=4096)]
    path: Annotated[str, Field(pattern=r"^(/.*)?$", max_length=1024, description="Where, as a JSON pointer.")] = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class Report(WireModel):
    """Everything that a component finds wrong. An empty list takes back what it reported before."""

    component: Annotated[
        str | None,
        Field(description="Whose findings these are. Left out: the synchronization's, which a confirmation ends."),
    ] = None
    issues: Annotated[list[Issue], Field(max_length=MOST_ISSUES)]


class ReportedIssue(Issue):
    """An issue that stands open."""

    component: str


class Standing(WireModel):
    """Where the invoice stands now, and every open issue."""

    status: str
    issues: list[ReportedIssue]


@router.put("/invoices/{invoice_id}/validation-issues", response_model=Standing)
def report_issues(billing: Integrating, invoice_id: UlidPath, report: Report) -> Response:
    """Replace what that component found wrong with an invoice in draft.syncing or issuing.syncing. The same again changes nothing."""
    issues = [issue.model_dump() for issue in report.issues]
    billing.callbacks.report_issues(invoice_id, issues, component=report.component).result()
    return reply(_standing(billing.invoices.get(invoice_id)))


def _standing(details: InvoiceDetails) -> dict[str, Any]:
    fields = ("severity", "code", "message", "path", "metadata", "component")
    return {
        "status": details.status,
        "issues": [{name: getattr(issue, name) for name in fields} for issue in details.issues],
    }
