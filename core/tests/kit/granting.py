"""A provider that has to be asked for access: grants that reach several accounts, access tokens that expire, refresh tokens that rotate.

``GrantServer`` is its side. It answers in process as a transport, or over HTTP. It notes whatever should never happen.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from billhook.clock import Clock
from billhook.contract import (
    Account,
    AuthorizationResult,
    Batch,
    Capability,
    ConnectionResult,
    CredentialsResult,
    Declaration,
    DocumentResult,
    Done,
    Full,
    InstallMethod,
    Key,
    OperationRules,
    Outgoing,
    Provider,
    Rejected,
    Repeat,
    Reply,
    Request,
    encode_json,
    hookimpl,
)
from billhook.engine.effects import Arrived, Lost, Transmission

HOST = "http://grants"
CLIENT, CLIENT_SECRET = "client-1", "client-secret-of-ours"
LIFETIME = timedelta(minutes=30)


@dataclass
class Grant:
    """What one person allowed: some accounts, one chain of refresh tokens."""

    name: str
    accounts: tuple[str, ...]
    refresh_token: str
    used_at: datetime
    """When it was granted, or its refresh token last replaced."""
    spent: dict[str, datetime] = field(default_factory=dict)
    """Refresh tokens that were used, and when for the first time."""
    access: dict[str, datetime] = field(default_factory=dict)
    is_dead: bool = False


class GrantServer:
    """The provider's side. ``grace``: for so long after its use a refresh token may be tried again. A grant that nobody renews for as long
    as ``disuse`` dies.
    """

    def __init__(self, clock: Clock, *, grace: timedelta = LIFETIME, disuse: timedelta = timedelta(days=60)) -> None:
        self.clock = clock
        self.grace = grace
        self.disuse = disuse
        self.grants: dict[str, Grant] = {}
        self.documents: list[tuple[str, str]] = []
        """(account, reference) of what was made."""
        self.mistakes: list[str] = []
        self.refreshes = 0
        self.refusals = 0
        self.fault: Callable[[str], str | None] = lambda place: None
        """Asked before ("refresh") and after ("refreshed") a refresh, and before a code is redeemed: lose it, or answer with a failure?"""
        self.challenges: dict[str, tuple[str, str]] = {}
        self._refreshing: set[str] = set()
        self._keys: dict[str, Reply] = {}
        self._lock = threading.Lock()
        self._count = 0

    # What the tests do.

    def grant(self, name: str, *accounts: str) -> dict[str, str]:
        """A person allows it. Gives the credentials of the grant."""
        self.grants[name] = Grant(name, accounts, self._new("refresh", name), self.clock.now())
        return {"client_secret": CLIENT_SECRET, **self._pair(self.grants[name])}

    def revoke(self, name: str) -> None:
        """The person takes it back."""
        self.grants[name].is_dead = True
        self.grants[name].access.clear()

    def expire_access(self) -> None:
        """No access token that is out is taken any more."""
        for grant in self.grants.values():
            grant.access.clear()

    # The transport.

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """In process."""
        is_refresh = request.url.endswith("/token") and b"grant_type=refresh_token" in request.body
        if is_refresh and self.fault("refresh"):
            return Lost("the connection broke")
        if b"grant_type=authorization_code" in request.body and self.fault("redeem"):
            return Lost("the connection broke")
        reply = self.answer(request)
        if is_refresh and self.fault("refreshed"):
            return Lost("the connection broke")
        return Arrived(reply)

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Over HTTP on loopback. Gives the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    # The answers.

    def answer(self, request: Outgoing) -> Reply:
        """What is asked."""
        parts = urlsplit(request.url)
        headers = {name.lower(): value for name, value in request.headers}
        with self._lock:
            if parts.path == "/authorize":
                return self._authorize(dict(parse_qsl(parts.query)))
            if parts.path == "/token":
                return self._token(headers, dict(parse_qsl(request.body.decode())))
            return self._api(parts.path, headers, request)

    def _authorize(self, query: dict[str, str]) -> Reply:
        """A person who says yes, or no to the client ``denied``."""
        back = query["redirect_uri"]
        if query["client_id"] == "denied":
            told = {"error": "access_denied", "state": query["state"]}
            return Reply(302, (("location", f"{back}?{urlencode(told)}"),))
        code = self._new("code", "person")
        self.challenges[code] = (query["code_challenge"], back)
        return Reply(302, (("location", f"{back}?{urlencode({'code': code, 'state': query['state']})}"),))

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> Reply:
        wanted = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        if headers.get("authorization") != f"Basic {wanted}":
            return Reply.of({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "authorization_code":
            return self._exchange(form)
        return self._refresh(form["refresh_token"])

    def _exchange(self, form: dict[str, str]) -> Reply:
        challenge, back = self.challenges.pop(form["code"], ("", ""))
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge or back != form["redirect_uri"]:
            return Reply.of({"error": "invalid_grant"}, status=400)
        grant = Grant("person", ("north", "south", "west"), self._new("refresh", "person"), self.clock.now())
        self.grants["person"] = grant
        return Reply.of({**self._pair(grant), "expires_in": int(LIFETIME.total_seconds())})

    def _refresh(self, token: str) -> Reply:
        self.refreshes += 1
        now = self.clock.now()
        for grant in self.grants.values():
            if grant.is_dead or now >= grant.used_at + self.disuse:
                continue
            if token == grant.refresh_token:
                grant.spent[token] = grant.used_at = now
                grant.refresh_token = self._new("refresh", grant.name)
                return Reply.of({**self._pair(grant), "expires_in": int(LIFETIME.total_seconds())})
            if token in grant.spent:
                return self._refresh_again(grant, token, now)
        self.refusals += 1
        return Reply.of({"error": "invalid_grant"}, status=400)

    def _refresh_again(self, grant: Grant, token: str, now: datetime) -> Reply:
        """A token that was used: honoured for a while, while none of its successors was used."""
        is_last = list(grant.spent)[-1] == token
        if not is_last or now >= grant.spent[token] + self.grace:
            self.mistakes.append(f"{grant.name}: the refresh token {token} was used after its successor or its grace")
            self.refusals += 1
            return Reply.of({"error": "invalid_grant"}, status=400)
        return Reply.of({**self._pair(grant), "expires_in": int(LIFETIME.total_seconds())})

    def _pair(self, grant: Grant) -> dict[str, str]:
        access = self._new("access", grant.name)
        grant.access[access] = self.clock.now() + LIFETIME
        return {"access_token": access, "refresh_token": grant.refresh_token}

    def _api(self, path: str, headers: dict[str, str], request: Outgoing) -> Reply:
        grant = self._grant_of(headers.get("authorization", "").removeprefix("Bearer "))
        if grant is None:
            return Reply.of({"error": "token"}, status=401)
        if path == "/accounts":
            return Reply.of([{"id": account, "name": account.title()} for account in grant.accounts])
        account = path.split("/")[2]
        if account not in grant.accounts:
            self.mistakes.append(f"{account} was asked for with a token of {grant.name}")
            return Reply.of({"error": "account"}, status=401)
        key = headers["idempotency-key"]
        if key not in self._keys:
            self._keys[key] = Reply.of([self._make(account, reference) for reference in json.loads(request.body)])
        return self._keys[key]

    def _make(self, account: str, reference: str) -> dict[str, str]:
        self.documents.append((account, reference))
        return {"ref": reference, "id": f"{account}-{len(self.documents)}"}

    def _grant_of(self, token: str) -> Grant | None:
        now = self.clock.now()
        return next((grant for grant in self.grants.values() if grant.access.get(token, now) > now), None)

    def _new(self, kind: str, name: str) -> str:
        self._count += 1
        return f"{kind}-of-{name}-{self._count}"


class GrantSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = HOST
    client_id: str = CLIENT
    account: str


class GrantCredentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: SecretStr
    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    webhook_secret: SecretStr | None = None


class GrantsProvider(Provider[GrantSettings]):
    """Invoices for one account of a grant."""

    declaration = Declaration(
        type="grants",
        name="Grants",
        description="Keeps what it is sent, in the account that it is sent for.",
        capabilities={
            Capability(name): Full()
            for name in (
                *("sync_draft", "issue", "check_connection"),
                *("authorize_url", "exchange_code", "list_accounts", "refresh_credentials"),
            )
        },
        operations={
            Capability.AUTHORIZE_URL: OperationRules(local=True),
            Capability.SYNC_DRAFT: OperationRules(batch=10),
            Capability.ISSUE: OperationRules(local=True),
        },
        settings=GrantSettings,
        credentials=GrantCredentials,
        install_methods=(InstallMethod.OAUTH2,),
    )

    @hookimpl
    def sync_draft(self, batch: Batch[Any, GrantSettings]) -> Any:
        url = f"{batch.settings.base_url}/accounts/{batch.settings.account}/documents"
        ids = [item.id for item in batch.items]
        key, ways = Key("idempotency-key"), (Repeat(timedelta(hours=1)),)
        reply = yield Request("put", "POST", url, body=encode_json(ids), key=key, recover=ways)
        return {made["ref"]: Done(DocumentResult(external_id=made["id"])) for made in reply.json()}

    @hookimpl
    def issue(self, batch: Batch[Any, GrantSettings]) -> Any:
        return {item.id: Done(DocumentResult()) for item in batch.items}

    @hookimpl
    def check_connection(self, batch: Batch[Any, GrantSettings]) -> Any:
        return (yield from self._accounts(batch))

    @hookimpl
    def list_accounts(self, batch: Batch[Any, GrantSettings]) -> Any:
        return (yield from self._accounts(batch))

    def _accounts(self, batch: Batch[Any, GrantSettings]) -> Any:
        reply = yield Request("accounts", "GET", f"{batch.settings.base_url}/accounts")
        return {batch.only.id: Done(ConnectionResult(tuple(Account(**each) for each in reply.json())))}

    @hookimpl
    def authorize_url(self, batch: Batch[Any, GrantSettings]) -> Any:
        given = batch.only.parameters
        asked = {name: given[name] for name in ("redirect_uri", "state", "code_challenge")}
        query = urlencode({"client_id": batch.settings.client_id, **asked})
        return {batch.only.id: Done(AuthorizationResult(f"{batch.settings.base_url}/authorize?{query}"))}

    @hookimpl
    def exchange_code(self, batch: Batch[Any, GrantSettings]) -> Any:
        given = batch.only.parameters
        form = {name: given[name] for name in ("code", "redirect_uri", "code_verifier")}
        return (yield from self._tokens(batch, {"grant_type": "authorization_code", **form}))

    @hookimpl
    def refresh_credentials(self, batch: Batch[Any, GrantSettings]) -> Any:
        return (yield from self._tokens(batch, {"grant_type": "refresh_token"}))

    def _tokens(self, batch: Batch[Any, GrantSettings], form: dict[str, str]) -> Any:
        reply = yield Request("tokens", "POST", f"{batch.settings.base_url}/token", body=urlencode(form).encode())
        told = reply.json()
        if "error" in told:
            return {batch.only.id: Rejected.because(told["error"], "The grant is gone.")}
        expires_at = batch.now + timedelta(seconds=told.pop("expires_in"))
        return {batch.only.id: Done(CredentialsResult(told, expires_at))}

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: GrantCredentials, now: datetime) -> Outgoing:
        if not request.url.endswith("/token"):
            assert credentials.access_token is not None
            return request.with_headers(("authorization", f"Bearer {credentials.access_token.get_secret_value()}"))
        secret = credentials.client_secret.get_secret_value()
        signed = request.with_headers(
            ("authorization", "Basic " + base64.b64encode(f"{CLIENT}:{secret}".encode()).decode())
        )
        form = dict(parse_qsl(request.body.decode()))
        if form["grant_type"] == "refresh_token" and credentials.refresh_token is not None:
            form["refresh_token"] = credentials.refresh_token.get_secret_value()
        return Outgoing(signed.method, signed.url, signed.headers, urlencode(form).encode())


def _handler(grants: GrantServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"{HOST}{self.path}"
            reply = grants.answer(Outgoing(self.command, url, tuple(self.headers.items()), body))
            self.send_response(reply.status)
            for name, value in (*reply.headers, ("content-length", str(len(reply.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler


__all__ = [name for name in dir() if not name.startswith("_") and name != "annotations"]
