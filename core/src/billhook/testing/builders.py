"""Invoices for tests, valid as they come. Name only what the test is about; everything is the same on every run."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billhook.domain.calculation import NO_QUANTITIES, calculate
from billhook.domain.ids import child_ulid, new_ulid
from billhook.domain.invoice import InvoiceContent, InvoiceDraft, InvoiceView, LineDraft
from billhook.domain.money import from_minor
from billhook.domain.party import Address, CustomerSnapshot, Supplier
from billhook.domain.price import UnitPrice
from billhook.domain.workflow import WorkflowConfig, with_overrides

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
CREDENTIAL_KEYS = (urlsafe_b64encode(b"for tests, and no secret at all.").decode(),)
"""For engines on databases that have no key file beside them."""


def an_id(number: int = 1) -> str:
    """The same id for the same number."""
    return new_ulid(NEW_YEAR, number.to_bytes(10))


def a_customer(**changes: Any) -> CustomerSnapshot:
    """Test Customer, with the key `customer-1`."""
    usual: dict[str, Any] = {
        "id": an_id(),
        "key": "customer-1",
        "name": "Test Customer",
        "email": "billing@customer.example",
        "addresses": (Address(country="DE", city="Berlin", postal_code="10115", line1="Invalidenstr. 1"),),
    }
    return CustomerSnapshot(**{**usual, **changes})


def a_supplier(**changes: Any) -> Supplier:
    """Acme Inc of the US."""
    usual: dict[str, Any] = {"name": "Acme Inc", "addresses": (Address(country="US"),)}
    return Supplier(**{**usual, **changes})


def a_workflow(**changes: Any) -> WorkflowConfig:
    """The default workflow."""
    return WorkflowConfig(**changes)


def a_line(number: int = 1, currency: str = "EUR", **changes: Any) -> LineDraft:
    """As many units as its number, at a price of a thousand smallest units and a few."""
    usual: dict[str, Any] = {
        "name": f"Line {number}",
        "item_code": f"ITEM-{number}",
        "quantity": Decimal(number),
        "price": UnitPrice(amount=from_minor(1000 + 37 * number, currency)),
    }
    return LineDraft(**{**usual, **changes})


def an_invoice(lines: int = 3, currency: str = "EUR", **changes: Any) -> InvoiceDraft:
    """A draft with that many lines for the customer `customer-1`."""
    usual: dict[str, Any] = {
        "currency": currency,
        "lines": tuple(a_line(number, currency) for number in range(1, lines + 1)),
    }
    if "customer_id" not in changes:
        usual["customer_key"] = "customer-1"
    return InvoiceDraft(**{**usual, **changes})


def a_content(
    draft: InvoiceDraft | None = None,
    *,
    invoice_id: str | None = None,
    customer: CustomerSnapshot | None = None,
    supplier: Supplier | None = None,
    workflow: WorkflowConfig | None = None,
    quantities: Mapping[str, Decimal] = NO_QUANTITIES,
) -> InvoiceContent:
    """The calculated revision of the draft, the usual one if none is given."""
    draft = draft or an_invoice()
    profile = workflow or a_workflow()
    return calculate(
        draft,
        line_ids=[child_ulid(invoice_id or an_id(), f"line/{index}") for index in range(len(draft.lines))],
        customer=customer or a_customer(),
        supplier=supplier or draft.supplier or a_supplier(),
        workflow=with_overrides(profile, draft.workflow) if draft.workflow else profile,
        quantities=quantities,
    )


def a_view(content: InvoiceContent | None = None, **changes: Any) -> InvoiceView:
    """An invoice in `draft.created` with that content."""
    content = content or a_content()
    usual: dict[str, Any] = {
        "id": an_id(),
        "namespace": "default",
        "status": "draft.created",
        "revision": 1,
        "version": 1,
        "customer_id": content.customer.id,
        "content": content,
        "created_at": NEW_YEAR,
        "updated_at": NEW_YEAR,
        "amount_due": content.totals.total,
    }
    return InvoiceView(**{**usual, **changes})
