"""The command group `numbers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import fields, table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.domain.numbering import GapAudit
    from billhook.engine.engine import Engine

group = typer.Typer(help="Numbers of documents.", no_args_is_help=True)


@command(group, "list")
def list_series(session: Session) -> None:
    """The series that numbers come from."""
    with session.billing() as billing:
        found = billing.numbers.list()
    rows = [(each.name, each.template, each.scope, each.kind, each.start, each.reset, each.timezone) for each in found]
    columns = ("series", "template", "scope", "kind", "start>", "reset", "time zone")
    session.answer({"items": found}, lambda: table(columns, rows))


@command(group, "define")
def define(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="SERIES", help="As in `numbers list`, or a new one.")],
    *,
    template: Annotated[str | None, typer.Option(help="Such as INV-{customer_prefix}-{sequence}.")] = None,
    scope: Annotated[str | None, typer.Option(help="namespace, profile or customer.")] = None,
    kind: Annotated[str | None, typer.Option(help="gapless or independent.")] = None,
    start: Annotated[int | None, typer.Option(help="The first value.")] = None,
    reset: Annotated[str | None, typer.Option(help="never or yearly.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="The seller's, such as Europe/Berlin: it decides the year and the month.")
    ] = None,
) -> None:
    """Make a series, or change one; what is not named stays. Once it counts, only its template and its time zone may change.

    Numbers that were given stay: a document that its app refused keeps its own.
    """
    from billhook.domain.numbering import Series
    from billhook.domain.parsing import parse

    given = {"template": template, "scope": scope, "kind": kind, "start": start, "reset": reset, "timezone": timezone}
    stated = {field: value for field, value in given.items() if value is not None}
    with session.billing() as billing:
        before = next((each.model_dump(mode="json") for each in billing.numbers.list() if each.name == name), {})
        series = billing.numbers.define(parse(Series, {"name": name, **before, **stated}))
    session.answer(series, lambda: fields(series.model_dump(mode="json")))


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
