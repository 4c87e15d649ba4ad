"""The sandbox with access tokens that last half an hour and refresh tokens that are good for one use: its system."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from broken.renewing import RENEWAL

from billhook.testing.sandbox.desk import SandboxRules
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.simulator.books import Connection
from billhook.testing.simulator.messages import SimReply, SimRequest

LIFE = timedelta(minutes=30)
MOMENT = timedelta(seconds=1)


class RotatingServer(SandboxSimulator):
    """A token lasts half an hour; a refresh token gets the next pair, once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._ends: dict[str, datetime] = {}
        self._unspent: set[str] = set()
        self._pairs = 0

    def connection(self, url: str) -> Connection:
        connection = super().connection(url)
        told = {**connection.credentials, **self._pair(self.clock.now())}
        return replace(connection, credentials=told)

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if request.path == RENEWAL or now < self._ends.get(token, now):
            return None
        return SimReply.error(401, "unauthorized", "The token is not known, or it has expired.")

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        if request.path != RENEWAL:
            return super().answer(request, now)
        token = json.loads(request.body)["refresh_token"]
        if token not in self._unspent:
            return SimReply.error(400, "invalid_grant", "That refresh token was used.")
        self._unspent.remove(token)
        return SimReply.of(200, {**self._pair(now), "expires_in": int(LIFE.total_seconds())})

    def _pair(self, now: datetime) -> dict[str, str]:
        self._pairs += 1
        token, refresh_token = f"token-{self._pairs}", f"refresh-{self._pairs}"
        self._ends[token] = now + LIFE
        self._unspent.add(refresh_token)
        return {"token": token, "refresh_token": refresh_token}


def rotating_server(*, hurried: bool = False, currency: str | None = None, **options: Any) -> RotatingServer:
    """As the sandbox's own is made."""
    return RotatingServer(rules=SandboxRules(settle_after=MOMENT) if hurried else SandboxRules(), **options)
