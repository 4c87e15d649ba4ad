"""Installing, configuring, switching and uninstalling the apps of one namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from pydantic_core import PydanticSerializationError, to_jsonable_python

from billhook.contract.declaration import Capability
from billhook.contract.events import AppStatusChanged
from billhook.domain.mapping import parse_mapping_rules
from billhook.domain.parsing import parse
from billhook.engine.apps import app_not_found
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.credentials import Credential, Credentials
from billhook.engine.dissolving import dissolve_of_app
from billhook.engine.locks import Lasting, as_seen, in_turn, to_change, to_end
from billhook.engine.moments import MICROSECOND, to_micros
from billhook.engine.open_documents import needs_app
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.records import UNCHANGED, App, AppStatus, Page, Unchanged
from billhook.engine.stored import app_values, read_app
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED
from billhook.errors import ConfigError, Conflict, CredentialKeyError, InUse
from billhook.plugins.handle import ProviderHandle
from billhook.store import schema
from billhook.store.transaction import Transaction
from billhook.store.writer import Job, T

_app, _lease, _work = schema.app, schema.app_lease, schema.work

Json = Mapping[str, Any]
NOTHING: Json = {}


@checked
class AppCommands:
    """The apps of one namespace. What a provider calls its settings and credentials is in its declaration."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace
        self._credentials = Credentials(context.clock, context.credential_keys)

    def install(
        self,
        type: str,
        *,
        name: str | None = None,
        settings: Json = NOTHING,
        credentials: Json | None = None,
        credentials_expire_at: datetime | None = None,
        credentials_of: str | None = None,
        description: str | None = None,
        labels: Mapping[str, str] = NOTHING,
        mapping: Json | None = None,
        limits: Mapping[str, int] = NOTHING,
    ) -> App:
        """A new app of that provider, by the provider's own name where none is given.

        Without the credentials that its provider needs it waits, unauthorized, for ``set_credentials``. With
        ``credentials_of`` it shares those of another app of that provider, as apps for several accounts of one grant
        do. ``limits`` say how many calls the app may make of the provider's limits named there: less than is declared where
        somebody else spends from the same budget, more where the provider granted more. Raises ProviderLoadError for an
        unknown type, and ConfigError for settings or credentials that the provider does not take or a limit that it does not have.
        """
        now = self._context.clock.now()
        app_id = self._context.new_id(now)
        handle = self._context.apps.provider(type, app_id)
        needs_credentials = handle.declaration.credentials is not None
        if credentials is not None:
            handle.credentials(credentials)
        app = parse(
            App,
            {
                "id": app_id,
                "namespace": self._namespace,
                "type": type,
                "name": handle.declaration.name if name is None else name,
                "description": description,
                "labels": labels,
                "status": AppStatus.UNAUTHORIZED if needs_credentials and credentials is None else AppStatus.READY,
                "settings": _accepted_settings(handle, settings),
                "mapping": _accepted_mapping(mapping),
                "limits": _accepted_limits(handle, limits, NOTHING),
                "has_credentials": credentials is not None,
                "created_at": now,
                "updated_at": now,
            },
        )
        if credentials_of is not None:
            return self._write(lambda tx: self._insert_sharing(tx, app, credentials_of))
        return self._context.database.write(lambda tx: self._insert(tx, app, credentials, credentials_expire_at))

    def get(self, app_id: str) -> App:
        """The app, uninstalled ones too. Raises NotFound."""
        with self._context.database.read() as tx:
            return read_app(self._row(tx, app_id))

    def by_id(self, app_ids: Iterable[str]) -> dict[str, App]:
        """Those of the apps that there are in this namespace, uninstalled ones too, by id."""
        columns = tuple(column.name for column in _app.columns)
        with self._context.database.read() as tx:
            rows = tx.select_in(_app, columns, "id", sorted(set(app_ids)))
        found = (read_app(SimpleNamespace(**dict(zip(columns, row, strict=True)))) for row in rows)
        return {app.id: app for app in found if app.namespace == self._namespace}

    def list(self, *, include_deleted: bool = False, page: int = 1, page_size: int = PAGE_SIZE) -> Page[App]:
        """The apps in the order of their installation."""
        select = sa.select(_app).where(_app.c.namespace == self._namespace).order_by(_app.c.id)
        if not include_deleted:
            select = select.where(_app.c.deleted_at.is_(None))
        with self._context.database.read() as tx:
            return read_page(tx, select, read_app, page=page, page_size=page_size)

    def update(
        self,
        app_id: str,
        *,
        name: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        labels: Mapping[str, str] | Unchanged = UNCHANGED,
        settings: Json | Unchanged = UNCHANGED,
        mapping: Json | Unchanged | None = UNCHANGED,
        limits: Mapping[str, int] | Unchanged = UNCHANGED,
    ) -> App:
        """Change what is given. Settings, labels, mapping rules and limits are replaced as a whole.

        None removes the description or the mapping rules. What is being sent keeps the settings it was made with; what
        was refused every time is prepared anew with the new ones.
        """
        stated = {"name": name, "description": description, "labels": labels}
        changes: dict[str, Any] = {field: value for field, value in stated.items() if value is not UNCHANGED}
        if mapping is not UNCHANGED:
            changes["mapping"] = _accepted_mapping(mapping)

        def change(tx: Transaction) -> App:
            app = self._installed(tx, app_id)
            if limits is not UNCHANGED:
                changes["limits"] = _accepted_limits(self._context.apps.provider(app.type, app.id), limits, app.limits)
            if settings is UNCHANGED:
                return self._change(tx, app, changes)
            handle = self._context.apps.provider(app.type, app.id)
            changed = self._change(tx, app, {**changes, "settings": _accepted_settings(handle, settings)})
            unit = Unit(self._context, tx)
            dissolve_of_app(unit, app.id)
            unit.flush()
            return changed

        return self._write(change)

    def disable(self, app_id: str) -> App:
        """Send nothing to the app until it is enabled. Its status stays, its work waits."""
        return self._write(lambda tx: self._switch(tx, app_id, enabled=False))

    def enable(self, app_id: str) -> App:
        """Go on with what waits for the app."""
        return self._write(lambda tx: self._switch(tx, app_id, enabled=True))

    def set_credentials(
        self,
        app_id: str,
        raw: Json,
        *,
        unset: Sequence[str] = (),
        expire_at: datetime | Unchanged | None = UNCHANGED,
    ) -> App:
        """Give the app, and those that share its credentials, new ones. They are ready again, and work that was held goes on.

        Those that are not named stay, except for those under ``unset``, which are taken back. Raises ConfigError, which shows no value.
        """
        return self._write(lambda tx: self._set_credentials(tx, app_id, raw, unset, expire_at))

    def share_credentials(self, app_id: str, other_id: str) -> App:
        """Let the app use the credentials of another app of the same provider, in place of its own. It has that app's status then.

        Raises ConfigError when the other has none, or is of another provider.
        """
        return self._write(lambda tx: self._share(tx, app_id, other_id))

    def uninstall(self, app_id: str) -> None:
        """Take the app away, with its credentials unless another app shares them. Doing it twice is fine.

        Raises InUse while a billing profile or anything open needs the app.
        """
        self._write(lambda tx: self._uninstall(tx, app_id))

    def _write(self, job: Job[T]) -> T:
        """The apps of a namespace are changed one after the other: each change looks at the app as the one before left it."""
        return self._context.database.write(in_turn(self._namespace, "apps", job))

    def _insert(self, tx: Transaction, app: App, credentials: Json | None, expire_at: datetime | None) -> App:
        credential_id = None
        if credentials is not None:
            credential_id = self._context.new_id(app.created_at)
            self._credentials.save(tx, credential_id, self._namespace, app.type, credentials, expire_at)
        return self._store(tx, app, credential_id)

    def _insert_sharing(self, tx: Transaction, app: App, other_id: str) -> App:
        other, credential_id = self._sharable(tx, app, other_id)
        return self._store(
            tx, parse(App, {**dict(app), "status": other.status, "has_credentials": True}), credential_id
        )

    def _sharable(self, tx: Transaction, app: App, other_id: str) -> tuple[App, str]:
        other = self._installed(tx, other_id)
        credential_id = self._row(tx, other_id).credential_id
        if other.type != app.type or credential_id is None:
            raise ConfigError(
                f"{app.name} can't share the credentials of {other.name}: it needs an app of {app.type!r} that has some."
            )
        return other, credential_id

    def _share(self, tx: Transaction, app_id: str, other_id: str) -> App:
        app, before = self._installed(tx, app_id), self._row(tx, app_id).credential_id
        other, credential_id = self._sharable(tx, app, other_id)
        tx.execute(sa.update(_app).where(_app.c.id == app.id).values(credential_id=credential_id))
        if before is not None and not self._sharing(tx, before):
            self._credentials.forget(tx, before)
        shared = self._change(tx, app, {"status": other.status, "has_credentials": True})
        if app.status is not shared.status:
            self._announce(tx, shared)
        self._resume(tx, [app.id])
        return shared

    def _store(self, tx: Transaction, app: App, credential_id: str | None) -> App:
        tx.execute(sa.insert(_app).values(**app_values(app), credential_id=credential_id))
        can_renew = self._context.apps.provider(app.type, app.id).declaration.can(Capability.REFRESH_CREDENTIALS)
        unused = app.created_at + self._context.policy.renew_unused
        next_due = to_micros(unused) if can_renew and credential_id is not None else None
        tx.execute(sa.insert(_lease).values(app_id=app.id, next_due=next_due))
        return app

    def _switch(self, tx: Transaction, app_id: str, *, enabled: bool) -> App:
        app = self._installed(tx, app_id)
        if app.enabled is enabled:
            return app
        app = self._change(tx, app, {"enabled": enabled})
        if enabled:
            self._resume(tx, [app.id])
        self._announce(tx, app)
        return app

    def _set_credentials(
        self, tx: Transaction, app_id: str, raw: Json, unset: Sequence[str], expire_at: datetime | Unchanged | None
    ) -> App:
        app = self._installed(tx, app_id, as_seen)
        credential_id = tx.scalar(sa.select(_app.c.credential_id).where(_app.c.id == app.id))
        before = self._credentials_before(tx, credential_id)
        secrets = _without({**before.secrets, **raw}, unset, app.name)
        self._context.apps.provider(app.type, app.id).credentials(secrets)
        until = _expiry(before, secrets, self._context.clock.now()) if expire_at is UNCHANGED else expire_at
        if credential_id is None:
            credential_id = self._context.new_id(self._context.clock.now())
            self._credentials.save(tx, credential_id, self._namespace, app.type, secrets, until)
            tx.execute(sa.update(_app).where(_app.c.id == app.id).values(credential_id=credential_id))
        else:
            self._credentials.replace(tx, credential_id, secrets, until)
        sharing = [self._authorize(tx, shared_id) for shared_id in self._sharing(tx, credential_id)]
        self._resume(tx, [shared.id for shared in sharing])
        return next(shared for shared in sharing if shared.id == app_id)

    def _credentials_before(self, tx: Transaction, credential_id: str | None) -> Credential:
        """What an app has; nothing where no key opens it, so that it can be given anew."""
        nothing = Credential(0, {}, self._context.clock.now())
        if credential_id is None:
            return nothing
        try:
            return self._credentials.hold(tx, credential_id)
        except CredentialKeyError:
            return nothing

    def _authorize(self, tx: Transaction, app_id: str) -> App:
        app = self._installed(tx, app_id)
        ready = self._change(tx, app, {"status": AppStatus.READY, "has_credentials": True})
        if app.status is not AppStatus.READY:
            self._announce(tx, ready)
        return ready

    def _sharing(self, tx: Transaction, credential_id: str) -> Sequence[str]:
        same_grant = sa.and_(_app.c.credential_id == credential_id, _app.c.deleted_at.is_(None))
        return [row.id for row in tx.all(sa.select(_app.c.id).where(same_grant).order_by(_app.c.id))]

    def _uninstall(self, tx: Transaction, app_id: str) -> None:
        row = self._row(tx, app_id, to_end)
        if row.deleted_at is not None:
            return
        needing = needs_app(tx, self._namespace, app_id)
        if needing is not None:
            raise InUse(
                f"The app {app_id} can't be uninstalled: {needing} needs it. Finish or change that, or disable the app."
            )
        app = self._change(tx, read_app(row), {"deleted_at": self._context.clock.now()})
        tx.execute(sa.delete(_lease).where(_lease.c.app_id == app.id))
        tx.execute(sa.delete(_work).where(_work.c.app_id == app.id, _work.c.state != CLAIMED))
        if row.credential_id is not None and not self._sharing(tx, row.credential_id):
            self._credentials.forget(tx, row.credential_id)

    def _change(self, tx: Transaction, app: App, changes: dict[str, Any]) -> App:
        # Always later than before, even where the clock stands still: what is kept in memory goes by this time.
        updated_at = max(self._context.clock.now(), app.updated_at + MICROSECOND)
        changed = parse(App, {**dict(app), **changes, "updated_at": updated_at})
        tx.execute(sa.update(_app).where(_app.c.id == app.id).values(app_values(changed)))
        tx.after_commit(lambda: self._context.apps.forget(app.id))
        return changed

    def _resume(self, tx: Transaction, app_ids: Sequence[str]) -> None:
        due = to_micros(self._context.clock.now())
        tx.execute(sa.update(_lease).where(_lease.c.app_id.in_(app_ids)).values(next_due=due))
        tx.after_commit(self._context.wakeups.wake)

    def _announce(self, tx: Transaction, app: App) -> None:
        event = AppStatusChanged(app.namespace, app.id, app.status.value, app.enabled, app.updated_at)
        tx.after_commit(lambda: self._context.observers.notify_app_status_changed(event))

    def _installed(self, tx: Transaction, app_id: str, lasting: Lasting = to_change) -> App:
        app = read_app(self._row(tx, app_id, lasting))
        if app.deleted_at is not None:
            raise Conflict(f"The app {app_id} was uninstalled. Install the provider {app.type!r} again.", "app_deleted")
        return app

    def _row(self, tx: Transaction, app_id: str, lasting: Lasting = as_seen) -> Any:
        row = tx.first(lasting(sa.select(_app).where(_app.c.id == app_id, _app.c.namespace == self._namespace)))
        if row is None:
            raise app_not_found(tx, app_id, self._namespace)
        return row


def _without(secrets: Mapping[str, Any], names: Sequence[str], app_name: str) -> dict[str, Any]:
    for name in names:
        if name not in secrets:
            there_are = f"it has {', '.join(secrets)}" if secrets else "it has none"
            raise ConfigError(f"{app_name} has no credential {name!r} to take back: {there_are}.")
    return {name: value for name, value in secrets.items() if name not in names}


def _expiry(before: Credential, secrets: Mapping[str, Any], now: datetime) -> datetime | None:
    """As it was, unless what had expired, or was refused, is changed: then the new ones are tried."""
    is_past = before.expires_at is not None and before.expires_at <= now
    is_changed = any(secrets.get(name) != value for name, value in before.secrets.items())
    return None if is_past and is_changed else before.expires_at


def _accepted_settings(handle: ProviderHandle, settings: Json) -> Json:
    handle.settings(settings)
    try:
        return to_jsonable_python(dict(settings))  # type: ignore[no-any-return]
    except PydanticSerializationError as error:
        raise ConfigError(f"The settings of {handle.declaration.name} must be plain JSON values: {error}.") from None


def _accepted_limits(handle: ProviderHandle, limits: Mapping[str, int], before: Mapping[str, int]) -> Mapping[str, int]:
    declared = [limit.name for limit in handle.declaration.limits]
    for name in limits:
        if name not in declared and name not in before:  # an upgraded provider may have dropped it
            there_are = f"it has {', '.join(declared)}" if declared else "it has none"
            raise ConfigError(f"{handle.declaration.name} has no limit {name!r}: {there_are}.")
    return limits


def _accepted_mapping(mapping: Json | None) -> Json | None:
    if mapping is None:
        return None
    return parse_mapping_rules(mapping).model_dump(mode="json", exclude_defaults=True)
