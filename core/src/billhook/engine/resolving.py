"""Which profile and which workflow a customer's next invoice gets, in one question to the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from billhook.domain.workflow import WorkflowConfig, with_overrides
from billhook.engine.locks import needed
from billhook.engine.paging import read_page
from billhook.engine.profile_commands import no_default_profile
from billhook.engine.records import BillingProfile, CustomerOverride, Page, ResolvedProfile
from billhook.engine.stored import read_customer, read_override, read_profile
from billhook.errors import Deleted, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_customer, _override, _profile = schema.customer, schema.customer_override, schema.profile


def _labelled(prefix: str, table: sa.Table) -> list[sa.Label[Any]]:
    return [column.label(f"{prefix}_{column.name}") for column in table.columns]


_SERVES = sa.or_(
    _profile.c.id == _override.c.profile_id,
    sa.and_(_override.c.profile_id.is_(None), _profile.c.is_default == 1, _profile.c.deleted_at.is_(None)),
)
_SERVED = (
    sa.select(*_labelled("customer", _customer), *_labelled("override", _override), *_labelled("profile", _profile))
    .select_from(_customer)
    .outerjoin(_override, _override.c.customer_id == _customer.c.id)
    .outerjoin(_profile, sa.and_(_profile.c.namespace == _customer.c.namespace, _SERVES))
)
_WITH_PROFILE = _SERVED.where(_customer.c.namespace == sa.bindparam("customer_namespace"))
_BY_ID = _WITH_PROFILE.where(_customer.c.id == sa.bindparam("customer"))
_BY_KEY = _WITH_PROFILE.where(_customer.c.key == sa.bindparam("customer"))


def resolve(
    tx: Transaction, namespace: str, *, customer_id: str | None = None, customer_key: str | None = None
) -> ResolvedProfile:
    """What the customer's next invoice gets: the override's profile or the default one, its workflow as overridden.

    Name the customer by id or by key. In a transaction that writes it is not deleted before that one ends.

    Raises NotFound for an unknown customer or where no profile serves it, Deleted for a deleted customer.
    """
    select, customer = (_BY_ID, customer_id) if customer_id is not None else (_BY_KEY, customer_key)
    if tx.writes:
        select = needed(select, _customer)
    row = tx.first(select, {"customer_namespace": namespace, "customer": customer})
    if row is None:
        raise NotFound("customer", str(customer), namespace)
    return _resolved(row._asdict(), namespace)


def resolved_page(
    tx: Transaction,
    namespace: str,
    conditions: Sequence[sa.ColumnElement[bool]],
    order: Sequence[sa.ColumnElement[Any]],
    *,
    page: int,
    page_size: int,
) -> Page[ResolvedProfile]:
    """The same for a page of customers; those that no profile serves are left out."""
    served = _SERVED.where(*conditions, _profile.c.id.is_not(None)).order_by(*order)
    return read_page(tx, served, lambda row: _resolved(row._asdict(), namespace), page=page, page_size=page_size)


def _resolved(row: Any, namespace: str) -> ResolvedProfile:
    customer = read_customer(_Part(row, "customer"))
    if customer.deleted_at is not None:
        raise Deleted(f"The customer {customer.id} is deleted. Create another one to invoice it.", "customer_deleted")
    if row["profile_id"] is None:
        raise no_default_profile(namespace)
    profile = read_profile(_Part(row, "profile"))
    override = None if row["override_customer_id"] is None else read_override(_Part(row, "override"))
    return ResolvedProfile(customer, profile, override, _merged(profile, override))


def _merged(profile: BillingProfile, override: CustomerOverride | None) -> WorkflowConfig:
    if override is None or override.workflow is None:
        return profile.workflow
    return with_overrides(profile.workflow, override.workflow)


class _Part:
    """One table's columns of a joined row."""

    __slots__ = ("_prefix", "_row")

    def __init__(self, row: Any, prefix: str) -> None:
        self._row = row
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return self._row[f"{self._prefix}_{name}"]
