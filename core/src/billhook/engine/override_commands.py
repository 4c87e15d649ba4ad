"""What single customers get instead of the default profile and its workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from billhook.domain.parsing import parse
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.customer_search import EVERYBODY, CustomerFilter, CustomerOrder, conditions, ordering
from billhook.engine.locks import hold, needed
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import CustomerOverride, Page, ResolvedProfile
from billhook.engine.resolving import resolve, resolved_page
from billhook.engine.stored import override_values, read_override
from billhook.errors import Deleted, InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.statements import Upsert
from billhook.store.transaction import Transaction

_override = schema.customer_override

_COLUMNS = tuple(column.name for column in _override.columns)
_UPSERT = Upsert(_override, key=("customer_id",), columns=_COLUMNS)


@checked
class OverrideCommands:
    """The customer overrides of one namespace."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def set(
        self,
        customer_id: str,
        *,
        profile_id: str | None = None,
        workflow: WorkflowConfig | Mapping[str, Any] | None = None,
    ) -> CustomerOverride:
        """Give the customer another profile, another workflow, or both. Replaces the override that was there.

        Of the workflow only what is stated counts. Raises InvalidInput for nothing to set, NotFound, Deleted for
        a deleted customer, NotAllowed with code ``profile_already_deleted``.
        """
        stated = parse(WorkflowConfig, workflow) if isinstance(workflow, Mapping) else workflow
        return self._context.database.write(lambda tx: self._set(tx, customer_id, profile_id, stated))

    def pin(self, customer_id: str, profile_id: str | None) -> ResolvedProfile:
        """Serve the customer by that profile, or by the default one for None. A workflow that was overridden stays.

        Makes an override where there was none. Raises as ``set``, and NotFound where no profile serves the customer then.
        """
        return self._context.database.write(lambda tx: self.pin_within(tx, customer_id, profile_id))

    def get(self, customer_id: str) -> CustomerOverride:
        """The customer's override. Raises NotFound with code ``customer_override_not_found``."""
        with self._context.database.read() as tx:
            found = self._find(tx, customer_id)
        if found is None:
            raise self._missing(customer_id)
        return found

    def list(
        self, *, profile_id: str | None = None, page: int = 1, page_size: int = PAGE_SIZE
    ) -> Page[CustomerOverride]:
        """The overrides by customer id, of all profiles or of those that name one."""
        select = sa.select(_override).where(_override.c.namespace == self._namespace).order_by(_override.c.customer_id)
        if profile_id is not None:
            select = select.where(_override.c.profile_id == profile_id)
        with self._context.database.read() as tx:
            return read_page(tx, select, read_override, page=page, page_size=page_size)

    def list_customers(
        self,
        wanted: CustomerFilter = EVERYBODY,
        *,
        overridden: bool = False,
        unpinned: bool = False,
        order: CustomerOrder = CustomerOrder.ID,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[ResolvedProfile]:
        """What the next invoice of each customer gets; customers that no profile serves are left out.

        ``overridden``: only customers with an override. ``unpinned``: only those whose override, if any, names no profile.
        """
        asked = [*conditions(self._namespace, wanted)]
        if overridden:
            asked.append(_override.c.customer_id.is_not(None))
        if unpinned:
            asked.append(_override.c.profile_id.is_(None))
        with self._context.database.read() as tx:
            return resolved_page(
                tx, self._namespace, asked, ordering(order, descending=descending), page=page, page_size=page_size
            )

    def delete(self, customer_id: str) -> None:
        """Let the customer have the default again. Raises NotFound with code ``customer_override_not_found``."""
        if not self._context.database.write(
            lambda tx: tx.execute(sa.delete(_override).where(self._of(customer_id))).rowcount
        ):
            raise self._missing(customer_id)

    def resolve(self, customer_id: str) -> ResolvedProfile:
        """What the customer's next invoice gets. Raises NotFound."""
        with self._context.database.read() as tx:
            return resolve(tx, self._namespace, customer_id=customer_id)

    def _set(
        self, tx: Transaction, customer_id: str, profile_id: str | None, workflow: WorkflowConfig | None
    ) -> CustomerOverride:
        self._check(tx, customer_id, profile_id)
        if profile_id is None and (workflow is None or not workflow.model_fields_set):
            raise InvalidInput(
                "override_empty",
                f"The override of customer {customer_id} would change nothing. Give a profile or a workflow, or clear it.",
            )
        return self._save(tx, customer_id, profile_id, workflow)

    def pin_within(self, tx: Transaction, customer_id: str, profile_id: str | None) -> ResolvedProfile:
        """``pin`` as a part of the caller's transaction."""
        self._check(tx, customer_id, profile_id)
        before = self._find(tx, customer_id)
        self._save(tx, customer_id, profile_id, None if before is None else before.workflow)
        return resolve(tx, self._namespace, customer_id=customer_id)

    def _check(self, tx: Transaction, customer_id: str, profile_id: str | None) -> None:
        # The lock keeps a profile from being deleted while it is named here.
        hold(tx, self._namespace, "apps")
        if self._is_deleted(tx, schema.customer, "customer", customer_id):
            raise Deleted(f"The customer {customer_id} is deleted. Name another one.", "customer_deleted")
        if profile_id is not None and self._is_deleted(tx, schema.profile, "billing profile", profile_id):
            raise NotAllowed(
                f"The billing profile {profile_id} is deleted. Name another one.", "profile_already_deleted"
            )

    def _save(
        self, tx: Transaction, customer_id: str, profile_id: str | None, workflow: WorkflowConfig | None
    ) -> CustomerOverride:
        now = self._context.clock.now()
        before = self._find(tx, customer_id)
        override = parse(
            CustomerOverride,
            {
                "customer_id": customer_id,
                "namespace": self._namespace,
                "profile_id": profile_id,
                "workflow": workflow,
                "created_at": now if before is None else before.created_at,
                "updated_at": now,
            },
        )
        values = override_values(override)
        tx.upsert_many(_UPSERT, [tuple(values[name] for name in _COLUMNS)])
        return override

    def _is_deleted(self, tx: Transaction, table: sa.Table, kind: str, id: str) -> bool:
        mine = sa.and_(table.c.id == id, table.c.namespace == self._namespace)
        row = tx.first(needed(sa.select(table.c.deleted_at).where(mine)))
        if row is None:
            raise NotFound(kind, id, self._namespace)
        return row.deleted_at is not None

    def _find(self, tx: Transaction, customer_id: str) -> CustomerOverride | None:
        row = tx.first(sa.select(_override).where(self._of(customer_id)))
        return None if row is None else read_override(row)

    def _of(self, customer_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(_override.c.customer_id == customer_id, _override.c.namespace == self._namespace)

    def _missing(self, customer_id: str) -> NotFound:
        error = NotFound("customer override", customer_id, self._namespace)
        error.code = "customer_override_not_found"
        return error
