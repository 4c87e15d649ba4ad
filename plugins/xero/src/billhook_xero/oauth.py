"""Access to Xero: OAuth 2 with rotating refresh tokens, or a custom connection of one organisation.

The requests hold places for the secrets; ``signed`` fills them when sending.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import SecretStr

from billhook.contract import (
    Account,
    Batch,
    ConnectionItem,
    ConnectionResult,
    CredentialsResult,
    Done,
    Outgoing,
    Rejected,
    Reply,
    Request,
)
from billhook_xero.config import Connection, XeroCredentials, XeroSettings
from billhook_xero.refusals import is_success, json_of, refused

TOKEN_PATH = "/connect/token"  # noqa: S105 - an address
REFRESH_TOKEN = "{refresh_token}"  # noqa: S105 - a place for one
CLIENT_ID = "x-billhook-client-id"

_FORM = ("Content-Type", "application/x-www-form-urlencoded")
_ACCEPT = ("Accept", "application/json")

ConnectionBatch = Batch[ConnectionItem, XeroSettings]


def authorization_url(batch: ConnectionBatch) -> str:
    """Where a person grants access (developer.xero.com, "The standard authorization code flow").

    Parameters: ``redirect_uri``, ``state``, and with PKCE ``code_challenge``.
    """
    given, settings = batch.only.parameters, batch.settings
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": given["redirect_uri"],
        "scope": " ".join(settings.scopes),
        "state": given["state"],
    }
    if "code_challenge" in given:
        query |= {"code_challenge": given["code_challenge"], "code_challenge_method": "S256"}
    return f"{settings.login_url}/identity/connect/authorize?{urlencode(query, quote_via=quote)}"


def code_request(batch: ConnectionBatch) -> Request:
    """Turn a code into tokens. Parameters: ``code``, ``redirect_uri``, and with PKCE ``code_verifier``."""
    given = batch.only.parameters
    form = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": given["redirect_uri"]}
    if "code_verifier" in given:
        form["code_verifier"] = given["code_verifier"]
    return _token_request("exchange", batch.settings, form)


def refresh_request(batch: ConnectionBatch) -> Request:
    """New tokens: for the refresh token, or for the client's own credentials where the connection is custom.

    A refresh token whose answer was lost may be sent again for thirty minutes (developer.xero.com, "OAuth 2.0 FAQ").
    """
    if batch.settings.connection is Connection.CUSTOM:
        scopes = " ".join(scope for scope in batch.settings.scopes if scope != "offline_access")
        return _token_request("refresh", batch.settings, {"grant_type": "client_credentials", "scope": scopes})
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    return _token_request("refresh", batch.settings, form)


def _token_request(step: str, settings: XeroSettings, form: Mapping[str, str]) -> Request:
    return Request(
        step,
        "POST",
        f"{settings.identity_url}{TOKEN_PATH}",
        headers=(_FORM, _ACCEPT, (CLIENT_ID, settings.client_id)),
        body=urlencode(form).encode(),
    )


def accounts_request(batch: ConnectionBatch) -> Request:
    """The organisations that the tokens reach."""
    sample = Reply.of([{"tenantId": "sample", "tenantName": "Sample"}], source="sample")
    return Request("connections", "GET", f"{batch.settings.api_url}/connections", (_ACCEPT,), sample=sample)


def read_tokens(reply: Reply, now: datetime) -> Done[CredentialsResult] | Rejected:
    """The tokens. A refresh token replaces the one that was sent."""
    if not is_success(reply):
        return refused(reply)
    told = json_of(reply)
    tokens = {name: told[name] for name in ("access_token", "refresh_token") if told.get(name)}
    return Done(CredentialsResult(tokens, now + timedelta(seconds=int(told["expires_in"]))))


def read_accounts(reply: Reply) -> Done[ConnectionResult] | Rejected:
    """The organisations, by tenant id."""
    if not is_success(reply):
        return refused(reply)
    told: Sequence[Mapping[str, Any]] = reply.json()
    return Done(ConnectionResult(tuple(Account(each["tenantId"], each.get("tenantName") or "") for each in told)))


def signed(request: Outgoing, credentials: XeroCredentials) -> Outgoing:
    """The request with its secrets: client credentials at the token endpoint, the access token elsewhere."""
    if urlsplit(request.url).path.endswith(TOKEN_PATH):
        return _with_client(request, credentials)
    if credentials.access_token is None:
        # Xero answers 401, and the first token is asked for.
        return request
    return request.with_headers(("Authorization", f"Bearer {_secret(credentials.access_token)}"))


def _with_client(request: Outgoing, credentials: XeroCredentials) -> Outgoing:
    client_id = next(value for name, value in request.headers if name == CLIENT_ID)
    form = {
        name: _secret(credentials.refresh_token) if value == REFRESH_TOKEN else value
        for name, value in parse_qsl(request.body.decode())
    }
    headers = tuple(pair for pair in request.headers if pair[0] != CLIENT_ID)
    if credentials.client_secret is None:
        body = urlencode({**form, "client_id": client_id}).encode()
        return Outgoing(request.method, request.url, headers, body)
    basic = base64.b64encode(f"{client_id}:{_secret(credentials.client_secret)}".encode()).decode()
    filled = Outgoing(request.method, request.url, headers, urlencode(form).encode())
    return filled.with_headers(("Authorization", f"Basic {basic}"))


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value()
