"""Whether an app's connection works, asked at once and in the caller's thread."""

from __future__ import annotations

from billhook.contract.declaration import Capability
from billhook.contract.results import ConnectionResult
from billhook.engine.apps import AppHandle
from billhook.engine.connecting import ACCOUNT
from billhook.engine.connections import Connections, NotAuthorized, missing_credentials
from billhook.engine.context import Context
from billhook.engine.credentials import Credential, Credentials
from billhook.engine.renewal import Renewals, Renewed
from billhook.errors import ConfigError


def check_connection(
    context: Context, connections: Connections, credentials: Credentials, app_id: str
) -> ConnectionResult:
    """What the app's credentials reach. Those that have expired are renewed first. Raises ConfigError when they don't work."""
    with context.database.read() as tx:
        app = context.apps.get(tx, app_id)
        credential = credentials.load(tx, app.credential_id) if app.credential_id else None
    if not app.handle.declaration.can(Capability.CHECK_CONNECTION):
        return ConnectionResult()
    if credential is None:
        if app.handle.declaration.credentials is not None:
            raise ConfigError(missing_credentials(app.id, app.name, app.handle.declaration))
        return _ask(connections, app, None)
    if not app.can_renew:
        return _ask(connections, app, credential)
    return _ask_and_renew(context, connections, credentials, app, credential)


def _ask_and_renew(
    context: Context, connections: Connections, credentials: Credentials, app: AppHandle, credential: Credential
) -> ConnectionResult:
    now = context.clock.now()
    if credential.expires_at is not None and credential.expires_at <= now:
        return _ask(connections, app, _renewed(context, connections, credentials, app, credential))
    try:
        return _ask(connections, app, credential)
    except NotAuthorized:
        return _ask(connections, app, _renewed(context, connections, credentials, app, credential))


def _renewed(
    context: Context, connections: Connections, credentials: Credentials, app: AppHandle, old: Credential
) -> Credential:
    owner = context.new_id(context.clock.now())
    with context.database.liveness.claim(owner):
        renewal = Renewals(context, connections, credentials, owner).renew(app, old.version)
    if isinstance(renewal, Renewed):
        return renewal.credential
    raise ConfigError(f"The credentials of {app.name} could not be renewed: {renewal.reason}")


def _ask(connections: Connections, app: AppHandle, credential: Credential | None) -> ConnectionResult:
    secrets = app.handle.credentials(credential.secrets) if credential is not None else None
    result = connections.run(app, Capability.CHECK_CONNECTION, secrets)
    assert isinstance(result, ConnectionResult)
    _refuse_another_account(app, result)
    return result


def _refuse_another_account(app: AppHandle, result: ConnectionResult) -> None:
    account, reached = getattr(app.settings, ACCOUNT, None), [each.id for each in result.accounts]
    if account and reached and account not in reached:
        raise ConfigError(
            f"The credentials of {app.name} work, but reach {', '.join(reached)}, and its setting {ACCOUNT} is {account}. "
            f"Install an app for the account that is meant, or connect this one again: billhook apps connect {app.id}"
        )
