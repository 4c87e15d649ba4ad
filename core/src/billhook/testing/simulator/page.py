"""A page to look at: what a simulator's books hold, as tables. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from html import escape

from billhook.testing.simulator.messages import SimReply

PATH = "/-/"
"""Where every simulator shows its books; no credentials are asked."""
MOST_SHOWN = 500

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1a1f36}h2{margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #e3e8ee}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def books_page(title: str, books: Mapping[str, Sequence[object]]) -> SimReply:
    """The records of each kind, the newest first, with those of their fields that fit in a cell. Whatever stands in them is escaped."""
    name = f"{escape(title)}, simulated"
    shown = "".join(_table(kind, records) for kind, records in books.items())
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>"
    page = f"{head}<h1>{name}</h1><p>The newest {MOST_SHOWN} of each.</p>{shown}</html>"
    return SimReply(200, (("Content-Type", "text/html; charset=utf-8"),), page.encode())


def _table(kind: str, records: Sequence[object]) -> str:
    newest = [_cells(record) for record in reversed(records[-MOST_SHOWN:])]
    names = list(dict.fromkeys(name for cells in newest for name in cells))
    heads = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(_cell(cells.get(name)) for name in names)}</tr>" for cells in newest)
    return f"<h2>{escape(kind)}</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(record: object) -> dict[str, object]:
    assert is_dataclass(record)
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {name: value for name, value in values.items() if not isinstance(value, Mapping | list | tuple)}


def _cell(value: object) -> str:
    text = "" if value is None else escape(f"{value:f}" if isinstance(value, Decimal) else str(value))
    return f"<td class=n>{text}</td>" if isinstance(value, Decimal | int) else f"<td>{text}</td>"
