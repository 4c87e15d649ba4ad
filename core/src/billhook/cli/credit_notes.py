"""The command group `credit-notes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.causes import answer_causes, codes_below
from billhook.cli.command import command
from billhook.cli.invoice_text import credit_note_json, credit_note_page, invoice_json, invoice_row
from billhook.cli.invoices import DraftFile, SkipBad
from billhook.cli.options import repeatable
from billhook.cli.output import paged
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.domain.invoice import InvoiceView
    from billhook.engine.namespace import Namespace

Id = Annotated[str, typer.Argument(metavar="CREDIT_NOTE", help="Its id or its key.")]
group = typer.Typer(help="What is owed back.", no_args_is_help=True)


@command(group, "create")
def create(session: Session, file: DraftFile, *, skip_bad: SkipBad = False) -> None:
    """Store the credit notes of a file and have them issued. Amounts are positive; columns as for `invoices create`."""
    from billhook.cli.intake import create_documents

    create_documents(session, file, skip_bad=skip_bad, only="credit_note")


@command(group, "list")
def list_credit_notes(
    session: Session,
    *,
    status: Annotated[str | None, typer.Option(help="Only those, such as failed.")] = None,
    issue: Annotated[list[str], repeatable("--issue", "CODE", "Those with an open issue of this code. Repeatable.")],
    page: Annotated[int, typer.Option()] = 1,
    page_size: Annotated[int, typer.Option()] = 100,
) -> None:
    """Credit notes, the newest first."""
    with session.billing() as billing:
        found = billing.credit_notes.list(status=status, issue_codes=tuple(issue), page=page, page_size=page_size)
        causes = billing.credit_notes.open_issues() if issue and not found.total_count else None
    answer = {"items": [invoice_json(view) for view in found.items], "total_count": found.total_count}
    columns = ("id", "key", "number", "status", "customer", "total>", "due>", "currency")
    session.answer(
        {**answer, "page": found.page, "page_size": found.page_size},
        lambda: codes_below(paged(found, columns, map(invoice_row, found.items)), causes),
    )


@command(group, "issues")
def issues(session: Session) -> None:
    """Why credit notes stand still or warn: each cause once, with how many have it and one of them. Exit code 3 when there are any.

    Below it stands how many wait for an app that can't be called.
    """
    with session.billing() as billing:
        causes, held = billing.credit_notes.open_issues(), billing.credit_notes.held()
    answer_causes(session, "credit_notes", causes, held)


@command(group, "show")
def show(session: Session, credit_note: Id) -> None:
    """One credit note: its lines, what it waits for, and what stands in the way."""
    with session.billing() as billing:
        _show(session, billing, _found(billing, credit_note))


@command(group, "retry")
def retry(session: Session, credit_note: Id) -> None:
    """Try again to issue a credit note that failed."""
    with session.billing() as billing:
        _show(session, billing, billing.credit_notes.retry(_found(billing, credit_note).id))


@command(group, "void")
def void(session: Session, credit_note: Id) -> None:
    """Give up a credit note that failed: nothing is credited, and nothing is sent. One that is issued stands."""
    with session.billing() as billing:
        _show(session, billing, billing.credit_notes.void(_found(billing, credit_note).id))


@command(group, "allocate")
def allocate(session: Session, credit_note: Id) -> None:
    """Count what is left of a credit note against its invoice, once somebody put it against that at the app. Nothing is sent."""
    with session.billing() as billing:
        _show(session, billing, billing.credit_notes.allocate(_found(billing, credit_note).id))


def _show(session: Session, billing: Namespace, view: InvoiceView) -> None:
    told = (view, billing.credit_notes.issues(view.id), billing.credit_notes.waiting_for(view.id))
    session.answer(credit_note_json(*told), lambda: credit_note_page(*told))


def _found(billing: Namespace, credit_note: str) -> InvoiceView:
    """The credit note with that key, or else that id. Raises NotFound."""
    return billing.credit_notes.find(credit_note) or billing.credit_notes.get(credit_note)
