"""Prints what a month end takes at Xero, QuickBooks and Stripe:

python tests/month_end                                      100,000 invoices of one tenant, and of 1,000 tenants; hours
python tests/month_end --scale 100                          the same, a hundred times smaller
python tests/month_end --only xero --tenants one --store postgres
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from month import Month, Outcome, end_of
from places import PLACES, Least
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from billhook.clock import TurnedClock
from billhook.testing.postgres import PostgresServer

INVOICES = 100_000
SMALL_TENANTS = 1_000
ENOUGH = 0.95


def main(argv: Sequence[str] | None = None) -> int:
    """Carry every month end through, print it, and say whether each is as it should be."""
    wanted = _parser().parse_args(argv)
    console = Console(width=180)
    few = [_run(Month(provider, 1, 1_000, with_another=False), "sqlite", wanted.folder) for provider in wanted.only]
    console.print(_calls(few))
    outcomes: list[Outcome] = []
    for month, store in _plan(wanted):
        console.print(f"{month.provider}: {month.tenants:,} x {month.invoices_each:,} on {store} ...", style="dim")
        outcomes.append(_run(month, store, wanted.folder))
        console.print(_months(outcomes[-1:]))
    console.print(_months(outcomes))
    wrong = [outcome for outcome in outcomes if not _is_good(outcome, wanted.scale)]
    for outcome in wrong:
        console.print(f"Not as it should be: {outcome}", style="red")
    return 1 if wrong else 0


def _plan(wanted: argparse.Namespace) -> Iterator[tuple[Month, str]]:
    big, small = INVOICES // wanted.scale, SMALL_TENANTS // wanted.scale
    for provider in wanted.only:
        if "one" in wanted.tenants:
            yield Month(provider, 1, big, connections=wanted.connections), wanted.store
        if "many" in wanted.tenants:
            yield Month(provider, small, big // small, connections=wanted.connections), wanted.store


def _run(month: Month, store: str, folder: Path | None) -> Outcome:
    if store == "postgres":
        with PostgresServer() as server:
            return end_of(month, server.create())
    with tempfile.TemporaryDirectory(prefix="billhook-month-", dir=folder) as place:
        return end_of(month, str(Path(place, "billhook.db")))


def _is_good(outcome: Outcome, scale: int) -> bool:
    # Where little is to be done, the budget is not used up before it is done.
    return outcome.is_whole and not outcome.refused_by_our_own and (outcome.share >= ENOUGH or scale > 1)


def _months(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="month end, in simulated time", title_justify="left", box=SIMPLE_HEAD)
    headings = (
        "tenants",
        "invoices",
        "calls",
        "429s of our own",
        "another's calls",
        "documents",
        "twice",
        "took",
        "used",
        "real",
    )
    table.add_column("at")
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_column("of what is allowed by")
    for each in outcomes:
        another = f"{each.another_made:,} ({each.another_was_refused:,} refused)"
        counts = (each.month.tenants, each.month.invoices, each.calls.total())
        refused = f"{each.refused_by_our_own} (+ {each.refused - each.refused_by_our_own} beside another)"
        after = (f"{each.documents:,}", f"{each.duplicates:,}", f"{each.seconds:,.0f} s", f"{each.share:.1%}")
        row = (*(f"{count:,}" for count in counts), refused, another, *after, f"{each.real_seconds:,.0f} s")
        table.add_row(f"{each.month.provider} ({each.store})", *row, each.bound_by)
    return table


def _calls(outcomes: Sequence[Outcome]) -> Table:
    title = "calls for 1,000 invoices of 10 customers, one tenant"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for heading in ("at", "call"):
        table.add_column(heading)
    for heading in ("made", "at least"):
        table.add_column(heading, justify="right")
    table.add_column("which")
    for each in outcomes:
        place = PLACES[each.month.provider](TurnedClock(each.month.begins_at), 1)
        for kind in sorted({*each.calls, *place.least}):
            least = place.least.get(kind, Least("needless"))
            fewest = least.for_invoices(each.month.invoices)
            table.add_row(each.month.provider, kind, f"{each.calls[kind]:,}", f"{fewest:,}", least.what)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="month_end", description="A month end under the providers' limits.")
    parser.add_argument("--only", nargs="+", choices=sorted(PLACES), default=list(PLACES))
    parser.add_argument("--tenants", nargs="+", choices=("one", "many"), default=["one", "many"])
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--scale", type=int, default=1, help="so many times smaller")
    parser.add_argument("--connections", type=int, default=32, help="calls that the worker has under way at most")
    parser.add_argument("--folder", type=Path, help="where SQLite files are made")
    return parser


if __name__ == "__main__":
    sys.exit(main())
