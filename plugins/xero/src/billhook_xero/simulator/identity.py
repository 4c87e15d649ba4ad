"""Xero's identity service: codes, access tokens of thirty minutes, and refresh tokens that are replaced at every use.

A refresh token that was replaced may be sent again for thirty minutes, so that a lost answer loses nothing. One that nobody uses dies after sixty days (developer.xero.com, "OAuth 2.0 FAQ").
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from billhook.testing.simulator import SimReply, SimRequest
from billhook_xero.simulator.ledger import Ledger
from billhook_xero.simulator.rules import XeroRules
from billhook_xero.simulator.wire import EPOCH, answered

AUTHORIZE, TOKEN, CONNECTIONS = "/identity/connect/authorize", "/connect/token", "/connections"
_CODE_LASTS = timedelta(minutes=5)


class Identity:
    """Gives and checks tokens."""

    def __init__(self, ledger: Ledger, rules: XeroRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def is_let_in(self, token: str, now: datetime) -> bool:
        """Whether that access token is good."""
        return token in self._rules.tokens or self._live(token, "access", now) is not None

    def answer(self, request: SimRequest, now: datetime) -> SimReply | None:
        """The answer of the identity service, None where the request is not for it."""
        if request.path == AUTHORIZE:
            return self._authorize(request, now)
        if request.path == TOKEN and request.method == "POST":
            return self._token(request, now)
        if request.path == CONNECTIONS:
            return self._connections(request, now)
        return None

    def revoke_all(self) -> None:
        """As if a person had disconnected the app."""
        with self._ledger.transaction() as tx:
            tx.execute("DELETE FROM tokens")

    def _authorize(self, request: SimRequest, now: datetime) -> SimReply:
        """A person who says yes at once."""
        redirect = request.param("redirect_uri") or ""
        if request.param("client_id") != self._rules.client_id or not redirect:
            return answered({"error": "unauthorized_client"}, 400)
        challenge = request.param("code_challenge") or ""
        code = self._give("code", self._new_family(), now + _CODE_LASTS, json.dumps([redirect, challenge]))
        query = urlencode({"code": code, "state": request.param("state") or ""})
        return SimReply(302, (("Location", f"{redirect}?{query}"),))

    def _token(self, request: SimRequest, now: datetime) -> SimReply:
        form = dict(parse_qsl(request.body.decode()))
        if not self._is_client(request, form):
            return answered({"error": "invalid_client"}, 401 if request.header("Authorization") else 400)
        grant = form.get("grant_type")
        if grant == "client_credentials":
            return self._custom(now)
        if grant == "authorization_code":
            return self._exchanged(form, now)
        if grant == "refresh_token":
            return self._refreshed(form.get("refresh_token", ""), now)
        return answered({"error": "unsupported_grant_type"}, 400)

    def _is_client(self, request: SimRequest, form: Mapping[str, str]) -> bool:
        told = (request.header("Authorization") or "").removeprefix("Basic ")
        if told:
            wanted = f"{self._rules.client_id}:{self._rules.client_secret}"
            return told == base64.b64encode(wanted.encode()).decode()
        # An app with PKCE has no secret, and says who it is in the form.
        return form.get("client_id") == self._rules.client_id

    def _custom(self, now: datetime) -> SimReply:
        access = self._give("access", self._new_family(), now + self._rules.access_lasts)
        return answered({"access_token": access, "expires_in": self._seconds, "token_type": "Bearer"})

    def _exchanged(self, form: Mapping[str, str], now: datetime) -> SimReply:
        code = form.get("code", "")
        told = self._live(code, "code", now)
        redirect, challenge = json.loads(told[1]) if told else ("", "")
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proven = not challenge or base64.urlsafe_b64encode(verifier).decode().rstrip("=") == challenge
        if told is None or redirect != form.get("redirect_uri") or not proven:
            return answered({"error": "invalid_grant"}, 400)
        with self._ledger.transaction() as tx:
            tx.execute("DELETE FROM tokens WHERE token = ?", (code,))
            return self._pair(told[0], now)

    def _refreshed(self, token: str, now: datetime) -> SimReply:
        rows = self._ledger.read(
            "SELECT family, until, replaced_at FROM tokens WHERE token = ? AND kind = 'refresh'", (token,)
        )
        if not rows:
            return answered({"error": "invalid_grant"}, 400)
        ((family, until, replaced_at),) = rows
        if until <= _seconds(now) or (replaced_at is not None and self._is_stale(replaced_at, now)):
            return answered({"error": "invalid_grant"}, 400)
        with self._ledger.transaction() as tx:
            tx.execute(
                "UPDATE tokens SET replaced_at = ? WHERE token = ? AND replaced_at IS NULL", (_seconds(now), token)
            )
            return self._pair(family, now)

    def _is_stale(self, replaced_at: int, now: datetime) -> bool:
        return replaced_at + int(self._rules.old_refresh_works.total_seconds()) <= _seconds(now)

    def _pair(self, family: str, now: datetime) -> SimReply:
        access = self._give("access", family, now + self._rules.access_lasts)
        refresh = self._give("refresh", family, now + self._rules.refresh_lasts)
        return answered(
            {"access_token": access, "refresh_token": refresh, "expires_in": self._seconds, "token_type": "Bearer"}
        )

    @property
    def _seconds(self) -> int:
        return int(self._rules.access_lasts.total_seconds())

    def _new_family(self) -> str:
        """All tokens of one grant are one family."""
        return f"grant {self._ledger.count('identity', 'grant')}"

    def _give(self, kind: str, family: str, until: datetime, detail: str = "") -> str:
        with self._ledger.transaction() as tx:
            token = f"{kind}-{uuid.uuid5(uuid.NAMESPACE_URL, f'{family}/{self._ledger.count(family, kind)}')}"
            tx.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, NULL, ?)", (token, kind, family, _seconds(until), detail)
            )
        return token

    def _live(self, token: str, kind: str, now: datetime) -> tuple[str, str] | None:
        rows = self._ledger.read(
            "SELECT family, redirect FROM tokens WHERE token = ? AND kind = ? AND until > ?",
            (token, kind, _seconds(now)),
        )
        return rows[0] if rows else None

    def _connections(self, request: SimRequest, now: datetime) -> SimReply:
        if not self.is_let_in((request.header("Authorization") or "").removeprefix("Bearer "), now):
            return answered({"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired"}, 401)
        return answered(
            [
                {
                    "id": str(uuid.uuid5(uuid.NAMESPACE_URL, org.tenant)),
                    "tenantId": org.tenant,
                    "tenantType": "ORGANISATION",
                    "tenantName": org.name,
                }
                for org in self._rules.organisations
            ]
        )


def _seconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(seconds=1)
