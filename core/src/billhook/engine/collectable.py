"""Whether the payment app of an invoice that lives elsewhere could collect it: asked while a draft is validated, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from billhook.contract.declaration import Capability
from billhook.contract.operations import Family
from billhook.contract.version import ContractVersion
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import ValidationIssue
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.limits import collection_problems
from billhook.engine.unit import Unit

_ASKED_SINCE = ContractVersion(1, 1)
"""Plugins that were written before know `validate_invoice` only with the lines that they mapped."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the payment app says, under a component of its own."""

    app: AppHandle
    issues: tuple[ValidationIssue, ...]

    @property
    def component(self) -> str:
        """Whose findings these are."""
        return component_of(self.app)


def component_of(app: AppHandle) -> str:
    """The component of what a payment app finds in an invoice."""
    return f"app.{app.type}.{Family.PAYMENT.value}.{Capability.VALIDATE_INVOICE.value}"


def collector_of(unit: Unit, row: InvoiceRow) -> AppHandle | None:
    """The app that is to collect the invoice by itself, where it is not the one that issues it."""
    if not row.is_charged or row.total <= 0:
        return None
    if row.values["payment_app_id"] == row.values["invoicing_app_id"]:
        return None  # it was asked already, as the app that issues
    app = unit.app(row.values["payment_app_id"])
    return app if app.handle.declaration.can(Capability.COLLECT_PAYMENT) else None


def ask_collector(app: AppHandle, view: InvoiceView) -> Asked:
    """Everything that would keep the app from collecting the invoice."""
    issues = collection_problems(view, app.handle.declaration)
    if ContractVersion.parse(app.handle.declaration.contract) >= _ASKED_SINCE:
        issues = (*issues, *app.handle.validate_invoice(view, (), app.settings))
    component = component_of(app)
    return Asked(app, tuple(issue.model_copy(update={"component": component}) for issue in issues))
