"""The figures as a table for people, or as one JSON object for programs."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from billhook.testing.bench.figures import Figure


def as_json(figures: Sequence[Figure], skipped: Sequence[str]) -> str:
    """One object with every figure, what was left out, and where it was measured."""
    return json.dumps({"figures": [figure.to_json() for figure in figures], "skipped": list(skipped), **_place()})


def show(console: Console, figures: Sequence[Figure], skipped: Sequence[str]) -> None:
    """A table for each part."""
    for part in dict.fromkeys(figure.part for figure in figures):
        console.print(_table(part, [figure for figure in figures if figure.part == part]))
    for reason in skipped:
        console.print(f"Left out: {reason}", style="yellow")
    console.print("Only the ratios travel from one machine to another: both sides of each ran in turn, in this run.")


def _table(part: str, figures: Sequence[Figure]) -> Table:
    divisors = list(dict.fromkeys(figure.divided_by for figure in figures if figure.divided_by))
    notes = [f"[{number}] divided by: {divisor}" for number, divisor in enumerate(divisors, 1)]
    caption = Text("\n".join(notes))
    table = Table(title=part, title_justify="left", caption=caption, caption_justify="left", box=SIMPLE_HEAD)
    table.add_column("figure")  # the one that may take two lines where room is short
    table.add_column("store", no_wrap=True)
    for heading in ("n", "rounds", "median", "min", "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        note = f" [{divisors.index(figure.divided_by) + 1}]" if figure.divided_by else ""
        spread = (figure.median, min(figure.values), max(figure.values))
        amounts = [Text(f"{_short(value)} {figure.unit}".rstrip()) for value in spread]
        table.add_row(Text(figure.name + note), figure.store, str(figure.n), str(len(figure.values)), *amounts)
    return table


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _place() -> dict[str, Any]:
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "machine": platform.machine()}
