"""A page to look at: the invoices, credit notes and payments that the books hold. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from billhook.testing.simulator import SimReply
from billhook_stripe.simulator.ledger import Ledger

PATH = "/-/"

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1a1f36}h2{margin-top:2rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem;border-bottom:1px solid #e3e8ee}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def page_of(ledger: Ledger) -> SimReply:
    """The books as HTML."""
    documents = [
        (each.kind.replace("_", " "), each.number or "", each.status, each.total, each.currency, each.customer, each.id)
        for each in ledger.documents()
    ]
    payments = [
        (
            each.origin,
            each.invoice or each.reference,
            each.status,
            each.amount,
            each.currency,
            each.customer or "",
            each.id,
        )
        for each in ledger.payments()
    ]
    refunds = [
        ("refund", each.payment, each.status, each.amount, each.currency, "", each.id) for each in ledger.refunds()
    ]
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Stripe, simulated</title>"
        f"<style>{_STYLE}</style><h1>Stripe, simulated</h1>"
        f"{_table('Documents', ('Kind', 'Number', 'Status', 'Total', '', 'Customer', 'Id'), documents)}"
        f"{_table('Payments', ('Origin', 'For', 'Status', 'Amount', '', 'Customer', 'Id'), [*payments, *refunds])}"
    )
    return SimReply(200, (("Content-Type", "text/html; charset=utf-8"),), body.encode())


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f"<td class=n>{value}</td>"
