"""One tenant's world: everything that can be asked or told, each idea at its own door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from billhook.domain.parsing import parse
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.all_invoices import AllInvoices
from billhook.engine.app_commands import AppCommands
from billhook.engine.arguments import checked
from billhook.engine.callbacks import Callbacks
from billhook.engine.connecting import Connecting
from billhook.engine.credit_note_commands import CreditNotes
from billhook.engine.customer_apps import CustomerAppCommands
from billhook.engine.customer_commands import CustomerCommands
from billhook.engine.doubts import Doubts
from billhook.engine.editing_many import WorkflowEditor
from billhook.engine.erase import Eraser, EraseResult
from billhook.engine.gathering import GatheringCommands
from billhook.engine.invoices import Invoices
from billhook.engine.notifications.commands import Notifications
from billhook.engine.number_commands import NumberCommands
from billhook.engine.one_by_one import Asked
from billhook.engine.override_commands import OverrideCommands
from billhook.engine.pending_lines import PendingLineCommands
from billhook.engine.profile_commands import ProfileCommands
from billhook.engine.refund_commands import Refunds
from billhook.engine.retrying import Retrier
from billhook.engine.submitting import Submitter
from billhook.engine.unit import Unit
from billhook.store.transaction import Transaction

if TYPE_CHECKING:
    from billhook.engine.engine import Engine

DEFAULT_NAMESPACE = "default"


@checked
@dataclass(frozen=True)
class Namespace:
    """One tenant's world. Nothing here sees or touches another namespace."""

    engine: Engine
    name: str

    @cached_property
    def apps(self) -> AppCommands:
        """Installed providers."""
        return AppCommands(self.engine.context, self.name)

    @cached_property
    def connecting(self) -> Connecting:
        """Connecting apps by a person's consent."""
        engine = self.engine
        return Connecting(engine.context, self.name, self.apps, engine.connections, engine.credentials)

    @cached_property
    def profiles(self) -> ProfileCommands:
        """Billing profiles."""
        return ProfileCommands(self.engine.context, self.name)

    @cached_property
    def customers(self) -> CustomerCommands:
        """Customers."""
        return CustomerCommands(self.engine.context, self.name)

    @cached_property
    def customer_apps(self) -> CustomerAppCommands:
        """Customers as single apps know them."""
        return CustomerAppCommands(self.engine.context, self.name)

    @cached_property
    def overrides(self) -> OverrideCommands:
        """What single customers get instead of the default profile."""
        return OverrideCommands(self.engine.context, self.name)

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices."""
        return Invoices(self.engine.context, self.name, self.engine.settler, self.engine.usage_snapshots)

    @cached_property
    def callbacks(self) -> Callbacks:
        """What a system outside says of the invoices that it took over."""
        return Callbacks(self.engine.callback_queue, self.name, self.engine.settler)

    @cached_property
    def all_invoices(self) -> AllInvoices:
        """Invoices, and pending lines as the invoices that they would make."""
        return AllInvoices(self.engine.context, self.name, self.invoices, self.engine.usage)

    @cached_property
    def credit_notes(self) -> CreditNotes:
        """Credit notes."""
        return CreditNotes(self.engine.context, self.name, self.engine.settler)

    @cached_property
    def refunds(self) -> Refunds:
        """Refunds."""
        return Refunds(self.engine.context, self.name, self.engine.settler)

    @cached_property
    def pending_lines(self) -> PendingLineCommands:
        """Lines that wait to be invoiced."""
        return PendingLineCommands(self.engine.context, self.name, self.engine.numbers)

    @cached_property
    def gathering(self) -> GatheringCommands:
        """Turning pending lines into invoices."""

        def submit(unit: Unit, draft: Any, *, quantities: Mapping[str, Any]) -> Any:
            submitter = Submitter(self.name, self.engine.settler.advancer, self.engine.numbers)
            return submitter.submit(unit, draft, quantities=quantities)

        return GatheringCommands(self.engine.context, self.name, submit, self.engine.usage)

    @cached_property
    def numbers(self) -> NumberCommands:
        """Number series, and whether they have gaps."""
        return NumberCommands(self.engine.context, self.name, self.engine.numbers)

    @cached_property
    def doubts(self) -> Doubts:
        """Outcomes that nobody knows, for an operator to settle."""
        return Doubts(self.engine.context, self.engine.settler, self.name)

    @cached_property
    def notifications(self) -> Notifications:
        """Who is told what happens to invoices, and how it arrived."""
        return Notifications(self.engine.context, self.name)

    def retry_failed(self) -> tuple[Asked, ...]:
        """Try again everything that failed: invoices that failed or are invalid, payments, voids and deletions that an app refused, and
        credit notes that failed.

        Each is tried by itself, many in one commit. One that can't be tried again is left as it was, and says why.
        """
        return Retrier(self.engine.context, self.name, self.engine.settler, self.credit_notes).retry_failed()

    def edit_workflows(self, issue_code: str, workflow: WorkflowConfig | Mapping[str, Any]) -> tuple[Asked, ...]:
        """Change the workflow of every invoice that stands still with an open issue of that code: only what is stated, as ``invoices.update``
        does for one. Each is calculated and validated anew.

        Each is changed by itself, many in one commit. One that takes no edit is left as it was, and says why. Raises InvalidInput for a
        workflow that there can't be.
        """
        changes = workflow if isinstance(workflow, WorkflowConfig) else parse(WorkflowConfig, workflow)
        return WorkflowEditor(self.engine.context, self.name, self.engine.settler, changes).edit_all_with(issue_code)

    def erase_customer(self, customer_id: str) -> EraseResult:
        """Erase a customer's personal data. Amounts and numbers stay."""
        return Eraser(self.engine.context).erase_customer(self.name, customer_id)


@checked
@dataclass(frozen=True)
class BoundNamespace:
    """What can be done inside a host's own transaction: invoices, and nothing that needs a transaction of ours."""

    engine: Engine
    name: str
    transaction: Transaction

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices, stored when the host commits."""
        return Invoices(
            self.engine.context, self.name, self.engine.settler, self.engine.usage_snapshots, self.transaction
        )
