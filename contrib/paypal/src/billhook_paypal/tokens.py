"""Signing in: the app's id and secret for a token, and the token for everything else."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from billhook.contract import CredentialsResult, Done, Outgoing, Rejected, Reply
from billhook_paypal.requests import SIGN_IN_PATH
from billhook_paypal.settings import PaypalCredentials


def sign_in(request: Outgoing, credentials: PaypalCredentials) -> Outgoing:
    """The request with what PayPal lets it in by. Without a token yet it goes bare, is refused, and one is asked for."""
    if request.url.endswith(SIGN_IN_PATH):
        return request.with_headers(("Authorization", f"Basic {_basic(credentials)}"))
    if credentials.access_token is None:
        return request
    return request.with_headers(("Authorization", f"Bearer {credentials.access_token.get_secret_value()}"))


def read_token(reply: Reply, now: datetime) -> Done[CredentialsResult] | Rejected:
    """The token, and when PayPal stops taking it."""
    told = reply.json()
    if reply.status >= 400:
        words = told.get("error_description") or told.get("error") or f"HTTP {reply.status}"
        return Rejected.because("sign_in_refused", f"PayPal refused the app's id and secret: {words}")
    expires_at = now + timedelta(seconds=int(told["expires_in"]))
    return Done(CredentialsResult({"access_token": told["access_token"]}, expires_at))


def _basic(credentials: PaypalCredentials) -> str:
    pair = f"{credentials.client_id.get_secret_value()}:{credentials.client_secret.get_secret_value()}"
    return base64.b64encode(pair.encode()).decode()
