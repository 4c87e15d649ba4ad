"""A page for people: the invoices, credit notes and payments of these books. Shows, changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.ledger import Document, Ledger, Payment

_STYLE = "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left}"
_MOST = 500


def page(ledger: Ledger) -> SimReply:
    """The books, the newest first."""
    documents, payments = ledger.documents(), ledger.payments()
    names = {each.id: each.name for each in ledger.customers()}
    body = "".join(
        (
            f"<!doctype html><title>Xero simulator</title><style>{_STYLE}</style><h1>Xero simulator</h1>",
            _table("Documents", _DOCUMENT, (_document(each, names) for each in reversed(documents[-_MOST:]))),
            _table("Payments", _PAYMENT, (_payment(each) for each in reversed(payments[-_MOST:]))),
        )
    )
    return SimReply(200, (("Content-Type", "text/html; charset=utf-8"),), body.encode())


_DOCUMENT = ("Kind", "Number", "Status", "Contact", "Total", "Tax", "Due", "Sent", "Reference")
_PAYMENT = ("Amount", "Status", "Account", "Invoice", "Reference")


def _document(each: Document, names: dict[str, str]) -> Sequence[str]:
    money = (f"{each.total} {each.currency}", f"{each.tax}", f"{each.amount_due}")
    kind = each.kind.replace("_", " ")
    return (
        kind,
        each.number or "",
        each.status,
        names.get(each.customer, ""),
        *money,
        f"{each.sent_count}",
        each.reference,
    )


def _payment(each: Payment) -> Sequence[str]:
    return (f"{each.amount}", each.status, each.account, each.invoice, each.reference)


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"
