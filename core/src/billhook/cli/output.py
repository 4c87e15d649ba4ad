"""Printing: one JSON document, or text and tables for a person. Errors and progress go to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from billhook.cli.plain import plain
from billhook.errors import BillhookError, InvalidInput, Problem

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from billhook.engine.records import Page

WIDTH_WITHOUT_TERMINAL = 160
SHOWN_PROBLEMS = 20


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_text(text: RenderableType) -> None:
    """Text or a table on standard output. What may not be wrapped is never cut off either."""
    console().print(text, markup=False, highlight=False, soft_wrap=isinstance(text, str), crop=False)


def console(*, stderr: bool = False) -> Console:
    """Standard output or standard error; wide enough for tables where it is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, width=width, markup=False, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> RenderableType:
    """A table of plain texts. Columns whose name ends in ``>`` stand on the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        drawn.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    return drawn


def paged(found: Page[Any], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """A table of one page of a list, and below it how many there are and how to see them, where it doesn't show all."""
    from rich.console import Group

    drawn = table(columns, rows)
    if len(found.items) == found.total_count:
        return drawn
    pages = -(-found.total_count // found.page_size)
    told = (
        f"{len(found.items)} of {found.total_count}: page {found.page} of {pages}. Others: --page, --page-size, --json."
    )
    return Group(drawn, told)


def fields(pairs: Mapping[str, object]) -> RenderableType:
    """Names and values, one pair a line; what is empty is left out."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for name, value in pairs.items():
        if _cell(value):
            drawn.add_row(name, Text(_cell(value)))
    return drawn


def _cell(value: object) -> str:
    shown = plain(value)
    if shown is None:
        return ""
    if isinstance(shown, bool):
        return "yes" if shown else "no"
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False) if shown not in ({}, []) else ""


def print_billhook_error(error: BillhookError, *, as_json: bool) -> None:
    """What was refused, with every problem that it lists."""
    problems = error.problems if isinstance(error, InvalidInput) else ()
    path = error.path if isinstance(error, InvalidInput) else ""
    print_error(error.code, str(error), path=path, problems=problems, as_json=as_json)


def print_error(
    code: str, message: str, *, path: str = "", problems: Sequence[Problem] = (), as_json: bool = False
) -> None:
    """An error on standard error."""
    if as_json:
        print(json.dumps({"error": _error(code, message, path, problems)}, ensure_ascii=False), file=sys.stderr)
        return
    print(f"Error ({code}): {message}", file=sys.stderr)
    if len(problems) > 1:
        _print_problems(problems)


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem.path or 'whole'}: {problem.message} ({problem.code})", file=sys.stderr)
    if len(problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(problems) - SHOWN_PROBLEMS} more", file=sys.stderr)


def _error(code: str, message: str, path: str, problems: Sequence[Problem]) -> dict[str, Any]:
    said: dict[str, Any] = {"code": code, "message": message}
    if path:
        said["path"] = path
    if problems:
        said["problems"] = plain(list(problems))
    return said
