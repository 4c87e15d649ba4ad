"""The command group `invoices`: creating, reading, and everything that can be asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.causes import answer_causes, codes_below
from billhook.cli.command import command
from billhook.cli.exits import REFUSED
from billhook.cli.invoice_text import invoice_json, invoice_page, invoice_row, preview_page
from billhook.cli.options import repeatable
from billhook.cli.output import paged, table
from billhook.cli.session import Session
from billhook.errors import BillhookError, NotAllowed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.engine.namespace import Namespace
    from billhook.engine.one_by_one import Asked
    from billhook.engine.queries import InvoiceDetails

group = typer.Typer(help="Creating and reading invoices, and what can be asked of them.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="INVOICE", help="The invoice's id, or the key it was submitted under.")]
DraftFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="JSON (an object or an array) or CSV; - for standard input.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Store what is good; report the rest, and exit with 1.")]


@command(group, "create")
def create(session: Session, file: DraftFile, *, skip_bad: SkipBad = False) -> None:
    """Store the invoices and credit notes of a file and start their way.

    CSV columns: key, customer_key, currency, line_name, item_code, quantity, unit_price and, where wanted, type (standard or
    credit_note), number, credited_invoice_id and external_id. Rows with the same key are lines of one document. A bad row is reported with
    its line number, and then nothing is stored. The same file may be given again: what is there already stays as it is.
    """
    from billhook.cli.intake import create_documents

    create_documents(session, file, skip_bad=skip_bad)


@command(group, "list")
def list_invoices(
    session: Session,
    *,
    status: Annotated[
        list[str],
        typer.Option(
            help="Such as paid, draft or issuing.failed. Repeatable.", show_default=False, default_factory=list
        ),
    ],
    issue: Annotated[
        list[str],
        typer.Option(
            metavar="CODE",
            help="Those with an open issue, or a failed payment, of this code. Repeatable.",
            show_default=False,
            default_factory=list,
        ),
    ],
    customer: Annotated[str | None, typer.Option(help="The customer's id or key.")] = None,
    page: Annotated[int, typer.Option()] = 1,
    page_size: Annotated[int, typer.Option()] = 100,
    deleted: Annotated[bool, typer.Option(help="Deleted ones too.")] = False,
    not_in_books: Annotated[
        bool,
        typer.Option(
            help="Those with a payment or a void that the books refused, or with money that was taken or given back and stands there."
        ),
    ] = False,
    failed_refunds: Annotated[bool, typer.Option(help="Those with a refund that the customer does not have.")] = False,
) -> None:
    """Invoices, the newest first."""
    from billhook.engine.invoice_filter import InvoiceFilter

    with session.billing() as billing:
        customer_id = billing.customers.get(customer).id if customer else None
        customers = (customer_id,) if customer_id else ()
        wanted = InvoiceFilter(
            tuple(status),
            customers,
            include_deleted=deleted,
            not_in_books=not_in_books,
            failed_refunds=failed_refunds,
            issue_codes=tuple(issue),
        )
        found = billing.invoices.list(wanted, page=page, page_size=page_size)
        causes = billing.invoices.open_issues() if issue and not found.total_count else None
    answer = {"items": [invoice_json(view) for view in found.items], "total_count": found.total_count}
    columns = ("id", "key", "number", "status", "customer", "total>", "due>", "currency")
    session.answer(
        {**answer, "page": found.page, "page_size": found.page_size},
        lambda: codes_below(paged(found, columns, map(invoice_row, found.items)), causes),
    )


@command(group, "issues")
def issues(session: Session) -> None:
    """Why invoices stand still or warn: each cause once, with how many have it and one of them. Exit code 3 when there are any.

    Below it stands how many wait for an app that can't be called.
    """
    with session.billing() as billing:
        causes, held = billing.invoices.open_issues(), billing.invoices.held()
    answer_causes(session, "invoices", causes, held)


@command(group, "show")
def show(session: Session, invoice: Id) -> None:
    """One invoice: lines, what can be done, what stands in the way, payments, refunds, credit notes, and everything that happened."""
    from billhook.engine.paging import LARGEST_PAGE

    with session.billing() as billing:
        details = found(billing, invoice)
        entries = billing.invoices.timeline(details.id)
        refunds = billing.refunds.list(details.id)
        notes = billing.credit_notes.list(invoice_id=details.id, page_size=LARGEST_PAGE).items
    beside = {"refunds": refunds, "credit_notes": [invoice_json(note) for note in notes], "timeline": entries}
    session.answer({**details_json(details), **beside}, lambda: invoice_page(details, entries, refunds, notes))


@command(group, "update")
def update(
    session: Session,
    *,
    invoice: Annotated[
        str | None, typer.Argument(metavar="INVOICE", help="The invoice's id or key.", show_default=False)
    ] = None,
    workflow: Annotated[
        list[str],
        repeatable("--workflow", "NAME=VALUE", "Such as collection_method=charge_automatically. Repeatable."),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="EDIT.json",
            help="JSON with any of lines, description, metadata, customer, supplier, workflow, period, exchange_rate, expected_totals; - for standard input.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Change the workflow of all that stand still with the issue of --issue.")
    ] = False,
    issue: Annotated[
        str | None, typer.Option(metavar="CODE", help="With --all: of this code, as `invoices issues` tells it.")
    ] = None,
) -> None:
    """Change a draft: only what is given. Lines, customer, supplier and workflow of a file are the whole new ones.

    The invoice is calculated and validated anew. Its app and billing profile stay: to change those, delete it, and submit it again under a
    new key. With --all and --issue the same --workflow is given to all that stand still with that issue; what takes no edit is left as it
    was, says why, and stops no other; the exit code is then 1.
    """
    from billhook.cli.editing import changes_of

    if (invoice is None) != everything or (issue is not None) != everything:
        raise typer.BadParameter("Name an invoice, or say --all --issue CODE.", param_hint="INVOICE")
    if invoice is not None:
        _give(session, invoice, lambda billing, known: _edited(billing, known, workflow, file))
        return
    if file is not None or not workflow:
        raise typer.BadParameter("What changes for all is said by --workflow NAME=VALUE.", param_hint="--all")
    with session.billing() as billing:
        results = [_shown(each) for each in billing.edit_workflows(str(issue), changes_of(workflow))]
    nothing = f"No invoice stands still with the issue {issue}. See billhook invoices issues."
    _answer_each(session, results, "updated", "changed", _how_many_stand_how(results), nothing=nothing)


@command(group, "approve")
def approve(session: Session, invoice: Id) -> None:
    """Issue a draft that waits for approval, or before its draft period is over."""
    _give(session, invoice, lambda billing, known: billing.invoices.approve(known))


@command(group, "void")
def void(session: Session, invoice: Id) -> None:
    """Make an issued invoice void, here and at its app, and cancel its payment under way. Refused while money is held for it.

    What is void here and stands at its app, because that refused, is voided there by the same command once it can be.
    """
    _give(session, invoice, lambda billing, known: billing.invoices.void(known))


@command(group, "delete")
def delete(session: Session, invoice: Id) -> None:
    """Delete a draft, here and at its app."""
    _give(session, invoice, lambda billing, known: billing.invoices.delete(known))


@command(group, "pay")
def pay(
    session: Session,
    invoice: Id,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In major units, such as 139.12.")],
    *,
    method: Annotated[str | None, typer.Option(help="Such as bank_transfer.")] = None,
    external_id: Annotated[str | None, typer.Option(help="What the bank or the provider calls it.")] = None,
    key: Annotated[str | None, typer.Option(help="The same key counts once.")] = None,
    received_at: Annotated[
        datetime | None, typer.Option(help="When it came, in UTC, such as 2026-10-31T12:00:00. Now if not given.")
    ] = None,
) -> None:
    """Note money that came another way. Less than is due leaves the rest open. What was a mistake: `invoices take-back`."""

    def record(billing: Namespace, id: str) -> InvoiceDetails:
        at = _in_utc(received_at)
        details = billing.invoices.record_payment(
            id, amount, received_at=at, method=method, external_id=external_id, key=key
        )
        _check_counts(details, key)
        return details

    _give(session, invoice, record)


@command(group, "take-back")
def take_back(
    session: Session,
    invoice: Id,
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id, or the key it was noted under.")],
    *,
    reason: Annotated[str, typer.Option(help="Why. It stands in the timeline.")],
) -> None:
    """Take back a payment that was noted by mistake: what it paid is owed again. No money moves; what an app collected is refunded.

    A note that waits is not sent. Where the books show the payment already, a warning says what to undo there. An invoice that is charged
    automatically is charged again only by `invoices retry`.
    """

    def undo(billing: Namespace, id: str) -> InvoiceDetails:
        noted = billing.invoices.get(id).payments
        payment_id = next((each.id for each in noted if each.key == payment), payment)
        return billing.invoices.take_back_payment(id, payment_id, reason=reason)

    _give(session, invoice, undo)


@command(group, "dismiss")
def dismiss(
    session: Session,
    invoice: Id,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The warning's code, as `show` has it.")],
    *,
    reason: Annotated[str, typer.Option(help="What was done about it. It stands in the timeline.")],
) -> None:
    """Say that you have dealt with what a warning tells of: it ends, and in the same words it is not told again."""
    _give(session, invoice, lambda billing, known: billing.invoices.dismiss(known, code, reason=reason))


@command(group, "capture")
def capture(
    session: Session,
    invoice: Id,
    *,
    amount: Annotated[str | None, typer.Option(help="In major units; all that is authorized where left out.")] = None,
) -> None:
    """Take money that was only authorized. What is not captured goes back to the payer."""
    _give(session, invoice, lambda billing, known: billing.invoices.capture(known, amount))


@command(group, "cancel-payment")
def cancel_payment(session: Session, invoice: Id) -> None:
    """Have a payment that is authorized or still open come to nothing."""
    _give(session, invoice, lambda billing, known: billing.invoices.cancel_payment(known))


@command(group, "status")
def status(
    session: Session,
    invoice: Id,
    trigger: Annotated[str, typer.Argument(metavar="TRIGGER", help="paid, payment_failed, payment_uncollectible, ...")],
) -> None:
    """Say what the outside says of the payment."""
    _give(session, invoice, lambda billing, known: billing.invoices.payment_status(known, trigger))


@command(group, "retry")
def retry(
    session: Session,
    *,
    invoices: Annotated[
        list[str], typer.Argument(metavar="[INVOICE]...", help="Ids or keys.", show_default=False, default_factory=list)
    ],
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="Everything that `worker --once` counts and a retry can mend.")
    ] = False,
) -> None:
    """Try again what failed: one invoice, several, or all. What is not issued takes over mended customers and mappings.

    A deletion or a void that an app refused is asked for again, and payments that the books refused to note are noted again, in every
    state. --all-failed takes credit notes that failed too; one of those by itself has `credit-notes retry`. What can't be tried again is
    left as it was, says why, and stops nothing else; the exit code is then 1.
    """
    if bool(invoices) == all_failed:
        raise typer.BadParameter("Name invoices, or say --all-failed.", param_hint="INVOICE")
    with session.billing() as billing:
        if all_failed:
            results = [_shown(each) for each in billing.retry_failed()]
        else:
            results = [_asked(billing, invoice, billing.invoices.retry, waits="retry") for invoice in invoices]
    _answer_each(session, results, "retried", "tried again", _how_many_stand_how(results))


@command(group, "look")
def look(
    session: Session,
    *,
    invoices: Annotated[
        list[str], typer.Argument(metavar="[INVOICE]...", help="Ids or keys.", show_default=False, default_factory=list)
    ],
    everything: Annotated[bool, typer.Option("--all", help="Every issued invoice, or those of the options.")] = False,
    customer: Annotated[str | None, typer.Option(help="With --all: the customer's id or key.")] = None,
    issued_from: Annotated[datetime | None, typer.Option(help="With --all: issued then or later, in UTC.")] = None,
    issued_before: Annotated[datetime | None, typer.Option(help="With --all: issued before that, in UTC.")] = None,
) -> None:
    """Have apps asked what they show of issued invoices: one, several, or all. The next `worker` does it.

    Money that came there counts then. What is void, gone or changed there, or paid less than is known here, becomes a warning: `invoices issues`.
    """
    from billhook.engine.invoice_filter import InvoiceFilter

    if bool(invoices) == everything:
        raise typer.BadParameter("Name invoices, or say --all.", param_hint="INVOICE")
    if invoices and any((customer, issued_from, issued_before)):
        raise typer.BadParameter(
            "--customer and the dates narrow --all; a named invoice needs none.", param_hint="--all"
        )
    with session.billing() as billing:
        if not everything:
            results = [_asked(billing, invoice, billing.invoices.look) for invoice in invoices]
            _answer_each(session, results, "asked", "to be looked at")
            return
        customers = (billing.customers.get(customer).id,) if customer else ()
        wanted = InvoiceFilter((), customers, issued_from=_in_utc(issued_from), issued_before=_in_utc(issued_before))
        looks = billing.invoices.look_at_all(wanted)
    told = f"{looks.asked} to be looked at, {looks.unreadable} at apps that can't be asked."
    session.answer({"asked": looks.asked, "unreadable": looks.unreadable}, lambda: told)


@command(group, "preview")
def preview(session: Session, invoice: Id) -> None:
    """What would be sent next, byte for byte, and which rule mapped each line. Sends nothing, takes no number."""
    with session.billing() as billing:
        shown = billing.invoices.preview(found(billing, invoice).id)
    session.answer(shown, lambda: preview_page(shown))


def found(billing: Namespace, invoice: str) -> InvoiceDetails:
    """The invoice with that key, or else that id. Raises NotFound."""
    return billing.invoices.find(invoice) or billing.invoices.get(invoice)


def details_json(details: InvoiceDetails) -> dict[str, Any]:
    """The invoice, what can be done now, and what stands in the way."""
    return {
        **invoice_json(details.invoice, whole=True),
        "available_actions": details.available_actions,
        "immutable": details.immutable,
        "failed": details.failed,
        "issues": details.issues,
        "payments": details.payments,
        "pending_command": details.pending_command,
        "waiting_for": details.waiting_for,
        "waiting_since": details.waiting_since,
        "gives_up_at": details.gives_up_at,
        "way_out": details.way_out,
        "in_doubt": details.in_doubt,
        "apps": details.apps,
    }


def _edited(billing: Namespace, id: str, workflow: Sequence[str], file: Path | None) -> InvoiceDetails:
    from billhook.cli.editing import edit_of

    before = billing.invoices.get(id).invoice.content.workflow
    return billing.invoices.update(id, edit_of(before, workflow, file))


def _give(session: Session, invoice: str, ask: Callable[[Namespace, str], InvoiceDetails]) -> None:
    with session.billing() as billing:
        details = ask(billing, found(billing, invoice).id)
    session.answer(details_json(details), lambda: invoice_page(details))


def _check_counts(details: InvoiceDetails, key: str | None) -> None:
    """Raise NotAllowed where the payment of that key was taken back: the same key does not bring it again."""
    gone = [each for each in details.payments if key is not None and each.key == key and each.code == "taken_back"]
    for payment in gone:
        raise NotAllowed(
            f"Payment {payment.id}, noted under the key {key!r}, was taken back ({payment.message}), and does not count. Note it under another key.",
            "payment_taken_back",
        )


def _asked(billing: Namespace, invoice: str, ask: Callable[[str], InvoiceDetails], waits: str = "") -> dict[str, Any]:
    """What became of one invoice of several: one that refuses stops no other. ``waits`` names the command that may have to wait."""
    try:
        details = ask(found(billing, invoice).id)
    except BillhookError as error:
        return {"invoice": invoice, "code": error.code, "reason": str(error)}
    told = {"waits": details.pending_command == waits} if waits else {}
    return {"invoice": invoice, "id": details.id, "status": details.status, **told}


def _shown(asked: Asked) -> dict[str, Any]:
    """One of all, as one that was named shows."""
    ended = {"code": asked.code, "reason": asked.reason} if asked.is_left else {"waits": asked.waits}
    return {asked.kind: asked.id, "id": asked.id, "key": asked.key, "status": asked.status, **ended}


def _answer_each(
    session: Session,
    results: Sequence[Mapping[str, Any]],
    counted_as: str,
    told_as: str,
    told_below: str = "",
    nothing: str = "Nothing had failed.",
) -> None:
    """Answer with what became of each, and exit with 1 where any was left as it was."""
    left = sum("reason" in result for result in results)
    asked = len(results) - left
    page = partial(_each_page, results, f"{asked} {told_as}, {left} left.{told_below}", nothing)
    session.answer({"items": results, counted_as: asked, "left": left}, page)
    if left:
        raise typer.Exit(REFUSED)


def _each_page(results: Sequence[Mapping[str, Any]], told: str, nothing: str) -> RenderableType:
    from rich.console import Group

    if not results:
        return nothing
    rows = [(_named(each), each.get("status"), each.get("reason") or _waits(each)) for each in results]
    return Group(table(("document", "status now", "because"), rows), told)


def _how_many_stand_how(results: Sequence[Mapping[str, Any]]) -> str:
    states = Counter(str(each["status"]) for each in results if each.get("status"))
    counted = ", ".join(f"{count} {status}" for status, count in states.most_common())
    return counted and f" How many stand how: {counted}."


def _in_utc(time: datetime | None) -> datetime | None:
    return None if time is None else time.replace(tzinfo=UTC)


def _named(result: Mapping[str, Any]) -> str:
    name = result.get("key") or result.get("invoice") or result.get("credit_note")
    return f"credit note {name}" if "credit_note" in result else str(name)


def _waits(result: Mapping[str, Any]) -> str | None:
    return "An operation is under way; it is done when that ends." if result.get("waits") else None
