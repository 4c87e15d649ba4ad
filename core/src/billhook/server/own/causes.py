"""Why documents stand still, each cause once: of invoices, and of credit notes."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter
from starlette.responses import Response

from billhook.engine.held_documents import HeldDocuments
from billhook.engine.open_issues import OpenCreditNoteIssue, OpenIssue
from billhook.server.access import Reading
from billhook.server.v1.wire import reply
from billhook.server.v3.wire import WireModel
from billhook.server.ways_out import over_http

router = APIRouter(tags=["Causes"])


class Cause(WireModel):
    """One cause that stands open on so many documents, in the words of one of them. ``way_out`` says what can be done about that one where its
    payment failed; other messages say so themselves."""

    code: str | None = None
    severity: str
    component: str
    documents: int
    message: str
    example: str
    way_out: str | None = None


class Held(WireModel):
    """So many documents that wait for an app which is disabled, unauthorized or can't be used, and why."""

    app_id: str
    app: str
    documents: int
    reason: str


class Causes(WireModel):
    """What stops documents first, and of that what stops most; and what is only ``held``."""

    data: list[Cause]
    held: list[Held]


@router.get("/causes/invoices", response_model=Causes)
def causes_of_invoices(billing: Reading) -> Response:
    """Why invoices stand still or warn, each cause once: issues that stand open, and payments that failed."""
    causes = [_cause(one, one.invoices, one.way_out) for one in billing.invoices.open_issues()]
    return reply(Causes(data=causes, held=_held(billing.invoices.held())))


@router.get("/causes/credit-notes", response_model=Causes)
def causes_of_credit_notes(billing: Reading) -> Response:
    """Why credit notes stand still, each cause once."""
    causes = [_cause(one, one.credit_notes, None) for one in billing.credit_notes.open_issues()]
    return reply(Causes(data=causes, held=_held(billing.credit_notes.held())))


def _cause(one: OpenIssue | OpenCreditNoteIssue, documents: int, way_out: str | None) -> Cause:
    return Cause(
        code=one.code,
        severity=one.severity,
        component=one.component,
        documents=documents,
        message=over_http(one.message, one.example),
        example=one.example,
        way_out=None if way_out is None else over_http(way_out, one.example),
    )


def _held(held: Iterable[HeldDocuments]) -> list[Held]:
    return [
        Held(app_id=each.app_id, app=each.app, documents=each.documents, reason=over_http(each.reason)) for each in held
    ]
