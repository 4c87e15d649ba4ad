"""This Xero as a whole: who is let in, which desk a request goes to, and what the books hold."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billhook.clock import Clock
from billhook.testing.simulator import Connection, Event, Pairs, SimReply, SimRequest, Simulator, TurnedDown
from billhook.testing.simulator.books import Duplicate
from billhook_xero.simulator import app_credentials, app_settings, organisations, webhooks
from billhook_xero.simulator.contacts import ContactDesk
from billhook_xero.simulator.credit_notes import CreditNoteDesk
from billhook_xero.simulator.desk import Ask, Handler
from billhook_xero.simulator.identity import AUTHORIZE, CONNECTIONS, TOKEN, Identity
from billhook_xero.simulator.invoices import InvoiceDesk
from billhook_xero.simulator.judge import Judge
from billhook_xero.simulator.ledger import Customer, Document, Ledger, Payment
from billhook_xero.simulator.limits import Limits
from billhook_xero.simulator.money_on_account import MoneyOnAccountDesk
from billhook_xero.simulator.payments import PaymentDesk
from billhook_xero.simulator.rules import Org, XeroRules
from billhook_xero.simulator.wire import BadQuery, Json, NotFound, answered, read_json, refused, refused_with

API = "/api.xro/2.0"
LONGEST_KEY = 128


class XeroSimulator(Simulator):
    """A Xero with books at ``path`` that outlive it. ``rules`` say what it is like; with ``schemas`` its vendor's schema judges.

    The reading methods (``documents()``, ``payments()``, ...) first let happen what is due by the clock.
    """

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        rules: XeroRules | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
        schemas: Path | None = None,
    ) -> None:
        self.rules = rules or XeroRules()
        self.ledger = Ledger.open(path)
        super().__init__(
            self.ledger,
            clock=clock,
            latency_seconds=latency_seconds,
            key_window=self.rules.key_window,
            webhook_url=webhook_url,
        )
        self.identity = Identity(self.ledger, self.rules)
        self._limits = Limits(self.ledger, self.rules)
        self._judge = Judge(schemas) if schemas is not None else None
        self._entering = threading.Lock()
        invoices = InvoiceDesk(self.ledger)
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", place)), do)
            for method, place, do in [
                *invoices.routes(),
                *PaymentDesk(self.ledger, invoices).routes(),
                *CreditNoteDesk(self.ledger, invoices).routes(),
                *MoneyOnAccountDesk(self.ledger, invoices).routes(),
                *ContactDesk(self.ledger).routes(),
                *organisations.routes(),
            ]
        ]

    # -- the books -------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The contacts, oldest first."""
        self.tick()
        return self.ledger.customers()

    def documents(self) -> tuple[Document, ...]:
        """The invoices and credit notes with their lines."""
        self.tick()
        return self.ledger.documents()

    def payments(self) -> tuple[Payment, ...]:
        """The payments, undone ones too."""
        self.tick()
        return self.ledger.payments()

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one thing."""
        self.tick()
        return self.ledger.duplicates()

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit notes."""
        self.tick()
        return self.ledger.totals()

    def connection(self, url: str) -> Connection:
        """A custom connection of the first organisation, and its chart."""
        return Connection(app_settings(url), app_credentials(), {"sales": "200", "postage": "201", "discounts": "200"})

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the thing of that reference or id is refused; of a batch only its element."""
        self.ledger.decisions.refuse(name)

    # -- as a person at the office would ---------------------------------------------------------------------------

    def do(self, method: str, place: str, body: Json | None = None) -> Json:
        """Do something by hand at the first organisation, as in ``do("PUT", "/Payments", ...)``; limits do not count it. What is answered
        with nothing, as an e-mail is, is told as an empty one."""
        request = SimRequest(method, f"{API}{place}")
        done: Json = read_json(self._routed(request, place, body, self.clock.now()).body or b"{}")
        return done

    # -- as a simulator --------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimReply:
        """As the base does, unless too many of the organisation's requests are under way already."""
        tenant = self._tenant(request)
        with self._entering:
            refusal = self._limits.enter(tenant, self.clock.now())
        if refusal is not None:
            return refusal
        after_seconds = 0.0
        try:
            reply = super().handle(request)
            after_seconds = reply.after_seconds
            return reply
        finally:
            with self._entering:
                self._limits.leave(tenant, self.clock.now() + timedelta(seconds=after_seconds))

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """401 for a token that is not good, 403 for an organisation that it does not reach, 429 beyond a limit."""
        if request.path in {AUTHORIZE, TOKEN, CONNECTIONS}:
            return None
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if not self.identity.is_let_in(token, now):
            return answered({"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired: token expired"}, 401)
        if self._org(request) is None:
            return answered({"Title": "Forbidden", "Status": 403, "Detail": "AuthenticationUnsuccessful"}, 403)
        return self._limits.admit(self._tenant(request), now)

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """What is left of the limits."""
        return self._limits.headers(self._tenant(request), now) if request.path.startswith(API) else ()

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked; refusals have Xero's own shapes."""
        told = self.identity.answer(request, now)
        if told is not None:
            return told
        try:
            return self._asked(request, now)
        except NotFound:
            return refused(404, 404, "NotFound", "The resource you're looking for cannot be found")
        except BadQuery as refusal:
            return refused(400, 16, "QueryParseException", str(refusal))

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """As Xero refuses what takes no list, such as sending an invoice."""
        return refused_with([str(refused)])

    def settle(self, now: datetime) -> None:
        """Nothing happens here by itself."""

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event as JSON, signed with the webhook key."""
        return webhooks.told(event, self.rules.webhook_key)

    def intends_to_receive(self, post: Callable[[Pairs, bytes], int]) -> bool:
        """The handshake: good signatures want 200, bad ones 401 ("Configuring your server")."""
        told = [
            (good, post(*webhooks.handshake(self.rules.webhook_key, good=good))) for good in (True, False, True, False)
        ]
        return all(status == (200 if good else 401) for good, status in told)

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """The same list without its last items; its pagination still counts them."""
        told = read_json(reply.body) if request.method == "GET" and reply.status == 200 else {}
        if not isinstance(told, dict) or "pagination" not in told:
            return reply
        kind = next((name for name, value in told.items() if isinstance(value, list)), None)
        if kind is None:
            return reply
        return replace(answered({**told, kind: told[kind][: max(0, len(told[kind]) - missing)]}), headers=reply.headers)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _tenant(self, request: SimRequest) -> str:
        return request.header("xero-tenant-id") or self.rules.organisations[0].tenant

    def _org(self, request: SimRequest) -> Org | None:
        tenant = self._tenant(request)
        return next((org for org in self.rules.organisations if org.tenant == tenant), None)

    def _asked(self, request: SimRequest, now: datetime) -> SimReply:
        path = request.path.removeprefix(API)
        if len(request.body) > self.rules.most_body_bytes:
            return refused(413, 413, "RequestTooLarge", "The request is too large")
        if len(request.header("Idempotency-Key") or "") > LONGEST_KEY:
            return refused(400, 14, "PostDataInvalidException", f"Idempotency-Key is longer than {LONGEST_KEY}")
        try:
            body = read_json(request.body) if request.body else None
        except ValueError:
            return refused(400, 14, "PostDataInvalidException", "The body is no JSON")
        complaints = self._judge.complaints(request, path) if self._judge else []
        if complaints:
            return refused(400, 14, "PostDataInvalidException", "; ".join(complaints))
        return self._routed(request, path, body, now)

    def _routed(self, request: SimRequest, path: str, body: Any, now: datetime) -> SimReply:
        org = self._org(request)
        assert org is not None
        for method, pattern, do in self._routes:
            match = pattern.fullmatch(path)
            if match and method == request.method:
                return do(Ask(request, now, body, org, match.groupdict()))
        raise NotFound(path)
