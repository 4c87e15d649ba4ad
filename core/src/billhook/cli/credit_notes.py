"""The command group `credit-notes`."""

from __future__ import annotations

from typing import Annotated

import typer

from billhook.cli.command import command
from billhook.cli.invoice_text import invoice_json, invoice_row
from billhook.cli.invoices import DraftFile, SkipBad
from billhook.cli.output import table
from billhook.cli.session import Session

group = typer.Typer(help="What is owed back.", no_args_is_help=True)


@command(group, "create")
def create(session: Session, file: DraftFile, *, skip_bad: SkipBad = False) -> None:
    """Store the credit notes of a file and have them issued. Amounts are positive; columns as for `invoices create`."""
    from billhook.cli.intake import create_documents

    create_documents(session, file, skip_bad=skip_bad, only="credit_note")


@command(group, "list")
def list_credit_notes(
    session: Session, *, limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100
) -> None:
    """Credit notes, the newest first."""
    with session.billing() as billing:
        found = billing.credit_notes.list(limit=limit)
    columns = ("id", "key", "number", "status", "customer", "total>", "due>", "currency")
    session.answer({"items": [invoice_json(view) for view in found]}, lambda: table(columns, map(invoice_row, found)))
