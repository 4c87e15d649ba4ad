"""From a draft to an invoice: resolved, calculated, stored with everything frozen, and advanced as far as it can go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.calculation import NO_QUANTITIES, calculate
from billhook.domain.invoice import DocumentType, InvoiceContent, InvoiceDraft, InvoiceView, content_json, period_of
from billhook.domain.lifecycle import State, Trigger, collection_time
from billhook.domain.money import plain
from billhook.domain.period import format_duration
from billhook.domain.price import FlatPrice
from billhook.domain.workflow import CollectionMethod, WorkflowConfig, with_overrides
from billhook.engine.advance import Advancer
from billhook.engine.invoice_row import COLUMNS, InvoiceRow
from billhook.engine.moments import from_micros, maybe_micros
from billhook.engine.numbers import NumberedDocument, Numbers
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import ResolvedProfile
from billhook.engine.resolving import resolve
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, KeyOfDeleted, KeyReused, StaleWrite
from billhook.store import schema

DATES = ("issued_at", "due_at")
"""Made by the workflow, unless a host states them, or an upstream that an invoice mirrors."""
A_DAY = timedelta(days=1)
"""By how much dates may differ because it is another day elsewhere."""
DRAFT_SERIES = "draft"
_invoice = schema.invoice


def draft_hash(draft: InvoiceDraft) -> str:
    """What tells whether two drafts under one key ask for the same."""
    return hashlib.sha256(draft.model_dump_json(exclude_defaults=True).encode()).hexdigest()


class Submitter:
    """Makes invoices in one namespace. Customers are resolved once for each instance: one lives as long as one transaction."""

    def __init__(self, namespace: str, advancer: Advancer, numbers: Numbers) -> None:
        self._namespace = namespace
        self._advancer = advancer
        self._numbers = numbers
        self._resolved: dict[tuple[str | None, str | None], ResolvedProfile] = {}
        self._looked_up: set[str] = set()
        self._known: dict[str, tuple[str, str, bool]] = {}

    def submit(
        self,
        unit: Unit,
        draft: InvoiceDraft,
        *,
        quantities: Mapping[str, Decimal] = NO_QUANTITIES,
        mirrored: bool = False,
    ) -> InvoiceRow:
        """The invoice of that draft; the one that is there already when the key was used with the same content.

        Raises KeyReused for the key of another content, InvalidInput that lists every problem, NotFound for a customer or profile.
        """
        refuse_credit_note(draft)
        digest = draft_hash(draft)
        existing = self._existing(unit, draft.key, digest)
        if existing is not None:
            return existing
        resolved = self.resolved(unit, draft)
        content = self.content(unit, draft, resolved, quantities)
        row = self._new_row(unit, draft, digest, resolved, content, mirrored=mirrored)
        if draft.key is not None:
            self._known[draft.key] = (row.id, digest, False)
        self._advancer.fire(unit, row, Trigger.NEXT, "created")
        return row

    def simulate(self, unit: Unit, draft: InvoiceDraft, number: str) -> InvoiceDetails:
        """The invoice of that draft as it would be before anything happens to it. Writes nothing.

        Raises InvalidInput that lists every problem, NotFound for a customer or profile.
        """
        refuse_credit_note(draft)
        check_dates(draft.issued_at, draft.due_at, unit.now)
        resolved = self.resolved(unit, draft)
        content = self.content(unit, draft, resolved, NO_QUANTITIES)
        profile = resolved.profile
        view = InvoiceView(
            id=unit.context.new_id(unit.now),
            namespace=self._namespace,
            status=State.DRAFT_CREATED.value,
            revision=1,
            version=0,
            customer_id=resolved.customer.id,
            content=content,
            created_at=unit.now,
            updated_at=unit.now,
            number=number,
            amount_due=content.totals.total,
            issued_at=draft.issued_at,
            due_at=draft.due_at,
        )
        apps = {"tax": profile.tax_app_id, "invoicing": profile.invoicing_app_id, "payment": profile.payment_app_id}
        return InvoiceDetails(
            invoice=view, available_actions={}, immutable=False, failed=False, profile_id=profile.id, apps=apps
        )

    def look_up(self, unit: Unit, keys: Iterable[str]) -> None:
        """Read in one statement which of these keys were used. The keys of drafts that come next are best read together."""
        wanted = set(keys)
        self._looked_up |= wanted
        for row in unit.invoices.values():
            if row.values["client_key"] in wanted and row.namespace == self._namespace:
                self._known[row.values["client_key"]] = (row.id, row.values["draft_hash"], row.is_deleted)
        here = sa.and_(_invoice.c.namespace == self._namespace, _invoice.c.client_key.in_(wanted))
        columns = (_invoice.c.client_key, _invoice.c.id, _invoice.c.draft_hash, _invoice.c.deleted_at)
        for found in unit.tx.all(sa.select(*columns).where(here)):
            self._known[found.client_key] = (found.id, found.draft_hash, found.deleted_at is not None)

    def deleted_by_key(self, unit: Unit, keys: Iterable[str]) -> dict[str, str]:
        """The ids of deleted invoices, by those of these keys that belong to one."""
        wanted = set(keys)
        self.look_up(unit, wanted)
        known = {key: self._known[key] for key in wanted if key in self._known}
        return {key: id for key, (id, _, is_deleted) in known.items() if is_deleted}

    def resolved(self, unit: Unit, draft: InvoiceDraft) -> ResolvedProfile:
        """The draft's customer with its profile and merged workflow."""
        key = (draft.customer_id, draft.customer_key)
        if key not in self._resolved:
            resolved = resolve(unit.tx, self._namespace, customer_id=key[0], customer_key=key[1])
            _check_installed(unit, resolved)
            self._resolved[key] = resolved
        return self._resolved[key]

    def content(
        self, unit: Unit, draft: InvoiceDraft, resolved: ResolvedProfile, quantities: Mapping[str, Decimal]
    ) -> InvoiceContent:
        """The calculated first revision."""
        workflow = with_overrides(resolved.workflow, draft.workflow) if draft.workflow else resolved.workflow
        return calculate(
            draft,
            line_ids=[line.id or unit.context.new_id(unit.now) for line in draft.lines],
            customer=resolved.customer.party,
            supplier=draft.supplier or resolved.profile.supplier,
            workflow=workflow,
            quantities=quantities,
        )

    def _existing(self, unit: Unit, key: str | None, digest: str) -> InvoiceRow | None:
        if key is None:
            return None
        if key not in self._looked_up:
            self.look_up(unit, [key])
        if key not in self._known:
            return None
        id, stored, is_deleted = self._known[key]
        if stored != digest:
            raise (KeyOfDeleted if is_deleted else KeyReused)(key, f"invoice {id}")
        return unit.invoice(id)

    def _new_row(
        self,
        unit: Unit,
        draft: InvoiceDraft,
        digest: str,
        resolved: ResolvedProfile,
        content: InvoiceContent,
        *,
        mirrored: bool,
    ) -> InvoiceRow:
        id = unit.new_document_id()
        values: dict[str, Any] = dict.fromkeys(COLUMNS)
        values |= {
            "id": id,
            "namespace": self._namespace,
            "client_key": draft.key,
            "draft_hash": digest,
            "state": State.DRAFT_CREATED.value,
            "version": 0,
            "revision": 1,
            "customer_id": resolved.customer.id,
            "profile_id": resolved.profile.id,
            "tax_app_id": resolved.profile.tax_app_id,
            "invoicing_app_id": resolved.profile.invoicing_app_id,
            "payment_app_id": resolved.profile.payment_app_id,
            "currency": draft.currency,
            "number": draft.number or self._draft_number(unit, id, resolved, content),
            "number_final": int(draft.number is not None),
            "amount_paid": "0",
            "amount_credited": "0",
            "amount_refunded": "0",
            "mirrored": int(mirrored),
            "own_customer": 0,
            "critical_issues": 0,
            "delete_confirmed": 0,
            "void_confirmed": 0,
            "write_off_confirmed": 0,
            **content_columns(content),
            "collection_at": maybe_micros(_collection_at(unit, draft, content.workflow)),
            **_dates(unit, draft, mirrored=mirrored),
            "created_at": unit.now_micros,
            "updated_at": unit.now_micros,
            **workflow_columns(content.workflow),
        }
        values |= asked_columns(unit, values, content.workflow)
        return unit.add_invoice(values, content, content_json(content))

    def _draft_number(self, unit: Unit, id: str, resolved: ResolvedProfile, content: InvoiceContent) -> str:
        document = NumberedDocument(
            id=id,
            namespace=self._namespace,
            customer_id=resolved.customer.id,
            customer_name=content.customer.name,
            customer_key=content.customer.key,
            profile=resolved.profile.name,
            currency=content.currency,
            at=from_micros(unit.now_micros),
        )
        return self._numbers.next_independent(unit, DRAFT_SERIES, document)


def _check_installed(unit: Unit, resolved: ResolvedProfile) -> None:
    """Raise StaleWrite where an app was uninstalled since the profile was read: another one serves the customer then."""
    profile = resolved.profile
    for app_id in dict.fromkeys((profile.tax_app_id, profile.invoicing_app_id, profile.payment_app_id)):
        app = unit.app_if_loaded(app_id)
        if app is not None and app.deleted:
            raise StaleWrite(f"The app {app.name} was uninstalled meanwhile. Nothing was written; submit it again.")


def asked_columns(unit: Unit, values: Mapping[str, Any], workflow: WorkflowConfig) -> dict[str, int]:
    """What a workflow asks of the apps of an invoice row, as far as they can."""
    tax = unit.app(values["tax_app_id"]).handle.declaration
    invoicing = unit.app(values["invoicing_app_id"]).handle.declaration
    sends = workflow.collection_method is CollectionMethod.SEND_INVOICE and invoicing.can(Capability.SEND)
    return {
        "asks_tax": int(workflow.tax_enabled and tax.can(Capability.CALCULATE_TAX)),
        "asks_send": int(sends),
    }


def content_columns(content: InvoiceContent) -> dict[str, Any]:
    """What is asked of invoices without reading their content, as the invoice row keeps it."""
    period = period_of(content)
    return {
        "total": plain(content.totals.total),
        "has_lines": int(bool(content.lines)),
        "period_start": maybe_micros(period.start if period else None),
    }


def workflow_columns(workflow: WorkflowConfig) -> dict[str, Any]:
    """What the lifecycle reads of a workflow, as the invoice row keeps it."""
    return {
        "auto_advance": int(workflow.auto_advance),
        "collection_method": workflow.collection_method.value,
        "draft_period": format_duration(workflow.draft_period),
        "due_after": format_duration(workflow.due_after),
        "overdue_after_due": int(workflow.overdue_after_due),
    }


def refuse_credit_note(draft: InvoiceDraft) -> None:
    """Raise InvalidInput for a draft that is no invoice."""
    if draft.type is DocumentType.CREDIT_NOTE:
        raise InvalidInput("document_is_credit_note", "This draft is a credit note. Submit it as one.", "/type")


def _dates(unit: Unit, draft: InvoiceDraft, *, mirrored: bool) -> dict[str, int | None]:
    dates = {name: maybe_micros(getattr(draft, name)) for name in DATES}
    return dates if mirrored else {**dates, **stated_columns(draft.issued_at, draft.due_at, unit.now)}


def stated_columns(issued_at: datetime | None, due_at: datetime | None, now: datetime) -> dict[str, int | None]:
    """The dates that a host states, as the invoice row keeps them. Raises InvalidInput for those that can't be."""
    check_dates(issued_at, due_at, now)
    return {"stated_issued_at": maybe_micros(issued_at), "stated_due_at": maybe_micros(due_at)}


def check_dates(issued_at: datetime | None, due_at: datetime | None, now: datetime) -> None:
    """Raise InvalidInput for an invoice of a day to come, or one that would be due before it is issued."""
    if issued_at is not None and issued_at > now + A_DAY:
        raise InvalidInput(
            "issued_at_in_future",
            "An invoice bears no day that is still to come. Submit it on that day, or leave the date out.",
            "/issued_at",
        )
    if due_at is not None and due_at + A_DAY <= (issued_at or now):
        raise InvalidInput(
            "due_before_issued",
            "It would be due before it is issued. State when it was issued, too, or a later due date.",
            "/due_at",
        )


def _collection_at(unit: Unit, draft: InvoiceDraft, workflow: WorkflowConfig) -> Any:
    metered = [
        line.invoice_at or unit.now
        for line in draft.lines
        if line.quantity is None and not isinstance(line.price, FlatPrice)
    ]
    return collection_time(metered, workflow.collection_interval)
