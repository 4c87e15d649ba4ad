"""Access to a company by OAuth 2 with refresh tokens that change: developer.intuit.com, "Set up OAuth 2.0".

The requests hold places for the secrets; ``signed`` fills them when sending. An access token lives for an hour. A refresh token changes
about once a day, and dies after a hundred days without use, or five years in all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from billhook.contract import Batch, ConnectionItem, CredentialsResult, Done, Outgoing, Rejected, Reply, Request
from billhook_quickbooks.config import QuickBooksCredentials, QuickBooksSettings
from billhook_quickbooks.refusals import body_of, is_success

SCOPE = "com.intuit.quickbooks.accounting"
REFRESH_TOKEN = "{refresh_token}"  # noqa: S105 - a place for one
CLIENT_ID = "x-billhook-client-id"

_FORM = ("Content-Type", "application/x-www-form-urlencoded")
_ACCEPT = ("Accept", "application/json")

ConnectionBatch = Batch[ConnectionItem, QuickBooksSettings]


def authorization_url(batch: ConnectionBatch) -> str:
    """Where a person grants access. Parameters: ``redirect_uri`` and ``state``."""
    given = batch.only.parameters
    query = {
        "client_id": batch.settings.client_id,
        "response_type": "code",
        "scope": SCOPE,
        "redirect_uri": given["redirect_uri"],
        "state": given["state"],
    }
    return f"{batch.settings.authorization_url}?{urlencode(query, quote_via=quote)}"


def other_company(batch: ConnectionBatch) -> Rejected | None:
    """Why the grant is not for this app: it came back with the ``realmId`` of another company."""
    realm = batch.only.parameters.get("realmId")
    if not batch.settings.account or realm in {None, batch.settings.account}:
        return None
    message = f"Access was granted to company {realm}, the app is for {batch.settings.account}. Choose that one, or install another app."
    return Rejected.because("other_company", message)


def for_granted_company(batch: ConnectionBatch) -> ConnectionBatch:
    """The batch for the company that was granted; until an app has one, only what came back tells it."""
    realm = batch.only.parameters.get("realmId") or batch.settings.account
    return replace(batch, settings=batch.settings.model_copy(update={"account": realm}))


def code_request(batch: ConnectionBatch) -> Request:
    """Turn a code into tokens. Parameters: ``code`` and ``redirect_uri``."""
    given = batch.only.parameters
    form = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": given["redirect_uri"]}
    return _token_request("exchange", batch.settings, form)


def refresh_request(batch: ConnectionBatch) -> Request:
    """New tokens for the refresh token. Until Intuit changes it, the same one is given back and may be sent again."""
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    return _token_request("refresh", batch.settings, form)


def read_tokens(reply: Reply, now: datetime) -> Done[CredentialsResult] | Rejected:
    """The tokens; the refresh token takes the place of the one that was sent."""
    told = body_of(reply)
    if not is_success(reply) or not told.get("access_token"):
        reason = told.get("error") or f"status {reply.status}"
        return Rejected.because("grant_refused", f"Intuit refuses the grant ({reason}). Connect the app again.")
    tokens = {name: str(told[name]) for name in ("access_token", "refresh_token") if told.get(name)}
    return Done(CredentialsResult(tokens, now + timedelta(seconds=int(told["expires_in"]))))


def signed(request: Outgoing, credentials: QuickBooksCredentials) -> Outgoing:
    """The request with its secrets: the client's at the token endpoint, the access token elsewhere."""
    client_id = next((value for name, value in request.headers if name == CLIENT_ID), None)
    if client_id is None:
        return request.with_headers(("Authorization", f"Bearer {credentials.access_token.get_secret_value()}"))
    secret = credentials.client_secret.get_secret_value()
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    place = quote(REFRESH_TOKEN, safe="").encode()
    body = request.body.replace(place, quote(credentials.refresh_token.get_secret_value(), safe="").encode())
    headers = tuple(pair for pair in request.headers if pair[0] != CLIENT_ID)
    return Outgoing(request.method, request.url, (*headers, ("Authorization", f"Basic {basic}")), body)


def _token_request(step: str, settings: QuickBooksSettings, form: Mapping[str, str]) -> Request:
    headers = (_FORM, _ACCEPT, (CLIENT_ID, settings.client_id))
    return Request(step, "POST", settings.token_url, headers, urlencode(form).encode())
