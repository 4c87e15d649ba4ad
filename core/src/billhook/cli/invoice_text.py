"""Invoices for machines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from billhook.cli.output import fields, table
from billhook.cli.plain import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.domain.invoice import InvoiceContent, InvoiceView, Totals
    from billhook.domain.issue import ValidationIssue
    from billhook.engine.preview import Preview, PreviewStep
    from billhook.engine.queries import InvoiceDetails, PaymentView, RefundView
    from billhook.engine.timeline import TimelineEntry


def invoice_json(view: InvoiceView, *, whole: bool = False) -> dict[str, Any]:
    """The invoice as one JSON object; its lines and everything else of its content where the whole is wanted."""
    head = {
        "id": view.id,
        "key": view.key,
        "number": view.number,
        "type": view.type.value,
        "status": view.status,
        "customer": {"id": view.customer_id, "key": view.customer.key, "name": view.customer.name},
        "currency": view.currency,
        "total": money(view.total, view.currency),
    }
    rest: dict[str, Any] = plain(view)
    content = _summed(view.content, rest.pop("content"))
    amounts = {name: money(getattr(view, name), view.currency) for name in rest if name.startswith("amount_")}
    return {**head, **rest, **amounts, **({"content": content} if whole else {}), **head}


def _summed(content: InvoiceContent, shown: dict[str, Any]) -> dict[str, Any]:
    """The content with what its totals come to, of the whole and of each line."""
    lines = [
        {**as_shown, "totals": _sums(line.totals)} for line, as_shown in zip(content.lines, shown["lines"], strict=True)
    ]
    return {**shown, "totals": _sums(content.totals), "lines": lines}


def _sums(totals: Totals) -> dict[str, Any]:
    return {**plain(totals), **{name: plain(getattr(totals, name)) for name in ("net", "taxes_total", "total")}}


def invoice_row(view: InvoiceView) -> tuple[object, ...]:
    """The invoice as a row of a list."""
    due = money(view.amount_due, view.currency)
    total = money(view.total, view.currency)
    return (view.id, view.key, view.number, view.status, view.customer.name, total, due, view.currency)


def money(value: Any, currency: str) -> str:
    """The amount with all of its currency's decimals."""
    from billhook.domain.currency import exponent
    from billhook.domain.money import round_to

    return f"{round_to(value, currency):.{exponent(currency)}f}"


def invoice_page(
    details: InvoiceDetails,
    timeline: Sequence[TimelineEntry] = (),
    refunds: Sequence[RefundView] = (),
    notes: Sequence[InvoiceView] = (),
) -> RenderableType:
    """Everything about one invoice, with the refunds of its payments and the credit notes on it."""
    from rich.console import Group

    parts: list[RenderableType] = [fields(_head(details)), _lines(details.invoice)]
    if details.issues:
        parts.append(_issues(details.issues))
    if details.payments:
        parts.append(_payments(details.payments))
    if refunds:
        parts.append(_refunds(refunds))
    if notes:
        parts.append(_notes(notes))
    if timeline:
        parts.append(table(("when", "what happened"), [(entry.at, entry.summary) for entry in timeline]))
    return Group(*parts)


def credit_note_json(view: InvoiceView, issues: Sequence[ValidationIssue], waiting_for: str | None) -> dict[str, Any]:
    """The whole credit note, and why it is not issued, as one JSON object."""
    return {**invoice_json(view, whole=True), "issues": issues, "waiting_for": waiting_for}


def credit_note_page(view: InvoiceView, issues: Sequence[ValidationIssue], waiting_for: str | None) -> RenderableType:
    """Everything about one credit note."""
    from rich.console import Group

    head = {
        "credit note": view.id,
        "key": view.key,
        "number": view.number,
        "status": view.status,
        "waits because": waiting_for,
        "customer": view.customer.name,
        "total": f"{money(view.total, view.currency)} {view.currency}",
        "tax in it": _tax(view),
        "credits invoice": view.content.credited_invoice_id,
        "put against it": f"{money(view.amount_credited, view.currency)} {view.currency}"
        if view.content.credited_invoice_id
        else None,
        "external ids": view.external_ids,
    }
    return Group(fields(head), _lines(view), *([_issues(issues)] if issues else []))


def who_says(component: str) -> str:
    """Whose finding it is, in short: the app and what it was asked for, or ourselves, whom OpenMeter's clients know by its name."""
    match component.split("."):
        case ["openmeter"]:
            return "billhook"
        case ["app", provider, _, asked]:
            return f"{provider} {asked}"
        case _:
            return component


def _payments(payments: Sequence[PaymentView]) -> RenderableType:
    rows = [
        (
            *(each.id, each.status, each.origin, money(each.amount_received, each.currency), each.key),
            *(each.external_id, ": ".join(filter(None, (each.code, each.message)))),
        )
        for each in payments
    ]
    return table(("payment", "status", "origin", "received>", "key", "external id", "because"), rows)


def _refunds(refunds: Sequence[RefundView]) -> RenderableType:
    rows = [
        (each.id, each.status, each.origin, money(each.amount, each.currency), each.key, each.payment_id)
        for each in refunds
    ]
    return table(("refund", "status", "origin", "amount>", "key", "of payment"), rows)


def _notes(notes: Sequence[InvoiceView]) -> RenderableType:
    rows = [
        (
            each.id,
            each.number,
            each.status,
            money(each.total, each.currency),
            money(each.amount_credited, each.currency),
        )
        for each in notes
    ]
    return table(("credit note", "number", "status", "total>", "put against it>"), rows)


def _issues(issues: Sequence[ValidationIssue]) -> RenderableType:
    rows = [(issue.severity, issue.code, issue.message, issue.path) for issue in issues]
    return table(("severity", "code", "issue", "where"), rows)


def _head(details: InvoiceDetails) -> dict[str, object]:
    view = details.invoice
    overpaid = view.amount_paid + view.amount_credited - view.amount_refunded - view.total
    return {
        "invoice": view.id,
        "key": view.key,
        "number": view.number,
        "status": view.status,
        "customer": view.customer.name,
        "total": f"{money(view.total, view.currency)} {view.currency}",
        "tax in it": _tax(view),
        "paid": f"{money(view.amount_paid, view.currency)} {view.currency}",
        "refunded": f"{money(view.amount_refunded, view.currency)} {view.currency}" if view.amount_refunded else None,
        "credited": f"{money(view.amount_credited, view.currency)} {view.currency}" if view.amount_credited else None,
        "due": f"{money(view.amount_due, view.currency)} {view.currency}",
        "overpaid": f"{money(overpaid, view.currency)} {view.currency}" if overpaid > 0 else None,
        "due at": view.due_at,
        "external ids": view.external_ids,
        "can now": ", ".join(details.available_actions),
        "waits for the operation under way": details.pending_command,
        "waits because": details.waiting_for,
        "waits since": details.waiting_since,
        "gives up at": (details.gives_up_at or "no deadline") if details.waiting_since else None,
        "in doubt": details.in_doubt,
        "what now": details.way_out,
    }


def _tax(view: InvoiceView) -> str | None:
    taxes = view.content.totals.taxes_total
    return f"{money(taxes, view.currency)} {view.currency}" if taxes else None


def _lines(view: InvoiceView) -> RenderableType:
    rows = [(line.name, line.item_code, line.quantity, *_amounts(line.totals, view.currency)) for line in view.lines]
    return table(("line", "item", "quantity>", "net>", "tax>", "total>"), rows)


def _amounts(totals: Totals, currency: str) -> tuple[str, str, str]:
    return money(totals.net, currency), money(totals.taxes_total, currency), money(totals.total, currency)


def preview_page(preview: Preview) -> RenderableType:
    """What would be sent, request by request."""
    from rich.console import Group
    from rich.text import Text

    rows = [(line.name, line.account, line.item_code, line.tax_code, line.rule) for line in preview.lines]
    lines = table(("line", "account", "item", "tax code", "rule"), rows)
    as_sent = [Text(_request(step), no_wrap=True, overflow="ignore") for step in preview.steps]
    return Group(lines, *as_sent, *map(Text, preview.notes))


def _request(step: PreviewStep) -> str:
    headers = "".join(f"\n{name}: {value}" for name, value in step.headers)
    body = step.body.decode("utf-8", "replace")
    return f"{step.operation}, step {step.step}\n{step.method} {step.url}{headers}\n\n{body}\n"
