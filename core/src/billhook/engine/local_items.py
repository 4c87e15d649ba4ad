"""What an operation that runs inside a transaction is given: an invoice as the transaction sees it, read from memory where it can be."""

from __future__ import annotations

from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import CustomerLink, InvoiceItem
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.engine.freeze import Freezer, Thawer
from billhook.engine.invoice_row import InvoiceRow, invoice_view
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow


def is_in_memory(capability: Capability) -> bool:
    """Whether the operation's items are made of what the unit holds. Others are read back from the store, where they must be written."""
    return OPERATIONS[capability].item is InvoiceItem


def item_of(unit: Unit, capability: Capability, work: WorkRow) -> Any:
    """What the operation is given for that work. Writes nothing."""
    spec = OPERATIONS[capability]
    if is_in_memory(capability):
        return _invoice_item(unit, spec, unit.invoice(work.subject_id), work)
    frozen = Freezer(unit.context, unit.tx, work.app_id).freeze(spec, [work], {})
    return Thawer(unit.context, unit.tx, work.app_id).items(spec, frozen)[0]


def _invoice_item(unit: Unit, spec: OperationSpec, row: InvoiceRow, work: WorkRow) -> InvoiceItem:
    link = unit.links.of(row.id, work.app_id)
    return InvoiceItem(
        id=work.item_id,
        invoice=invoice_view(row.values, unit.revisions.content(row.id, row.revision)),
        customer=_customer(unit, row.values["customer_id"], work.app_id),
        lines=unit.revisions.mapping(row.id, row.revision, work.app_id) if spec.maps_lines else (),
        number=row.values["number"],
        external_id=link["external_id"],
        # Copies: what the operation was given stays as it was when its outcome is taken over.
        line_external_ids=dict(link["line_ids"]),
        discount_external_ids=dict(link["discount_ids"]),
        leftovers=dict(link["leftovers"]),
        collected_here=row.values["payment_app_id"] == work.app_id,
    )


def _customer(unit: Unit, customer_id: str, app_id: str) -> CustomerLink:
    link = unit.customer_links.of(customer_id, app_id)
    return CustomerLink(customer_id, link["external_id"], link["payment_method"], link["app_data"] or {})
