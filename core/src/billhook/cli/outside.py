"""Commands for what happens outside: money that is given back, and confirming what another system has done."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import REFUSED
from billhook.cli.invoice_text import invoice_page
from billhook.cli.invoices import Id, details_json, found
from billhook.cli.session import Session


class Stage(StrEnum):
    """What is confirmed."""

    DRAFT = "draft"
    ISSUE = "issue"


_STANDING = {
    "pending": "The refund {refund.id} of {refund.amount} is asked for; the worker carries it out.",
    "processing": "The refund {refund.id} of {refund.amount} is under way at the provider.",
    "succeeded": "The refund {refund.id} of {refund.amount} was given back.",
    "failed": "The refund {refund.id} of {refund.amount} failed{why}. To try again, refund under another key.",
    "canceled": "The refund {refund.id} of {refund.amount} was canceled{why}.",
}


def register(group: typer.Typer) -> None:
    """Add the commands to the group `invoices`."""
    command(group, "refund")(refund)
    command(group, "take-back-refund")(take_back_refund)
    command(group, "confirm")(confirm)


def refund(
    session: Session,
    payment: Annotated[str, typer.Argument(metavar="PAYMENT_ID", help="As in `invoices show`.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In major units, such as 12.50.")],
    *,
    reason: Annotated[str | None, typer.Option(help="Why, for the provider and the timeline.")] = None,
    key: Annotated[str | None, typer.Option(help="The same key refunds once.")] = None,
    paid_elsewhere: Annotated[
        bool, typer.Option("--paid-elsewhere", help="It was paid back another way: note it, and ask nobody.")
    ] = False,
) -> None:
    """Have the payment's app give back so much of it. The worker carries it out; the same key tells how it stands.

    What was noted with --paid-elsewhere by mistake: `invoices take-back-refund`.
    """
    with session.billing() as billing:
        give_back = billing.refunds.record if paid_elsewhere else billing.refunds.refund
        known = billing.refunds.get(give_back(payment, amount, reason=reason, key=key))
    answer = {"refund_id": known.id, "payment_id": payment, "amount": amount}
    words = _STANDING[known.status].format(refund=known, why=f" ({known.message.rstrip('.')})" if known.message else "")
    session.answer({**answer, "status": known.status, "message": known.message}, lambda: words)
    if known.status == "failed":
        raise typer.Exit(REFUSED)


def take_back_refund(
    session: Session,
    refund: Annotated[str, typer.Argument(metavar="REFUND", help="The refund's id, or the key it was noted under.")],
    *,
    reason: Annotated[str, typer.Option(help="Why. It stands in the timeline.")],
) -> None:
    """Take back a refund that was noted with --paid-elsewhere by mistake: it counts no more. No money moves; what an app gave back stands.

    Whoever entered it in the books undoes it there.
    """
    with session.billing() as billing:
        known = billing.refunds.find(refund) or billing.refunds.get(refund)
        taken = billing.refunds.take_back(known.id, reason=reason)
    answer = {"refund_id": taken.id, "status": taken.status, "message": taken.message}
    session.answer(answer, lambda: f"The refund {taken.id} of {taken.amount} counts no more.")


def confirm(
    session: Session,
    invoice: Id,
    stage: Annotated[Stage, typer.Argument(metavar="draft|issue", help="What was done outside.")],
    *,
    number: Annotated[str | None, typer.Option(help="The number that it got there.")] = None,
    external_id: Annotated[str | None, typer.Option(help="What it is called there.")] = None,
) -> None:
    """Say that the system outside has the draft, or has issued the invoice, where an invoice waits for that."""
    from billhook.contract.results import DocumentResult

    result = DocumentResult(external_id=external_id, number=number)
    with session.billing() as billing:
        invoice_id = found(billing, invoice).id
        say = {Stage.DRAFT: billing.invoices.draft_synchronized, Stage.ISSUE: billing.invoices.issuing_synchronized}
        details = say[stage](invoice_id, result)
    session.answer(details_json(details), lambda: invoice_page(details))
