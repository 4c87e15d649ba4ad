"""The billing profiles of one namespace: which apps and which workflow its invoices get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.ids import is_ulid
from billhook.domain.parsing import parse
from billhook.domain.party import Supplier
from billhook.domain.workflow import WorkflowConfig, amended
from billhook.engine.apps import app_not_found
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.locks import hold
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import UNCHANGED, BillingProfile, Page, Unchanged
from billhook.engine.stored import profile_values, read_profile
from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_profile, _override = schema.profile, schema.customer_override

NO_METADATA: Mapping[str, str] = MappingProxyType({})
NOTHING_STATED: Mapping[str, Any] = MappingProxyType({})
OPENMETER_DEFAULTS = WorkflowConfig()

Json = Mapping[str, Any]
"""A value in its JSON form; it is validated like the value itself."""


class ProfileOrder(StrEnum):
    """By what profiles are sorted; those that are alike come by id."""

    ID = "id"
    NAME = "name"
    DEFAULT = "is_default"
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@checked
class ProfileCommands:
    """The billing profiles of one namespace. At most one is the default; it serves customers without an override."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def create(
        self,
        name: str,
        *,
        supplier: Supplier | Json,
        tax_app_id: str,
        invoicing_app_id: str,
        payment_app_id: str,
        is_default: bool = False,
        workflow: WorkflowConfig | Json = OPENMETER_DEFAULTS,
        description: str | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> BillingProfile:
        """A new profile. As the default it takes the place of the one before. The three apps may differ.

        Raises NotFound for an app that is not installed in this namespace, InvalidInput for an invoicing app that can't
        issue.
        """
        self._refuse_no_ids(tax_app_id, invoicing_app_id, payment_app_id)
        now = self._context.clock.now()
        profile = parse(
            BillingProfile,
            {
                "id": self._context.new_id(now),
                "namespace": self._namespace,
                "name": name,
                "description": description,
                "is_default": is_default,
                "supplier": supplier,
                "workflow": workflow,
                "tax_app_id": tax_app_id,
                "invoicing_app_id": invoicing_app_id,
                "payment_app_id": payment_app_id,
                "metadata": metadata,
                "created_at": now,
                "updated_at": now,
            },
        )
        return self._context.database.write(lambda tx: self._insert(tx, profile))

    def get(self, profile_id: str) -> BillingProfile:
        """The profile, deleted ones too. Raises NotFound."""
        with self._context.database.read() as tx:
            return self._read(tx, profile_id)

    def list(
        self,
        *,
        include_deleted: bool = False,
        order: ProfileOrder = ProfileOrder.ID,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[BillingProfile]:
        """The profiles, in the order in which they were made unless another is asked for."""
        by = [_profile.c[order.value], _profile.c.id]
        select = (
            sa.select(_profile)
            .where(_profile.c.namespace == self._namespace)
            .order_by(*(column.desc() if descending else column.asc() for column in by))
        )
        if not include_deleted:
            select = select.where(_profile.c.deleted_at.is_(None))
        with self._context.database.read() as tx:
            return read_page(tx, select, read_profile, page=page, page_size=page_size)

    def default(self) -> BillingProfile:
        """The default profile. Raises NotFound with code ``default_profile_not_found``."""
        row_select = sa.select(_profile).where(self._is_default())
        with self._context.database.read() as tx:
            row = tx.first(row_select)
        if row is None:
            raise no_default_profile(self._namespace)
        return read_profile(row)

    def update(
        self,
        profile_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        is_default: bool | Unchanged = UNCHANGED,
        supplier: Supplier | Json | Unchanged = UNCHANGED,
        workflow: WorkflowConfig | Json | Unchanged = UNCHANGED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
    ) -> BillingProfile:
        """Change what is given. The apps stay; invoices that are there keep the workflow they were made with. Nothing new changes nothing.

        Raises NotAllowed with code ``default_profile_cannot_be_unset`` or ``profile_already_deleted``.
        """
        stated = {
            "name": name,
            "description": description,
            "is_default": is_default,
            "supplier": supplier,
            "workflow": workflow,
            "metadata": metadata,
        }
        return self._context.database.write(lambda tx: self._update(tx, profile_id, lambda _profile: _stated(stated)))

    def amend(
        self,
        profile_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        is_default: bool | Unchanged = UNCHANGED,
        supplier: Json = NOTHING_STATED,
        workflow: Json = NOTHING_STATED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
    ) -> BillingProfile:
        """As ``update``, but of supplier and workflow only what is stated changes.

        For callers whose form can't say everything that a profile holds.
        """
        stated_workflow = parse(WorkflowConfig, workflow)
        others = {"name": name, "description": description, "is_default": is_default, "metadata": metadata}

        def changes(profile: BillingProfile) -> dict[str, Any]:
            return {
                **_stated(others),
                "supplier": {**dict(profile.supplier), **supplier},
                "workflow": amended(profile.workflow, stated_workflow),
            }

        return self._context.database.write(lambda tx: self._update(tx, profile_id, changes))

    def delete(self, profile_id: str) -> None:
        """Delete the profile; it stays readable by id. Doing it twice is fine.

        Raises NotAllowed with code ``default_profile_cannot_be_deleted`` or ``profile_referenced``.
        """
        self._context.database.write(lambda tx: self._delete(tx, profile_id))

    def _insert(self, tx: Transaction, profile: BillingProfile) -> BillingProfile:
        hold(tx, self._namespace, "apps")
        self._check_apps(tx, profile)
        if profile.is_default:
            self._demote(tx)
        tx.execute(sa.insert(_profile).values(profile_values(profile)))
        return profile

    def _update(
        self, tx: Transaction, profile_id: str, changes_of: Callable[[BillingProfile], dict[str, Any]]
    ) -> BillingProfile:
        hold(tx, self._namespace, "apps")
        profile = self._read(tx, profile_id)
        if profile.deleted_at is not None:
            raise NotAllowed(
                f"The billing profile {profile_id} is deleted. Create another one.", "profile_already_deleted"
            )
        changes = changes_of(profile)
        if profile.is_default and changes.get("is_default") is False:
            raise NotAllowed(
                f"The default billing profile {profile_id} can't be unset. Make another profile the default instead.",
                "default_profile_cannot_be_unset",
            )
        changed = parse(BillingProfile, {**dict(profile), **changes})
        if changed == profile:
            return profile
        changed = changed.model_copy(update={"updated_at": self._context.clock.now()})
        if changed.is_default and not profile.is_default:
            self._demote(tx)
        return self._save(tx, changed)

    def _delete(self, tx: Transaction, profile_id: str) -> None:
        hold(tx, self._namespace, "apps")
        profile = self._read(tx, profile_id)
        if profile.deleted_at is not None:
            return
        if profile.is_default:
            raise NotAllowed(
                f"The default billing profile {profile_id} can't be deleted. Make another profile the default first.",
                "default_profile_cannot_be_deleted",
            )
        customer_id = tx.scalar(sa.select(_override.c.customer_id).where(_override.c.profile_id == profile_id).limit(1))
        if customer_id is not None:
            raise NotAllowed(
                f"The billing profile {profile_id} can't be deleted: the override of customer {customer_id} names it. "
                "Change the overrides that name it first.",
                "profile_referenced",
            )
        now = self._context.clock.now()
        self._save(tx, profile.model_copy(update={"deleted_at": now, "updated_at": now}))

    def _save(self, tx: Transaction, profile: BillingProfile) -> BillingProfile:
        tx.execute(sa.update(_profile).where(_profile.c.id == profile.id).values(profile_values(profile)))
        return profile

    def _demote(self, tx: Transaction) -> None:
        tx.execute(sa.update(_profile).where(self._is_default()).values(is_default=0))

    def _is_default(self) -> sa.ColumnElement[bool]:
        mine = sa.and_(_profile.c.namespace == self._namespace, _profile.c.deleted_at.is_(None))
        return sa.and_(mine, _profile.c.is_default == 1)

    def _refuse_no_ids(self, *app_ids: str) -> None:
        """Raise NotFound, which names the apps that there are, for a type or a name where an app's id is meant."""
        for app_id in app_ids:
            if not is_ulid(str(app_id)):
                with self._context.database.read() as tx:
                    raise app_not_found(tx, app_id, self._namespace)

    def _check_apps(self, tx: Transaction, profile: BillingProfile) -> None:
        for role in ("tax", "invoicing", "payment"):
            app_id = getattr(profile, f"{role}_app_id")
            app = self._context.apps.find(tx, app_id)
            if app is None or app.namespace != self._namespace or app.deleted:
                raise app_not_found(tx, app_id, self._namespace)
            if role == "invoicing" and not app.handle.declaration.can(Capability.ISSUE):
                raise InvalidInput(
                    "invoicing_app_cannot_issue",
                    f"The app {app.name!r} can't issue invoices: {app.handle.declaration.why_not(Capability.ISSUE)}. "
                    "Choose another app for invoicing.",
                    "/invoicing_app_id",
                )

    def _read(self, tx: Transaction, profile_id: str) -> BillingProfile:
        row = tx.first(sa.select(_profile).where(_profile.c.id == profile_id, _profile.c.namespace == self._namespace))
        if row is None:
            raise NotFound("billing profile", profile_id, self._namespace)
        return read_profile(row)


def _stated(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not UNCHANGED}


def no_default_profile(namespace: str) -> NotFound:
    """The error for a namespace without a default profile."""
    error = NotFound("billing profile", "default", namespace)
    error.code = "default_profile_not_found"
    message = (
        f"There is no default billing profile in namespace {namespace!r}. Make one: "
        "billhook profiles create NAME --supplier SELLER --app APP_ID --default"
    )
    error.args = (message,)
    return error
