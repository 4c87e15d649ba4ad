"""Rows as public values, and back. Texts that many rows share are parsed once."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from billhook.domain.invoice import LineDraft
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.moments import from_micros, maybe_from_micros, maybe_micros, to_micros
from billhook.engine.records import App, BillingProfile, Customer, CustomerApp, CustomerOverride, Gathering, PendingLine

Stored = dict[str, Any]

_supplier = lru_cache(maxsize=1024)(Supplier.model_validate_json)
_workflow = lru_cache(maxsize=1024)(WorkflowConfig.model_validate_json)
_party = lru_cache(maxsize=4096)(CustomerSnapshot.model_validate_json)


def read_app(row: Any) -> App:
    """The app of a row."""
    return App(
        id=row.id,
        namespace=row.namespace,
        type=row.type,
        name=row.name,
        description=row.description,
        labels=json.loads(row.labels),
        status=row.status,
        enabled=bool(row.enabled),
        settings=json.loads(row.settings),
        mapping=json.loads(row.mapping) if row.mapping else None,
        limits=json.loads(row.limits),
        has_credentials=row.credential_id is not None,
        **_times(row),
    )


def app_values(app: App) -> Stored:
    """The columns of an app but for its credential."""
    return {
        **app.model_dump(include={"id", "namespace", "type", "name", "description"}),
        "labels": dump(app.labels),
        "status": app.status.value,
        "enabled": int(app.enabled),
        "settings": dump(app.settings),
        "mapping": None if app.mapping is None else dump(app.mapping),
        "limits": dump(app.limits),
        **_stored_times(app),
    }


def read_profile(row: Any) -> BillingProfile:
    """The billing profile of a row."""
    return BillingProfile(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        description=row.description,
        is_default=bool(row.is_default),
        supplier=_supplier(row.supplier),
        workflow=_workflow(row.workflow),
        tax_app_id=row.tax_app_id,
        invoicing_app_id=row.invoicing_app_id,
        payment_app_id=row.payment_app_id,
        metadata=json.loads(row.metadata),
        **_times(row),
    )


def profile_values(profile: BillingProfile) -> Stored:
    """The columns of a billing profile."""
    apps = {"tax_app_id", "invoicing_app_id", "payment_app_id"}
    return {
        **profile.model_dump(include={"id", "namespace", "name", "description"} | apps),
        "is_default": int(profile.is_default),
        "supplier": dump_whole(profile.supplier),
        "workflow": dump_whole(profile.workflow),
        "metadata": dump(profile.metadata),
        **_stored_times(profile),
    }


def read_customer(row: Any) -> Customer:
    """The customer of a row."""
    return Customer(
        id=row.id,
        namespace=row.namespace,
        party=_party(row.party),
        description=row.description,
        currency=row.currency,
        metadata=json.loads(row.metadata),
        revision=row.revision,
        **_times(row),
    )


def customer_values(customer: Customer) -> Stored:
    """The columns of a customer. A deleted customer's key is free again; its party still shows it."""
    return {
        **customer.model_dump(include={"id", "namespace", "name", "description", "currency", "revision"}),
        "key": None if customer.deleted_at else customer.key,
        "name": customer.name,
        "party": customer.party.model_dump_json(exclude_defaults=True),
        "metadata": dump(customer.metadata),
        **_stored_times(customer),
    }


def read_override(row: Any) -> CustomerOverride:
    """The customer override of a row."""
    return CustomerOverride(
        customer_id=row.customer_id,
        namespace=row.namespace,
        profile_id=row.profile_id,
        workflow=_workflow(row.workflow) if row.workflow else None,
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
    )


def override_values(override: CustomerOverride) -> Stored:
    """The columns of a customer override."""
    return {
        **override.model_dump(include={"customer_id", "namespace", "profile_id"}),
        "workflow": None if override.workflow is None else dump_stated(override.workflow),
        "created_at": to_micros(override.created_at),
        "updated_at": to_micros(override.updated_at),
    }


def read_customer_app(row: Any) -> CustomerApp:
    """The customer of a row as an app knows it, unchecked: what a provider told is shown as it is."""
    return CustomerApp.model_construct(
        customer_id=row.customer_id,
        app_id=row.app_id,
        external_id=row.external_id,
        payment_method=row.payment_method,
        data=json.loads(row.app_data),
        is_refused=row.failure is not None,
    )


def read_gathering(row: Any) -> Gathering:
    """The gathering of a row."""
    return Gathering(
        id=row.id,
        namespace=row.namespace,
        customer_id=row.customer_id,
        currency=row.currency,
        number=row.number,
        created_at=from_micros(row.created_at),
    )


def read_pending_line(row: Any) -> PendingLine:
    """The pending line of a row joined with its gathering."""
    return PendingLine(
        id=row.id,
        namespace=row.namespace,
        gathering_id=row.gathering_id,
        customer_id=row.customer_id,
        currency=row.currency,
        invoice_at=from_micros(row.invoice_at),
        line=LineDraft.model_validate_json(row.body),
        created_at=from_micros(row.created_at),
    )


def dump(value: Any) -> str:
    """Compact JSON of plain values."""
    return json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False)


def dump_whole(value: BaseModel) -> str:
    """Compact JSON with the defaults of today, so that others tomorrow change nothing."""
    return value.model_dump_json(exclude_none=True)


def dump_stated(value: BaseModel) -> str:
    """Compact JSON of what was stated, so that reading it back states the same."""
    return value.model_dump_json(exclude_unset=True)


def _times(row: Any) -> Stored:
    return {
        "created_at": from_micros(row.created_at),
        "updated_at": from_micros(row.updated_at),
        "deleted_at": maybe_from_micros(row.deleted_at),
    }


def _stored_times(value: App | BillingProfile | Customer) -> Stored:
    return {
        "created_at": to_micros(value.created_at),
        "updated_at": to_micros(value.updated_at),
        "deleted_at": maybe_micros(value.deleted_at),
    }
