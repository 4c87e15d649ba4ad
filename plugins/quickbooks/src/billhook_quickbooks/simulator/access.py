"""Who is let in: OAuth 2 with refresh tokens that change (developer.intuit.com, "Set up OAuth 2.0"; "Refresh tokens")."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from billhook.testing.simulator import SimReply, SimRequest
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.wire import Refused, answer

AUTHORIZE_PATH = "/connect/oauth2"
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105 - a path

_CODE_VALID_FOR = timedelta(minutes=10)


class Access:
    """Grants, and checks access tokens."""

    def __init__(self, ledger: Ledger, rules: CompanyRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def check(self, request: SimRequest, now: datetime) -> None:
        """Raise Refused for a token that is not known or over its hour."""
        token = _token_of(request)
        if token in self._rules.access_tokens or token in self._rules.other_apps_tokens:
            return
        found = self._ledger.grant(token)
        if found is None or found[0] != "access" or found[2] <= now:
            raise Refused(
                "3200", "message=AuthenticationFailed; errorCode=003200; statusCode=401", "Token expired", status=401
            )

    def app_of(self, request: SimRequest) -> str:
        """Which developer's app calls: ours, or the one that such a token was given to."""
        token = _token_of(request)
        return token if token in self._rules.other_apps_tokens else self._rules.client_id

    def authorize(self, request: SimRequest, now: datetime) -> SimReply:
        """A person who says yes: back to where they came from, with a code and the company."""
        target, state = request.param("redirect_uri"), request.param("state")
        if request.param("client_id") != self._rules.client_id or not target:
            return answer(400, {"error": "invalid_request"})
        code = self._new("code", now, now + _CODE_VALID_FOR)
        query = urlencode({"code": code, "state": state or "", "realmId": self._rules.realm})
        return SimReply(302, (("Location", f"{target}?{query}"),))

    def tokens(self, request: SimRequest, now: datetime) -> SimReply:
        """Tokens for a code or for a refresh token."""
        basic = f"{self._rules.client_id}:{self._rules.client_secret}"
        if request.header("Authorization") != f"Basic {base64.b64encode(basic.encode()).decode()}":
            return answer(401, {"error": "invalid_client"})
        form = dict(parse_qsl(request.body.decode()))
        with self._ledger.transaction():
            if form.get("grant_type") == "authorization_code":
                return self._for_code(form.get("code", ""), now)
            return self._for_refresh_token(form.get("refresh_token", ""), now)

    def _for_code(self, code: str, now: datetime) -> SimReply:
        found = self._ledger.grant(code)
        if found is None or found[0] != "code" or found[2] <= now:
            return answer(400, {"error": "invalid_grant"})
        self._ledger.replace_grant(code, "used", now)
        return self._given(self._new("refresh", now, now + self._rules.refresh_valid_for), now)

    def _for_refresh_token(self, token: str, now: datetime) -> SimReply:
        if token == self._rules.refresh_token and self._ledger.grant(token) is None:
            self._ledger.put_grant(token, "refresh", now, now + self._rules.refresh_valid_for)
        found = self._ledger.grant(token)
        if found is None or found[0] != "refresh" or found[2] <= now:
            return answer(400, {"error": "invalid_grant", "error_description": "Token invalid"})
        _, made_at, _, replaced_by = found
        if replaced_by is not None:
            return self._given(replaced_by, now)
        if now < made_at + self._rules.refresh_changes_after:
            return self._given(token, now)
        newer = self._new("refresh", now, now + self._rules.refresh_valid_for)
        self._ledger.replace_grant(token, newer, now + self._rules.old_refresh_valid_for)
        return self._given(newer, now)

    def _given(self, refresh_token: str, now: datetime) -> SimReply:
        lasts = self._rules.access_valid_for
        told = {
            "token_type": "bearer",
            "access_token": self._new("access", now, now + lasts),
            "expires_in": lasts // timedelta(seconds=1),
            "refresh_token": refresh_token,
            "x_refresh_token_expires_in": self._rules.refresh_valid_for // timedelta(seconds=1),
        }
        return answer(200, told)

    def _new(self, kind: str, now: datetime, dies_at: datetime) -> str:
        token = f"simulated-{kind}-{self._ledger.count_grants() + 1}"
        self._ledger.put_grant(token, kind, now, dies_at)
        return token


def _token_of(request: SimRequest) -> str:
    return (request.header("Authorization") or "").removeprefix("Bearer ")
