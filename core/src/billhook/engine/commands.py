"""What can be asked of an invoice, by name, with JSON arguments: applied at once, or recorded while an attempt is open and applied afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.domain.calculation import InvoiceEdit, recalculate
from billhook.domain.invoice import content_json
from billhook.domain.lifecycle import State, Trigger, is_mutable
from billhook.domain.money import to_minor
from billhook.domain.parsing import parse
from billhook.engine import looking_first, mended, notes, open_payments
from billhook.engine.dissolving import dissolve_of_subject
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import maybe_from_micros, to_micros
from billhook.engine.money import can_fire
from billhook.engine.settle import Settler
from billhook.engine.submitting import DATES, asked_columns, content_columns, stated_columns, workflow_columns
from billhook.engine.taking_back import take_back
from billhook.engine.unit import Unit
from billhook.engine.usage import snapshot
from billhook.engine.work import CLAIMED
from billhook.errors import BillhookError, InvalidInput, KeyReused, NotAllowed, StoreError
from billhook.store import schema
from billhook.store.transaction import Transaction

Arguments = Mapping[str, Any]
_command = schema.pending_command

PAYMENT_TRIGGERS: dict[str, Trigger] = {
    "paid": Trigger.PAID,
    "payment_failed": Trigger.FAILED,
    "payment_uncollectible": Trigger.PAYMENT_UNCOLLECTIBLE,
    "payment_overdue": Trigger.PAYMENT_OVERDUE,
    "action_required": Trigger.ACTION_REQUIRED,
    "void": Trigger.VOID,
}
_REACHED: dict[str, frozenset[State]] = {
    "paid": frozenset({State.PAID}),
    "payment_failed": frozenset({State.PAYMENT_FAILED}),
    "payment_uncollectible": frozenset({State.UNCOLLECTIBLE}),
    "payment_overdue": frozenset({State.OVERDUE}),
    "action_required": frozenset({State.PAYMENT_ACTION_REQUIRED}),
    "void": frozenset({State.VOIDED}),
}


def payment_arguments(trigger: str) -> Arguments:
    """The arguments of the command ``payment_status``. Raises InvalidInput for a trigger that there is not."""
    if trigger not in tuple(PAYMENT_TRIGGERS):
        raise InvalidInput(
            "trigger_unknown",
            f"{trigger!r} is no payment trigger. Use one of {', '.join(PAYMENT_TRIGGERS)}.",
            "/trigger",
        )
    return {"trigger": trigger}


class Commands:
    """Applies commands to invoices."""

    def __init__(self, settler: Settler) -> None:
        self._settler = settler
        self._advancer = settler.advancer

    def give(self, unit: Unit, row: InvoiceRow, name: str, arguments: Arguments) -> bool:
        """Apply the command now, or record it when an operation holds the invoice. Returns whether it was applied.

        An operation of which every send was refused does not hold it: it is given up, and prepared anew.
        """
        if unit.work.has_claimed(row.id):
            dissolved = dissolve_of_subject(unit, row.id)
            if is_held(unit, row.id):
                self._record(unit, row, name, arguments)
                return False
            if name == "retry" and dissolved:
                unit.record(row, "retry", note="What was refused every time is prepared anew.")
                return True
        self.apply(unit, row, name, arguments)
        return True

    def apply(self, unit: Unit, row: InvoiceRow, name: str, arguments: Arguments) -> None:
        """Apply the command. Raises NotAllowed or InvalidInput, and then changed nothing."""
        _COMMANDS[name](self, unit, row, arguments)

    def apply_recorded(self, unit: Unit, invoice_ids: Iterable[str]) -> None:
        """Apply what waited for these invoices, as far as nothing holds them, and let them go on.

        What is refused now is noted in the timeline.
        """
        columns = ("created_at", "id", "invoice_id", "command", "arguments")
        waiting = sorted(unit.tx.select_in(_command, columns, "invoice_id", sorted(set(invoice_ids))))
        heard: dict[str, None] = {}
        for _, id, invoice_id, name, arguments in waiting:
            if not is_held(unit, invoice_id):
                unit.tx.execute(sa.delete(_command).where(_command.c.id == id))
                if name not in _HEARD_FIRST:
                    self._let_go_on(unit, invoice_id)
                self._apply_alone(unit, invoice_id, name, json.loads(arguments))
                heard[invoice_id] = None
        for invoice_id in heard:
            self._let_go_on(unit, invoice_id)

    def _let_go_on(self, unit: Unit, invoice_id: str) -> None:
        own = Unit(unit.context, unit.tx)
        self._advancer.go_on(own, own.invoice(invoice_id), "commands_heard")
        own.flush()

    def _apply_alone(self, unit: Unit, invoice_id: str, name: str, arguments: Arguments) -> None:
        # In a unit and a savepoint of its own: a refused command leaves nothing half done.
        own = Unit(unit.context, unit.tx)
        try:
            with unit.tx.part():
                self.apply(own, own.invoice(invoice_id), name, arguments)
                own.flush()
        except StoreError:
            raise
        except BillhookError as error:
            note = Unit(unit.context, unit.tx)
            note.record(note.invoice(invoice_id), f"{name}.refused", note=str(error))
            note.flush()

    def _record(self, unit: Unit, row: InvoiceRow, name: str, arguments: Arguments) -> None:
        if name == "retry" and self.waits(unit, row, name):
            return
        values = {
            "id": unit.context.new_id(unit.now),
            "invoice_id": row.id,
            "command": name,
            "arguments": json.dumps(arguments).encode(),
            "created_at": unit.now_micros,
        }
        unit.tx.execute(sa.insert(_command).values(**values))
        unit.record(row, f"{name}.recorded", note="It is applied when that ends.")

    def waits(self, unit: Unit, row: InvoiceRow, name: str) -> bool:
        """Whether that command of the invoice waits to be applied."""
        waiting = sa.select(_command.c.id).where(_command.c.invoice_id == row.id, _command.c.command == name).limit(1)
        return unit.tx.first(waiting) is not None

    # The commands.

    def advance(self, unit: Unit, row: InvoiceRow, _arguments: Arguments) -> None:
        """Go on if the invoice can. A pause that its app no longer asks for ends."""
        before = row.state
        self._advancer.go_on(unit, row, "advance")
        if row.state is before:
            self._advancer.fire(unit, row, Trigger.NEXT, "advance", outside=True)

    def approve(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Issue it; a mirrored invoice on the dates that its upstream gave it."""
        dates = {name: arguments[name] for name in DATES if arguments.get(name) is not None}
        if not row.values["mirrored"]:
            _refuse_dates(dates, "A draft states them, or an edit; an approval takes them of mirrored invoices alone.")
        row.values |= {name: to_micros(datetime.fromisoformat(date)) for name, date in dates.items()}
        self._advancer.fire(unit, row, Trigger.APPROVE, "approve", outside=True)

    def snapshot_quantities(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Collect now, with the usage as it was asked for."""
        quantities = {id: Decimal(quantity) for id, quantity in arguments.get("quantities", {}).items()}
        if quantities and row.state is State.DRAFT_WAITING_FOR_COLLECTION:
            snapshot(unit, row, quantities)
        self._advancer.fire(unit, row, Trigger.FORCE_COLLECT, "snapshot_quantities", outside=True)

    def retry(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Try again; what was critical is only a warning from here on. What is not issued takes over what was mended.

        In every state the books are asked again for what they refused to note, and for a void or a deletion that they refused.
        """
        is_noted_again = notes.note_again(self._advancer, unit, row)
        if _is_there_still(row):
            _REMOVED_AGAIN[row.state](self, unit, row, {})
            return
        if is_noted_again and not can_fire(row, Trigger.RETRY, unit.now):
            unit.record(row, "retry", note="What the books refused to note is noted again.")
            return
        self._check_allowed(unit, row, Trigger.RETRY, "retry")
        if looking_first.is_needed(unit, row, is_looked_at=bool(arguments.get("looked"))):
            looking_first.look(self._advancer, unit, row)
            self._record(unit, row, "retry", {"looked": True})
            return
        customer = mended.mended_customer(unit, row)
        if customer is not None and is_mutable(row.state):
            self._revise(unit, row, InvoiceEdit(customer=customer), "retry.customer")
            return
        cause = mended.take_over(unit, row, customer)
        self._advancer.fire(unit, row, Trigger.RETRY, cause, outside=True)
        unit.issues.downgrade(row.id)

    def delete(self, unit: Unit, row: InvoiceRow, _arguments: Arguments) -> None:
        """Delete the invoice here and at its app."""
        unit.work.drop_open(row.id)
        unit.issues.clear(row.id)
        self._advancer.fire(unit, row, Trigger.DELETE, "delete", outside=True)

    def capture(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Take money that was only authorized."""
        amount = arguments.get("amount")
        open_payments.capture(self._advancer, unit, row, None if amount is None else Decimal(amount))

    def cancel_payment(self, unit: Unit, row: InvoiceRow, _arguments: Arguments) -> None:
        """Have payments under way come to nothing."""
        open_payments.cancel(self._advancer, unit, row)

    def void(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Make the invoice void here and at its app, once its payments under way have come to nothing at theirs."""
        if row.state is State.VOIDED:
            self.void_there(unit, row, {})
            return
        self._check_allowed(unit, row, Trigger.VOID, "void")
        if unit.money.open_credits(row.id):
            raise NotAllowed(
                f"A credit note of invoice {row.id} is being issued. Wait for its end, then void the invoice.",
                "credit_note_under_way",
            )
        waiting = open_payments.make_way(self._advancer, unit, row, arguments.get("asked", ()))
        if waiting:
            self._record(unit, row, "void", {"asked": waiting})
            return
        unit.work.drop_open(row.id)
        self._advancer.fire(unit, row, Trigger.VOID, "void", outside=True)

    def void_there(self, unit: Unit, row: InvoiceRow, _arguments: Arguments) -> None:
        """Ask the app again for what it has not confirmed."""
        if not row.values["void_confirmed"]:
            unit.record(row, "void.again")
            self._advancer.go_on(unit, row, "void.again")

    def update(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """A new revision, which is validated and synced like the first."""
        if not is_mutable(row.state) and not mended.takes_edit(row):
            self._advancer.fire(unit, row, Trigger.UPDATED, "update", outside=True)
        edit = parse(InvoiceEdit, arguments)
        self._restate_dates(unit, row, edit)
        if edit.customer not in (None, unit.revisions.content(row.id, row.revision).customer):
            row.values["own_customer"] = int(edit.customer != mended.customer_now(unit, row))
        self._revise(unit, row, edit, "update")

    def _restate_dates(self, unit: Unit, row: InvoiceRow, edit: InvoiceEdit) -> None:
        stated = edit.model_fields_set & set(DATES)
        if not stated:
            return
        if row.values["mirrored"]:
            _refuse_dates(
                stated, "They are those of the upstream that the invoice mirrors, and come with the approval."
            )
        before = {name: maybe_from_micros(row.values[f"stated_{name}"]) for name in DATES}
        row.values |= stated_columns(**before | {name: getattr(edit, name) for name in stated}, now=unit.now)
        row.values["issued_at"] = row.values["stated_issued_at"]

    def _revise(self, unit: Unit, row: InvoiceRow, edit: InvoiceEdit, name: str) -> None:
        ids = [line.id or unit.context.new_id(unit.now) for line in edit.lines or ()]
        content = recalculate(unit.revisions.content(row.id, row.revision), edit, line_ids=ids)
        unit.work.drop_open(row.id)
        unit.issues.clear(row.id)
        row.values |= workflow_columns(content.workflow) | content_columns(content)
        row.values |= asked_columns(unit, row.values, content.workflow)
        if mended.takes_edit(row):
            mended.take_edit(unit, row, content)
            self._advancer.fire(unit, row, Trigger.RETRY, name, outside=True)
            return
        unit.revisions.add(row.id, row.revision + 1, content, content_json(content))
        self._advancer.fire(unit, row, Trigger.UPDATED, name, outside=True)

    def payment_status(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """What a caller says of the payment. Saying again what already is changes nothing."""
        name = arguments["trigger"]
        if row.state in _REACHED[name]:
            return
        trigger = PAYMENT_TRIGGERS[name]
        if trigger is Trigger.PAID and row.amount_due > 0:
            self._check_allowed(unit, row, trigger, "payment_status")
            self._settler.money.receive(
                unit, row, row.values["payment_app_id"], row.amount_due, unit.now, origin="outside"
            )
            return
        if trigger is Trigger.VOID:
            self.void(unit, row, {})
            return
        self._advancer.fire(unit, row, trigger, f"payment_status.{name}", outside=True)

    def _check_allowed(self, unit: Unit, row: InvoiceRow, trigger: Trigger, name: str) -> None:
        if not can_fire(row, trigger, unit.now):
            self._advancer.fire(unit, row, trigger, name, outside=True)

    def _is_recorded(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> bool:
        key = arguments.get("key")
        if key is None:
            return False
        payment = schema.payment
        known = unit.tx.first(
            sa.select(payment).where(payment.c.namespace == row.namespace, payment.c.client_key == key)
        )
        if known is not None and not _same_payment(known, row, arguments):
            raise KeyReused(key, f"payment {known.id}")
        return known is not None

    def record_payment(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """Money that came another way; the invoicing app is told of it once the invoice is issued there."""
        if row.state in _TAKES_NO_MONEY:
            raise NotAllowed(
                f"Invoice {row.id} is in {row.state}, and takes no money. Give it back, or record it for another invoice.",
                "invoice_action_not_available",
            )
        if self._is_recorded(unit, row, arguments):
            return
        received = Decimal(arguments["amount"])
        to_minor(received, row.values["currency"])
        self._settler.money.receive(
            unit,
            row,
            row.values["payment_app_id"],
            received,
            datetime.fromisoformat(arguments["received_at"]),
            method=arguments.get("method"),
            external_id=arguments.get("external_id"),
            client_key=arguments.get("key"),
        )

    def take_back_payment(self, unit: Unit, row: InvoiceRow, arguments: Arguments) -> None:
        """A payment was noted by mistake."""
        take_back(self._advancer, unit, row, arguments["payment_id"], arguments["reason"])


def _refuse_dates(names: Iterable[str], instead: str) -> None:
    """Raise InvalidInput for the first of these dates, which nobody states here."""
    for name in sorted(names):
        raise InvalidInput(f"{name}_not_owned", f"{name} is not to be stated here. {instead}", f"/{name}")


def _is_there_still(row: InvoiceRow) -> bool:
    """Whether the invoice is void or to be deleted here, and its app has not done so."""
    return row.state is State.DELETE_FAILED or (row.state is State.VOIDED and not row.values["void_confirmed"])


def _same_payment(known: Any, row: InvoiceRow, arguments: Arguments) -> bool:
    told = (known.method, known.external_id) == (arguments.get("method"), arguments.get("external_id"))
    return bool(told and known.invoice_id == row.id and Decimal(known.amount) == Decimal(arguments["amount"]))


def awaited(tx: Transaction, invoice_ids: Iterable[str]) -> set[str]:
    """The invoices of these for which a command waits that is to be heard before they go on."""
    waiting = tx.select_in(_command, ("invoice_id", "command"), "invoice_id", sorted(set(invoice_ids)))
    return {invoice_id for invoice_id, name in waiting if name in _HEARD_FIRST}


def is_held(unit: Unit, invoice_id: str) -> bool:
    """Whether an operation holds work of that invoice."""
    work = schema.work
    return (
        unit.tx.first(
            sa.select(work.c.item_id).where(work.c.subject_id == invoice_id, work.c.state == CLAIMED).limit(1)
        )
        is not None
    )


_COMMANDS: dict[str, Callable[[Commands, Unit, InvoiceRow, Arguments], None]] = {
    "advance": Commands.advance,
    "approve": Commands.approve,
    "snapshot_quantities": Commands.snapshot_quantities,
    "retry": Commands.retry,
    "delete": Commands.delete,
    "void": Commands.void,
    "capture": Commands.capture,
    "cancel_payment": Commands.cancel_payment,
    "update": Commands.update,
    "payment_status": Commands.payment_status,
    "record_payment": Commands.record_payment,
    "take_back_payment": Commands.take_back_payment,
}
_REMOVED_AGAIN: dict[State, Callable[[Commands, Unit, InvoiceRow, Arguments], None]] = {
    State.DELETE_FAILED: Commands.delete,
    State.VOIDED: Commands.void_there,
}
_HEARD_FIRST = frozenset({"update", "delete"})
"""What a draft was asked for must not come too late because its sync went through meanwhile."""

_TAKES_NO_MONEY = frozenset(state for state in State if state.startswith("delete")) | {State.VOIDED}
