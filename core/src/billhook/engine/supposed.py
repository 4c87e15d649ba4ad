"""An invoice as it would be further on: what the store has, and on top of it what made-up answers led to. Nothing of it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import CustomerLink, InvoiceItem, PaymentItem
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.contract.results import CustomerResult, DocumentResult
from billhook.domain.calculation import apply_taxes
from billhook.domain.invoice import InvoiceView
from billhook.domain.lifecycle import Decision
from billhook.domain.mapping import MappedLine
from billhook.engine import payments, tables
from billhook.engine.apps import AppHandle
from billhook.engine.freeze import TOLD_COLUMNS, Freezer, Thawer
from billhook.engine.invoice_row import InvoiceRow, invoice_view
from billhook.engine.settle_customer import remembered
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, WorkRow

PLACEHOLDER_PAYMENT = "{payment}"


class Supposed:
    """What operations would be given. The unit is never flushed."""

    def __init__(self, unit: Unit, row: InvoiceRow) -> None:
        self.unit = unit
        self.row = row
        self.works = [work for work in tables.read_subject_work(unit.tx, row.id) if work.lane != Lane.UNASKED]
        self._documents: dict[str, InvoiceItem] = {}
        self._customers: dict[str, CustomerLink] = {}
        self._mapped: dict[str, tuple[MappedLine, ...]] = {}

    @property
    def view(self) -> InvoiceView:
        """The invoice as operations read it."""
        columns = {name: self.row.values[name] for name in TOLD_COLUMNS}
        return invoice_view(columns, self.unit.revisions.content(self.row.id, self.row.revision))

    # Items.

    def stored_item(self, app: AppHandle, spec: OperationSpec, work: WorkRow) -> Any:
        """The item as the store alone has it; None when it is gone."""
        context, tx = self.unit.context, self.unit.tx
        frozen = Freezer(context, tx, app.id).freeze(spec, [work], {})
        return Thawer(context, tx, app.id).items(spec, frozen)[0] if frozen else None

    def invoice_item(self, app: AppHandle, spec: OperationSpec) -> InvoiceItem:
        """The invoice for an operation of that app."""
        item = self._documents.get(app.id) or self._stored_invoice(app, spec)
        mapped = self._mapped.get(app.id, item.lines) if spec.maps_lines else ()
        return replace(
            item, invoice=self.view, number=self.row.values["number"], customer=self.customer(app), lines=mapped
        )

    def _stored_invoice(self, app: AppHandle, spec: OperationSpec) -> InvoiceItem:
        item = self.stored_item(app, spec, WorkRow(self.row.id, spec.name, app.id, self.row.id))
        assert isinstance(item, InvoiceItem)
        return item

    def payment_item(self, app: AppHandle) -> PaymentItem | None:
        """The payment that waits to be collected, or one that would be opened; None while another is under way."""
        wanted = {work.item_id for work in self.works if work.operation == Capability.COLLECT_PAYMENT}
        stored = [payment for payment in self.unit.money.payments_of(self.row.id) if payment["id"] in wanted]
        if stored:
            work = WorkRow(stored[0]["id"], Capability.COLLECT_PAYMENT, app.id, self.row.id)
            item: PaymentItem = self.stored_item(app, OPERATIONS[Capability.COLLECT_PAYMENT], work)
            return replace(item, customer=self.customer(app))
        if payments.has_open(self.unit, self.row):
            return None
        document = self._documents.get(app.id)
        return PaymentItem(
            id=PLACEHOLDER_PAYMENT,
            invoice=self.view,
            amount=self.row.amount_due,
            currency=self.row.values["currency"],
            customer=self.customer(app),
            invoice_external_id=document.external_id
            if document
            else self.unit.links.of(self.row.id, app.id)["external_id"],
        )

    def customer(self, app: AppHandle) -> CustomerLink:
        """The customer as the app knows it, or would."""
        if app.id in self._customers:
            return self._customers[app.id]
        link = self.unit.customer_links.of(self.row.values["customer_id"], app.id)
        return CustomerLink(link["customer_id"], link["external_id"], link["payment_method"], link["app_data"])

    def customer_stands(self, app: AppHandle) -> bool:
        """Whether nothing has to be brought to the app before its operations."""
        if app.id in self._customers or not app.handle.declaration.can(Capability.SYNC_CUSTOMER):
            return True
        link = self.unit.customer_links.of(self.row.values["customer_id"], app.id)
        return link["synced_revision"] is not None and link["failure"] is None

    def knows_document(self, app: AppHandle) -> bool:
        """Whether anything of the invoice stands at the app, finished or left behind."""
        link = self.unit.links.of(self.row.id, app.id)
        return app.id in self._documents or link["external_id"] is not None or bool(link["leftovers"])

    # What answers lead to.

    def take(self, decision: Decision) -> None:
        """The invoice went on."""
        self.row.take(decision.facts)

    def keep_mapping(self, app: AppHandle, lines: tuple[MappedLine, ...]) -> None:
        """The present revision was validated."""
        self._mapped[app.id] = lines
        self.row.values["validated_revision"] = self.row.revision

    def keep_document(self, app: AppHandle, item: InvoiceItem, result: DocumentResult) -> None:
        """The document would stand at the app."""
        self._documents[app.id] = replace(
            item,
            external_id=result.external_id or item.external_id,
            line_external_ids={**item.line_external_ids, **result.line_ids},
            discount_external_ids={**item.discount_external_ids, **result.discount_ids},
            leftovers={},
        )
        self.row.values["number"] = result.number or item.number

    def keep_customer(self, app: AppHandle, result: CustomerResult) -> None:
        """The customer would stand at the app."""
        before = self.customer(app)
        self._customers[app.id] = CustomerLink(
            before.customer_id,
            result.external_id,
            result.payment_method or before.payment_method,
            remembered(before.app_data, result),
        )

    def keep_untaxed(self) -> None:
        """Nothing is taxed: a revision of its own, with the same lines."""
        content = self.unit.revisions.content(self.row.id, self.row.revision)
        untaxed = apply_taxes(content, dict.fromkeys((line.id for line in content.lines), ()))
        self.row.values["revision"] = self.row.values["taxed_revision"] = self.row.revision + 1
        self.unit.revisions.suppose(self.row.id, self.row.revision, untaxed)
