"""The command `demo`: one real trading day through the whole lifecycle, to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import fields, table
from billhook.cli.recording import Record, recording
from billhook.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.demo.result import DemoResult


def register(app: typer.Typer) -> None:
    """Add the command. The database of the environment is left alone: the demo writes where it is told to, or nowhere that stays."""
    command(app, "demo", shared=("as_json",))(demo)


def demo(
    session: Session,
    *,
    db: Annotated[
        str | None,
        typer.Option("--db", help="SQLite file or postgresql:// address; a file that is thrown away if not given."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="File or folder for the providers' own books; beside the database if not given."),
    ] = None,
    invoicing: Annotated[
        str | None,
        typer.Option(
            "--invoicing", help="Who issues: xero, quickbooks, stripe, sandbox; xero if not given, where installed."
        ),
    ] = None,
    payment: Annotated[
        str | None,
        typer.Option(
            "--payment", help="Who collects: stripe, gocardless, manual, sandbox; stripe if not given, where installed."
        ),
    ] = None,
    record: Record = None,
) -> None:
    """Carry the 66 documents of one real trading day to providers simulated on this machine, and compare their books with ours.

    Kill it at any moment and start it again with the same --db and --ledger: it goes on, and ends with the same result.
    """
    from billhook.demo.live import watching
    from billhook.demo.run import run_demo

    with recording(record) as wire_log, watching(quiet=session.as_json) as watch:
        result = run_demo(db, ledger, watch, invoicing=invoicing, payment=payment, wire_log=wire_log)
    session.answer(result.to_json(), lambda: _summary(result))
    if not result.is_sound:
        raise typer.Exit(NEEDS_A_PERSON)


def _summary(result: DemoResult) -> RenderableType:
    from rich.console import Group

    from billhook.demo.online_retail import ATTRIBUTION

    refused = [(entry.document, entry.code, entry.reason) for entry in result.refused]
    return Group(
        fields(result.headline()),
        table(("refused", "code", "because"), refused),
        table(("account", "lines>", f"{result.currency}>"), result.books.accounts),
        ATTRIBUTION,
    )
