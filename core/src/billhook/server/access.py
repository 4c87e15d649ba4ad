"""Who may call: bearer tokens, each bound to one namespace and one role.

Every call of the API is identified before its body is read. A route then says what it needs by the type of its first argument:
``billing: Reading``, ``Integrating`` or ``Administering`` gives it the caller's own namespace, and no other.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.tokens import Caller, Role, Tokens
from billhook.server.paths import is_api
from billhook.server.problems import Refusal

CALLER = "billhook.caller"

_bearer = HTTPBearer(auto_error=False, description="A token made with: billhook tokens create")


class Gate:
    """Lets nobody into the API without a valid token."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Refusal (401)."""
        if scope["type"] == "http" and is_api(scope):
            scope[CALLER] = await self._identify(scope)
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> Caller:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("Send a token: Authorization: Bearer TOKEN.")
        caller = self._tokens.recall(token) or await run_in_threadpool(self._tokens.identify, token)
        if caller is None:
            raise _unauthorized("This token is unknown or revoked. Ask an administrator for another one.")
        return caller


def namespace_of(engine: Engine, scope: Scope, needed: Role) -> Namespace:
    """The caller's namespace. Raises Refusal (403) where its role is too low."""
    caller: Caller = scope[CALLER]
    if not caller.role.covers(needed):
        raise Refusal(
            403, "forbidden", f"This needs the role {needed}; this token has the role {caller.role}. Use another token."
        )
    return engine.namespace(caller.namespace)


class _Needs:
    """A dependency of a route: the caller's namespace, given at least this role."""

    def __init__(self, role: Role) -> None:
        self._role = role

    async def __call__(self, request: Request) -> Namespace:
        return namespace_of(request.app.state.engine, request.scope, self._role)


def _unauthorized(detail: str) -> Refusal:
    return Refusal(401, "unauthorized", detail, {"WWW-Authenticate": 'Bearer realm="billhook"'})


async def _documented(_: Annotated[object, Security(_bearer)]) -> None:
    """What the OpenAPI document says of tokens; the gate has looked at them already."""


Documented = Depends(_documented)
Reading = Annotated[Namespace, Depends(_Needs(Role.READ))]
Integrating = Annotated[Namespace, Depends(_Needs(Role.INTEGRATE))]
Administering = Annotated[Namespace, Depends(_Needs(Role.ADMIN))]
