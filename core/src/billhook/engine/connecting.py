"""Connecting apps by a person's consent: OAuth 2 with a code, bound to who asked (state) and to who redeems it (PKCE).

A host sends the person to the address that ``begin`` gives, hands what came back to ``finish``, and keeps the grant. Between the two it
holds the authorization in memory, or with the person's session.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel, create_model

from billhook.contract.declaration import Capability
from billhook.contract.results import Account, AuthorizationResult, ConnectionResult, CredentialsResult
from billhook.engine.app_commands import AppCommands
from billhook.engine.apps import AppHandle
from billhook.engine.arguments import checked
from billhook.engine.connections import Connections
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.records import App
from billhook.errors import ConfigError, Unsupported
from billhook.plugins.handle import ProviderHandle
from billhook.plugins.models import validated

ACCOUNT = "account"
"""The setting in which an app of a provider with several accounts keeps the id of its own."""

Json = Mapping[str, Any]
NOTHING: Json = {}


@dataclass(frozen=True, slots=True)
class Authorization:
    """A person was asked. ``url`` is where they answer; the rest is needed when they come back, once."""

    url: str
    redirect_uri: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)
    app: AppHandle = field(repr=False)
    secrets: Json = field(repr=False)
    is_known: bool
    """Whether an app that is there already is connected again."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The person said yes: what to sign with, and the accounts that it reaches."""

    authorization: Authorization
    secrets: Json = field(repr=False)
    expires_at: datetime | None
    accounts: tuple[Account, ...]


@checked
class Connecting:
    """Connects apps of one namespace."""

    def __init__(
        self, context: Context, namespace: str, apps: AppCommands, connections: Connections, credentials: Credentials
    ) -> None:
        self._context = context
        self._namespace = namespace
        self._apps = apps
        self._connections = connections
        self._credentials = credentials

    def begin(
        self, type: str, *, redirect_uri: str, settings: Json = NOTHING, credentials: Json = NOTHING
    ) -> Authorization:
        """Ask for access to accounts of that provider, to be installed as apps with these settings.

        ``credentials`` are those that the provider's client itself has, such as its secret. Raises Unsupported for a provider that is
        connected in another way, and ConfigError.
        """
        app_id = self._context.new_id(self._context.clock.now())
        handle = self._context.apps.provider(type, app_id)
        _require_consent(handle)
        name = handle.declaration.name
        app = AppHandle(
            id=app_id,
            namespace=self._namespace,
            type=type,
            name=name,
            enabled=True,
            deleted=False,
            status="unauthorized",
            handle=handle,
            settings=validated(_without_account(handle.declaration.settings), settings, f"The settings of {name}"),
            settings_json=dict(settings),
            mapping=None,
            limits=handle.declaration.limits,
            credential_id=None,
        )
        return self._begin(app, redirect_uri, credentials, is_known=False)

    def begin_again(self, app_id: str, *, redirect_uri: str, credentials: Json = NOTHING) -> Authorization:
        """Ask for access anew, for an app whose grant is dead. ``credentials`` replace those of the same names that it has.

        Raises NotFound, Unsupported or ConfigError.
        """
        self._apps.get(app_id)
        with self._context.database.read() as tx:
            app = self._context.apps.get(tx, app_id)
            secrets = self._credentials.load(tx, app.credential_id).secrets if app.credential_id else {}
        _require_consent(app.handle)
        return self._begin(app, redirect_uri, {**secrets, **credentials}, is_known=True)

    def finish(self, authorization: Authorization, returned: Mapping[str, str]) -> Grant:
        """Redeem what the person came back with: the query of the redirect. Raises ConfigError when they said no, or it is not theirs."""
        app = authorization.app
        if not hmac.compare_digest(returned.get("state", "").encode(), authorization.state.encode()):
            raise ConfigError(f"What came back from {app.name} was not asked for here. Begin again.")
        if "code" not in returned:
            reason = returned.get("error_description") or returned.get("error") or "no reason given"
            raise ConfigError(f"{app.name} was not connected: {reason}. Begin again, and grant access.")
        sent = {"redirect_uri": authorization.redirect_uri, "code_verifier": authorization.code_verifier}
        before = app.handle.credentials(authorization.secrets)
        result = self._connections.run(app, Capability.EXCHANGE_CODE, before, {**returned, **sent})
        assert isinstance(result, CredentialsResult)
        secrets = {**authorization.secrets, **result.credentials}
        return Grant(authorization, secrets, result.expires_at, self._accounts(app, secrets, returned))

    def keep(
        self, grant: Grant, accounts: Sequence[Account], *, name: str | None = None, mapping: Json | None = None
    ) -> list[App]:
        """One app for each account, all on this grant and ready. An account that has an app already keeps it. Doing it again is fine.

        For an app that is connected again the accounts say nothing: it keeps its own, and ConfigError is raised when the grant does not
        reach that.
        """
        if grant.authorization.is_known:
            return [self._keep_known(grant)]
        wanted = [
            (settings, account_name, self._app_of(grant.authorization.app, settings))
            for settings, account_name in self._wanted(grant, accounts)
        ]
        kept: list[App] = []
        # What an app that is there knows besides, such as the secret of webhooks, serves those that share the grant with it too.
        for settings, account_name, known in sorted(wanted, key=lambda each: each[2] is None):
            first = kept[0].id if kept else None
            kept.append(self._keep(grant, settings, name or account_name, mapping, known, first))
        return kept

    def _begin(self, app: AppHandle, redirect_uri: str, secrets: Json, *, is_known: bool) -> Authorization:
        state, verifier = self._random_text(), self._random_text()
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        result = self._connections.run(app, Capability.AUTHORIZE_URL, app.handle.credentials(secrets), asked)
        assert isinstance(result, AuthorizationResult)
        return Authorization(result.url, redirect_uri, state, verifier, app, dict(secrets), is_known)

    def _accounts(self, app: AppHandle, secrets: Json, returned: Mapping[str, str]) -> tuple[Account, ...]:
        if not app.handle.declaration.can(Capability.LIST_ACCOUNTS):
            return ()
        result = self._connections.run(app, Capability.LIST_ACCOUNTS, app.handle.credentials(secrets), returned)
        assert isinstance(result, ConnectionResult)
        return result.accounts

    def _wanted(self, grant: Grant, accounts: Sequence[Account]) -> list[tuple[dict[str, Any], str]]:
        app = grant.authorization.app
        if not _knows_accounts(app.handle):
            return [(app.settings_json, app.name)]
        if not accounts:
            raise ConfigError(f"The grant reaches no account at {app.name}. Begin again, and choose one.")
        return [({**app.settings_json, ACCOUNT: account.id}, account.name or app.name) for account in accounts]

    def _keep(
        self, grant: Grant, settings: Json, name: str, mapping: Json | None, known: App | None, first: str | None
    ) -> App:
        if known is not None and first is not None:
            return self._apps.share_credentials(known.id, first)
        if known is not None:
            return self._apps.set_credentials(known.id, grant.secrets, expire_at=grant.expires_at)
        own = NOTHING if first else {"credentials": grant.secrets, "credentials_expire_at": grant.expires_at}
        return self._apps.install(
            grant.authorization.app.type, name=name, settings=settings, mapping=mapping, credentials_of=first, **own
        )

    def _app_of(self, asked: AppHandle, settings: Json) -> App | None:
        """The app that is there for the same account; where a provider knows no accounts, the one with the same settings."""

        def place(given: Json) -> object:
            return given.get(ACCOUNT) if _knows_accounts(asked.handle) else dict(given)

        same_type = (app for app in self._apps.list(page_size=1000).items if app.type == asked.type)
        return next((app for app in same_type if place(app.settings) == place(settings)), None)

    def _keep_known(self, grant: Grant) -> App:
        app = grant.authorization.app
        own = app.settings_json.get(ACCOUNT)
        if grant.accounts and own not in {None, *(account.id for account in grant.accounts)}:
            reached = ", ".join(account.name or account.id for account in grant.accounts)
            raise ConfigError(
                f"The grant reaches {reached}, but not the account {own} of {app.name}. Sign in as somebody who has it, and choose it."
            )
        return self._apps.set_credentials(app.id, grant.secrets, expire_at=grant.expires_at)

    def _random_text(self) -> str:
        return urlsafe_b64encode(self._context.randomness(32)).rstrip(b"=").decode()


def _require_consent(handle: ProviderHandle) -> None:
    declaration = handle.declaration
    if not (declaration.can(Capability.AUTHORIZE_URL) and declaration.can(Capability.EXCHANGE_CODE)):
        raise Unsupported(
            f"{declaration.name} is not connected by a person's consent. Install it with its credentials: billhook apps install {declaration.type}"
        )


def _knows_accounts(handle: ProviderHandle) -> bool:
    return ACCOUNT in handle.declaration.settings.model_fields


def _without_account(settings: type[BaseModel]) -> type[BaseModel]:
    """The settings as they are while nobody knows the account yet."""
    if ACCOUNT not in settings.model_fields or not settings.model_fields[ACCOUNT].is_required():
        return settings
    return create_model(settings.__name__, __base__=settings, **{ACCOUNT: (str, "")})  # type: ignore[call-overload,no-any-return]
