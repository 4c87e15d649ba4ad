"""Why documents stand still: each cause once, and below it how many wait for an app that can't be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.invoice_text import who_says
from billhook.cli.output import table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.engine.held_documents import HeldDocuments
    from billhook.engine.open_issues import OpenCreditNoteIssue, OpenIssue

    Causes = Sequence[OpenIssue] | Sequence[OpenCreditNoteIssue]


def answer_causes(session: Session, counted: str, causes: Causes, held: Sequence[HeldDocuments]) -> None:
    """Answer with the causes and with what is held, and exit with 3 where there is a cause. ``counted`` is what each cause counts."""
    session.answer({"items": causes, "held": held}, lambda: _page(counted, causes, held))
    if causes:
        raise typer.Exit(NEEDS_A_PERSON)


def codes_below(listed: RenderableType, causes: Causes | None) -> RenderableType:
    """A list of documents; below it the codes that stand open, where it is empty for the ones it was asked for. Plugins have codes of their own."""
    from rich.console import Group

    if causes is None:
        return listed
    codes = ", ".join(sorted({one.code for one in causes if one.code}))
    return Group(listed, f"Nothing is listed with that issue. Codes that stand open now: {codes or 'none'}.")


def _page(counted: str, causes: Causes, held: Sequence[HeldDocuments]) -> RenderableType:
    from rich.console import Group

    what = counted.replace("_", " ")
    columns = (f"{what}>", "severity", "code", "from", "such as", "of")
    rows = [
        (getattr(one, counted), one.severity, one.code, who_says(one.component), _told(one), one.example)
        for one in causes
    ]
    waiting = [(one.documents, one.app_id, one.reason) for one in held]
    below = [table((f"{what} that wait>", "for app", "because"), waiting)] if held else []
    return Group(table(columns, rows), *below)


def _told(one: OpenIssue | OpenCreditNoteIssue) -> str:
    return " ".join(filter(None, (one.message, getattr(one, "way_out", None))))
