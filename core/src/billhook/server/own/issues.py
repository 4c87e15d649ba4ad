"""Issues that a caller found with an invoice that waits for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from billhook.engine.reported_issues import MOST_ISSUES
from billhook.server.access import Integrating
from billhook.server.own.standing import Issue, Standing, standing_of
from billhook.server.v1.wire import UlidPath, reply
from billhook.server.v3.wire import WireModel

router = APIRouter(tags=["Custom Invoicing"])


class Report(WireModel):
    """Everything that a component finds wrong. An empty list takes back what it reported before."""

    component: Annotated[
        str | None,
        Field(description="Whose findings these are. Left out: the synchronization's, which a confirmation ends."),
    ] = None
    issues: Annotated[list[Issue], Field(max_length=MOST_ISSUES)]


@router.put("/invoices/{invoice_id}/validation-issues", response_model=Standing)
def report_issues(billing: Integrating, invoice_id: UlidPath, report: Report) -> Response:
    """Replace what that component found wrong with an invoice in draft.syncing or issuing.syncing. The same again changes nothing."""
    issues = [issue.model_dump() for issue in report.issues]
    billing.callbacks.report_issues(invoice_id, issues, component=report.component).result()
    return reply(standing_of(billing.invoices.get(invoice_id)))
