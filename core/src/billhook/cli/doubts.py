"""Commands for what nobody knows: showing it, and saying what a person found out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.engine.namespace import Namespace


def register(group: typer.Typer) -> None:
    """Add the commands to the group `invoices`."""
    command(group, "doubts")(list_doubts)
    command(group, "resolve")(resolve)


def list_doubts(session: Session) -> None:
    """Outcomes that the engine can't know, with what was sent and under which key. Exit code 3 when there are any."""
    with session.billing() as billing:
        doubts = billing.doubts.list()
    rows = [(doubt.document_id, doubt.operation, doubt.since, doubt.reason) for doubt in doubts]
    session.answer({"items": doubts}, lambda: table(("document", "operation", "since", "why"), rows))
    if doubts:
        raise typer.Exit(NEEDS_A_PERSON)


def resolve(
    session: Session,
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="As in `invoices doubts`, or an invoice's key.")],
    *,
    found: Annotated[str | None, typer.Option(metavar="EXTERNAL_ID", help="It is there, under this id.")] = None,
    number: Annotated[str | None, typer.Option(help="The number it has there, where the provider numbers.")] = None,
    absent: Annotated[bool, typer.Option("--absent", help="It is not there: do it again.")] = False,
    look_again: Annotated[bool, typer.Option("--look-again", help="Let the engine look once more.")] = False,
    operation: Annotated[str | None, typer.Option(help="Which of several doubts of one document.")] = None,
    by: Annotated[str | None, typer.Option(help="Who says so, for the timeline.")] = None,
    note: Annotated[str | None, typer.Option(help="Why, for the timeline.")] = None,
) -> None:
    """Say what you found at the provider: --found, --absent or --look-again."""
    if sum((found is not None, absent, look_again)) != 1:
        raise typer.BadParameter("Say one of --found ID, --absent and --look-again.", param_hint="--found")
    with session.billing() as billing:
        document_id = _document_id(billing, document)
        billing.doubts.resolve(
            document_id,
            found=found,
            number=number,
            absent=absent,
            look_again=look_again,
            operation=operation,
            by=by,
            note=note,
        )
        left = [doubt for doubt in billing.doubts.list() if document_id in {doubt.document_id, doubt.subject_id}]
    answer = {"document_id": document_id, "left_in_doubt": left}
    session.answer(answer, lambda: f"{document_id} goes on; {len(left)} of its outcomes are still in doubt.")


def _document_id(billing: Namespace, document: str) -> str:
    by_key = billing.invoices.find(document)
    return by_key.id if by_key is not None else document
