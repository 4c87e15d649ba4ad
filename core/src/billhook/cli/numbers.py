"""The command group `numbers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.domain.numbering import GapAudit
    from billhook.engine.engine import Engine

group = typer.Typer(help="Numbers of documents.", no_args_is_help=True)


@command(group, "audit")
def audit(
    session: Session,
    *,
    series: Annotated[
        list[str], typer.Option(help="Every gapless one when none is named.", show_default=False, default_factory=list)
    ],
) -> None:
    """Look for numbers that are missing or occur twice. Exit code 3 when there are any."""
    with session.engine() as engine:
        names = series or _gapless(engine, session.namespace)
        audits = {name: engine.numbers.audit(session.namespace, name) for name in names}
    counters = [_counter(name, key, found) for name, by_key in audits.items() for key, found in by_key.items()]
    rows = [tuple(counter.values()) for counter in counters]
    columns = ("series", "counter", "whole", "gaps", "duplicates", "cancelled")
    session.answer({"items": counters}, lambda: table(columns, rows))
    if not all(counter["whole"] for counter in counters):
        raise typer.Exit(NEEDS_A_PERSON)


def _gapless(engine: Engine, namespace: str) -> list[str]:
    from billhook.domain.numbering import SeriesKind
    from billhook.engine.number_series import SeriesCommands

    return [
        series.name for series in SeriesCommands(engine.context, namespace).list() if series.kind is SeriesKind.GAPLESS
    ]


def _counter(series: str, key: str, found: GapAudit) -> dict[str, Any]:
    return {
        "series": series,
        "counter": key,
        "whole": found.is_whole,
        "gaps": [list(gap) for gap in found.gaps],
        "duplicates": [[issued.number for issued in alike] for alike in found.duplicates],
        "cancelled": [issued.number for issued in found.cancelled],
    }
