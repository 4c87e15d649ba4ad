"""The operations in one table: what each works on, what it returns, and what the engine does around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from billhook.contract import items, results
from billhook.contract.declaration import Capability


class Family(StrEnum):
    """What an operation is about; its issues carry the family in their component."""

    CUSTOMERS = "customers"
    INVOICING = "invoiceCustomers"
    PAYMENT = "collectPayments"
    TAX = "calculateTax"
    RECONCILIATION = "reconciliation"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation. ``maps_lines``: the engine maps the lines first. ``secret``: requests and replies hold secrets, never journalled."""

    capability: Capability
    family: Family
    item: type
    result: type
    maps_lines: bool = False
    secret: bool = False

    @property
    def name(self) -> str:
        """The hook's name."""
        return self.capability.value

    def component(self, provider: str) -> str:
        """The component that validation issues of this operation carry, such as ``app.xero.invoiceCustomers.sync_draft``."""
        return f"app.{provider}.{self.family.value}.{self.name}"


_ROWS: tuple[OperationSpec, ...] = (
    OperationSpec(Capability.SYNC_CUSTOMER, Family.CUSTOMERS, items.CustomerItem, results.CustomerResult),
    OperationSpec(Capability.SYNC_DRAFT, Family.INVOICING, items.InvoiceItem, results.DocumentResult, maps_lines=True),
    OperationSpec(Capability.ISSUE, Family.INVOICING, items.InvoiceItem, results.DocumentResult, maps_lines=True),
    OperationSpec(Capability.SEND, Family.INVOICING, items.InvoiceItem, results.SendResult),
    OperationSpec(Capability.VOID, Family.INVOICING, items.InvoiceItem, results.RemovalResult),
    OperationSpec(Capability.MARK_UNCOLLECTIBLE, Family.INVOICING, items.InvoiceItem, results.WriteOffResult),
    OperationSpec(Capability.DELETE, Family.INVOICING, items.InvoiceItem, results.RemovalResult),
    OperationSpec(Capability.CREDIT, Family.INVOICING, items.CreditNoteItem, results.DocumentResult, maps_lines=True),
    OperationSpec(Capability.CALCULATE_TAX, Family.TAX, items.InvoiceItem, results.TaxResult, maps_lines=True),
    OperationSpec(Capability.COLLECT_PAYMENT, Family.PAYMENT, items.PaymentItem, results.PaymentResult),
    OperationSpec(Capability.CAPTURE_PAYMENT, Family.PAYMENT, items.PaymentItem, results.PaymentResult),
    OperationSpec(Capability.CANCEL_PAYMENT, Family.PAYMENT, items.PaymentItem, results.PaymentResult),
    OperationSpec(Capability.CHECK_PAYMENT, Family.PAYMENT, items.PaymentItem, results.PaymentResult),
    OperationSpec(Capability.RECORD_PAYMENT, Family.PAYMENT, items.PaymentItem, results.PaymentResult),
    OperationSpec(Capability.REFUND, Family.PAYMENT, items.RefundItem, results.RefundResult),
    OperationSpec(Capability.CHECK_REFUND, Family.PAYMENT, items.RefundItem, results.RefundResult),
    OperationSpec(Capability.FETCH, Family.RECONCILIATION, items.InvoiceItem, results.Snapshot),
    OperationSpec(Capability.CHECK_CONNECTION, Family.CONNECTION, items.ConnectionItem, results.ConnectionResult),
    OperationSpec(
        Capability.AUTHORIZE_URL, Family.CONNECTION, items.ConnectionItem, results.AuthorizationResult, secret=True
    ),
    OperationSpec(
        Capability.EXCHANGE_CODE, Family.CONNECTION, items.ConnectionItem, results.CredentialsResult, secret=True
    ),
    OperationSpec(Capability.LIST_ACCOUNTS, Family.CONNECTION, items.ConnectionItem, results.ConnectionResult),
    OperationSpec(
        Capability.REFRESH_CREDENTIALS, Family.CONNECTION, items.ConnectionItem, results.CredentialsResult, secret=True
    ),
)

OPERATIONS: Mapping[Capability, OperationSpec] = MappingProxyType({row.capability: row for row in _ROWS})
PURE_HOOKS = frozenset({Capability.MAP_LINE, Capability.ASSIGN_NUMBER, Capability.VALIDATE_INVOICE})
READING_HOOKS = frozenset({"classify", "authenticate", "read_webhook"})
OBSERVER_HOOKS = frozenset({"invoice_transitioned", "operation_settled", "app_status_changed"})


def spec_of(name: str) -> OperationSpec:
    """The operation of that hook name."""
    return OPERATIONS[Capability(name)]


def result_type(name: str) -> Any:
    """The result type that Done of that operation holds."""
    return spec_of(name).result
