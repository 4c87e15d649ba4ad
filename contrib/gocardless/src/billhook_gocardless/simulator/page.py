"""The page at /-/ for a person to look at: the payments, newest first, with their customers and refunds. Nothing can be changed there."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from billhook.testing.simulator.messages import SimReply
from billhook_gocardless.simulator.ledger import Ledger, Wanted
from billhook_gocardless.simulator.records import major

_SHOWN = 200
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1d2430}"
    "table{border-collapse:collapse;width:100%}caption{font-weight:600;text-align:left;padding:1.5rem 0 .4rem}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #d9dee7}"
    ".number{text-align:right;font-variant-numeric:tabular-nums}"
)


def page_of(ledger: Ledger) -> SimReply:
    """The page."""
    newest = Wanted({}, limit=_SHOWN)
    payments = [
        (body["id"], body["description"] or "", body["status"], body["charge_date"], body["currency"],
         f"{major(body['amount']):,}", f"{major(body['amount_refunded']):,}", body["links"]["mandate"])
        for body in (thing.body for thing in ledger.newest("payments", newest))
    ]  # fmt: skip
    refunds = [
        (body["id"], body["links"]["payment"], body["status"], body["currency"], f"{major(body['amount']):,}")
        for body in (thing.body for thing in ledger.newest("refunds", newest))
    ]
    mandates = [
        (body["id"], body["links"]["customer"], body["scheme"], body["status"])
        for body in (thing.body for thing in ledger.newest("mandates", newest))
    ]
    tables = (
        _table("Invoices: none. GoCardless collects money and keeps no invoices.", (), ()),
        _table(
            "Payments", ("id", "for", "status", "charged on", "currency", "amount>", "refunded>", "mandate"), payments
        ),
        _table("Refunds", ("id", "payment", "status", "currency", "amount>"), refunds),
        _table("Mandates", ("id", "customer", "scheme", "status"), mandates),
    )
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>GoCardless simulator</title><style>{_STYLE}</style>"
        f"<h1>GoCardless simulator</h1><p>The newest {_SHOWN} of each.</p>{''.join(tables)}</html>"
    )
    return SimReply(200, (("Content-Type", "text/html; charset=utf-8"),), html.encode())


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    classes = [' class="number"' if head.endswith(">") else "" for head in heads]
    head = "".join(f"<th{each}>{escape(name.rstrip('>'))}</th>" for name, each in zip(heads, classes, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{each}>{escape(cell)}</td>" for cell, each in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"
