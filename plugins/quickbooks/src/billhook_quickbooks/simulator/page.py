"""What a person sees of the books: one page that changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from billhook.testing.simulator import SimReply
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.rules import CompanyRules

PATH = "/-/"

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>
body{{font:15px system-ui;margin:2em;max-width:70em}}table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.3em .8em;border-bottom:1px solid #ddd}}td.amount{{text-align:right;font-variant-numeric:tabular-nums}}
</style></head><body><h1>{name}</h1><p>A simulated company of QuickBooks Online, realm {realm}.</p>{tables}</body></html>"""


def page(ledger: Ledger, rules: CompanyRules) -> SimReply:
    """Invoices, credit memos and payments."""
    customers = {each.id: each.name for each in ledger.customers()}
    documents = [
        (
            *(each.kind, each.number or "-", customers.get(each.customer, ""), each.date, each.status, each.currency),
            *(f"{each.total:f}", f"{each.tax:f}", f"{each.open_amount:f}"),
        )
        for each in ledger.documents()
    ]
    payments = [
        (
            each.id,
            customers.get(each.customer, ""),
            each.currency,
            f"{each.amount:f}",
            " ".join(id for id, _ in each.applied),
        )
        for each in ledger.payments()
    ]
    tables = _table(
        "Documents", ("Kind", "Number", "Customer", "Date", "Status", "", "Total", "Tax", "Open"), documents
    )
    tables += _table("Payments", ("Id", "Customer", "", "Amount", "Applied to"), payments)
    body = _PAGE.format(name=escape(rules.name), realm=escape(rules.realm), tables=tables)
    return SimReply(200, (("Content-Type", "text/html; charset=utf-8"),), body.encode())


def _table(title: str, names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    is_amount = text.replace(".", "", 1).isdigit() and "." in text
    return f'<td class="amount">{escape(text)}</td>' if is_amount else f"<td>{escape(text)}</td>"
