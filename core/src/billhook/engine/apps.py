"""Installed apps as the engine works with them: settings validated, provider loaded, mapping rules compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel

from billhook.contract.declaration import Capability, Declaration, RateLimit
from billhook.domain.invoice import InvoiceView, Line
from billhook.domain.mapping import MappedLine, MappingRules, parse_mapping_rules
from billhook.engine.locks import needed
from billhook.errors import NotFound
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.handle import ProviderHandle
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

MOST_KEPT = 4096
MOST_NAMED = 5

_BY_ID = schema.app.c.id == sa.bindparam("app_id")
_SEEN = sa.select(schema.app.c.updated_at, schema.app.c.status, schema.app.c.enabled).where(_BY_ID)
_STAMP, _NEEDED_STAMP = Query(_SEEN), Query(needed(_SEEN))
_WHOLE = sa.select(schema.app).where(_BY_ID)

Stamp = tuple[int, str, int]
"""What tells one version of an app's row from another. The status moves with a clock that may stand still."""

NO_OVERRIDES: Mapping[str, Sequence[object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AppHandle:
    """One installed app, ready to be worked with. An uninstalled one is still known: old documents refer to it."""

    id: str
    namespace: str
    type: str
    name: str
    enabled: bool
    deleted: bool
    status: str
    handle: ProviderHandle
    settings: BaseModel
    settings_json: dict[str, Any]
    mapping: MappingRules | None
    limits: tuple[RateLimit, ...]
    """The provider's, with as many calls as the host allows where it says so."""
    credential_id: str | None

    @property
    def can_renew(self) -> bool:
        """Whether the app has credentials that its provider can renew."""
        return self.credential_id is not None and self.handle.declaration.can(Capability.REFRESH_CREDENTIALS)


def app_not_found(tx: Transaction, app_id: str, namespace: str) -> NotFound:
    """The error for an id that no app of the namespace has: it names some that there are."""
    app = schema.app
    there = tx.all(
        sa.select(app.c.id, app.c.type, app.c.name)
        .where(app.c.namespace == namespace, app.c.deleted_at.is_(None))
        .order_by(app.c.id)
        .limit(MOST_NAMED)
    )
    return NotFound("app", app_id, namespace, there_are=[f"{row.id} ({row.type}, {row.name})" for row in there])


class Apps:
    """The apps by id. ``overrides`` are the host's, by app id or app type; those for the id are asked first."""

    def __init__(self, catalog: ProviderCatalog, overrides: Mapping[str, Sequence[object]] = NO_OVERRIDES) -> None:
        self.catalog = catalog
        self._overrides = overrides
        self._kept: dict[str, tuple[Stamp, AppHandle]] = {}
        self._handles: dict[str, ProviderHandle] = {}

    def get(self, tx: Transaction, app_id: str) -> AppHandle:
        """The app as this transaction sees it. Raises NotFound, or ProviderLoadError when its provider is gone.

        In a transaction that writes it is not uninstalled before that one ends. What was made of an app is kept until its row changes.
        """
        app = self.find(tx, app_id)
        if app is None:
            raise NotFound("app", app_id)
        return app

    def find(self, tx: Transaction, app_id: str) -> AppHandle | None:
        """As ``get``; None for an id that no app has."""
        stamps = tx.fetch(_NEEDED_STAMP if tx.writes else _STAMP, {"app_id": app_id})
        kept = self._kept.get(app_id)
        if kept is not None and stamps == [kept[0]]:
            return kept[1]
        return self._keep(app_id, tx.first(_WHOLE, {"app_id": app_id})) if stamps else None

    def is_unchanged(self, tx: Transaction, app: AppHandle) -> bool:
        """Whether its row is still what this was made of."""
        stamps, kept = tx.fetch(_STAMP, {"app_id": app.id}), self._kept.get(app.id)
        return kept is not None and stamps == [kept[0]] and kept[1] is app

    def forget(self, app_id: str) -> None:
        """Make the app anew when it is next asked for."""
        self._kept.pop(app_id, None)

    def provider(self, type: str, app_id: str) -> ProviderHandle:
        """The provider with the overrides for that app. Apps with the same overrides share one."""
        key = app_id if app_id in self._overrides else type
        if key not in self._handles:
            overrides = [*self._overrides.get(app_id, ()), *self._overrides.get(type, ())]
            self._handles[key] = self.catalog.handle(type, overrides)
        return self._handles[key]

    def map_line(self, app: AppHandle, line: Line, invoice: InvoiceView) -> MappedLine | None:
        """Where the line goes: by the host's override, by the app's rules, by the provider. None when nobody knows."""
        mapped = app.handle.override_line(line, invoice, app.settings)
        if mapped is None and app.mapping is not None:
            mapped = app.mapping.apply(line, invoice)
        return mapped if mapped is not None else app.handle.provider_line(line, invoice, app.settings)

    def _keep(self, app_id: str, row: Any) -> AppHandle:
        app = self._made(row)
        self._kept[app_id] = ((row.updated_at, row.status, row.enabled), app)
        if len(self._kept) > MOST_KEPT:
            self._kept.pop(next(iter(self._kept)), None)
        return app

    def _made(self, row: Any) -> AppHandle:
        handle = self.provider(row.type, row.id)
        settings_json = json.loads(row.settings)
        return AppHandle(
            id=row.id,
            namespace=row.namespace,
            type=row.type,
            name=row.name,
            enabled=bool(row.enabled),
            deleted=row.deleted_at is not None,
            status=row.status,
            handle=handle,
            settings=handle.settings(settings_json),
            settings_json=settings_json,
            mapping=parse_mapping_rules(row.mapping) if row.mapping else None,
            limits=_limits(handle.declaration, json.loads(row.limits)),
            credential_id=row.credential_id,
        )


def _limits(declaration: Declaration, calls: Mapping[str, int]) -> tuple[RateLimit, ...]:
    return tuple(
        limit.model_copy(update={"calls": calls[limit.name]}) if limit.name in calls else limit
        for limit in declaration.limits
    )
