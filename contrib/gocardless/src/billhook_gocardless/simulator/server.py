"""GoCardless: customers, mandates, payments, refunds and events, served in-process or over HTTP."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from billhook.clock import Clock
from billhook.testing.simulator import Connection, Event, Pairs, SimReply, SimRequest, Simulator, TurnedDown
from billhook.testing.simulator.books import Duplicate
from billhook.testing.simulator.memory import EPOCH
from billhook_gocardless.simulator.answers import Ask, Handler, Refused, Route, invalid_state, invalid_usage, not_found
from billhook_gocardless.simulator.books import Books
from billhook_gocardless.simulator.customers import CustomerDesk
from billhook_gocardless.simulator.events import EventDesk, signed
from billhook_gocardless.simulator.ledger import Ledger
from billhook_gocardless.simulator.mandates import MandateDesk
from billhook_gocardless.simulator.payments import PaymentDesk
from billhook_gocardless.simulator.records import Customer, Mandate, Payment, Refund
from billhook_gocardless.simulator.refunds import RefundDesk
from billhook_gocardless.simulator.rules import GoCardlessRules
from billhook_gocardless.simulator.scenarios import ScenarioDesk

_MINUTE = timedelta(minutes=1)
_PART = re.compile(r"\{(\w+)\}")


class GoCardlessSimulator(Simulator):
    """GoCardless with books at `path` that outlive it. `rules` say how it behaves where pages are silent.

    The reading methods (`payments()`, ...) first let happen what is due by the clock.
    """

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        rules: GoCardlessRules | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
    ) -> None:
        self.rules = rules or GoCardlessRules()
        self.ledger = Ledger.open(path)
        super().__init__(self.ledger, clock=clock, latency_seconds=latency_seconds, webhook_url=webhook_url)
        self._books = Books(self.ledger)
        events = EventDesk(self.ledger)
        self._payments = PaymentDesk(self.ledger, self.rules, events)
        self._mandates = MandateDesk(self.ledger, events, self._payments.move)
        self._refunds = RefundDesk(self.ledger, self.rules, events)
        moves = {"mandates": self._mandates.move, "payments": self._payments.move, "refunds": self._refunds.move}
        self._scenarios = ScenarioDesk(self.ledger, moves)
        self._routes = _compiled(
            [
                *CustomerDesk(self.ledger, self.rules, self._mandates).routes(),
                *(route for desk in (self._mandates, self._payments, self._refunds) for route in desk.routes()),
                *events.routes(),
                *self._scenarios.routes(),
                ("GET", "/creditors", self._creditors),
            ]
        )
        self._calls_in_minute: Counter[tuple[str, int]] = Counter()
        self._rate_lock = threading.Lock()

    # -- the books ------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        return self._read().customers()

    def documents(self) -> tuple[()]:
        """None: GoCardless keeps no invoices."""
        return ()

    def mandates(self) -> tuple[Mandate, ...]:
        """The mandates, oldest first."""
        return self._read().mandates()

    def payments(self) -> tuple[Payment, ...]:
        """The payments, oldest first; failed ones too."""
        return self._read().payments()

    def refunds(self) -> tuple[Refund, ...]:
        """The refunds, oldest first."""
        return self._read().refunds()

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one customer, payment that moves money, or refund."""
        return self._read().duplicates()

    def totals(self) -> dict[str, Decimal]:
        """What was collected, by currency: confirmed and paid out payments less their refunds."""
        return self._read().totals()

    def connection(self, url: str) -> Connection:
        """GoCardless has no accounts to book on."""
        secrets = {"access_token": self.rules.tokens[0], "webhook_secret": self.rules.webhook_secret}
        return Connection({"base_url": url}, secrets)

    def sign_mandate(self, customer_id: str, scheme: str = "bacs", status: str = "active") -> str:
        """The customer signs a mandate on GoCardless's page. Returns its id."""
        return self._mandates.sign(customer_id, scheme, status, self.clock.now()).id

    def run_scenario(self, name: str, id: str) -> str:
        """Make that scenario happen to a mandate, payment or refund; see `scenarios`. Returns its status."""
        self.tick()
        with self.ledger.transaction():
            return str(self._scenarios.run(name, id, self.clock.now()).status)

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the thing of that id, or with that reference in its metadata, is refused."""
        self.ledger.decisions.refuse(name)

    def decline(self, name: str) -> None:
        """From now on the bank sends the debit of that reference or id back."""
        self.ledger.decisions.decline(name)

    def _read(self) -> Books:
        self.tick()
        return self._books

    # -- as a simulator -------------------------------------------------------------------------------------------

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """401 for an unknown token, 429 for one that asks too often, 400 and 415 for a request without its headers."""
        try:
            self._let_in(request, now)
        except Refused as refused:
            return refused.reply
        return None

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """What is left of the minute. [sdk: rate_limit.py] ratelimit-limit, ratelimit-remaining, ratelimit-reset."""
        window = _window(now)
        left = max(0, self.rules.calls_per_minute - self._calls_in_minute[_token(request), window])
        reset_at = EPOCH + (window + 1) * _MINUTE
        return (
            ("RateLimit-Limit", str(self.rules.calls_per_minute)),
            ("RateLimit-Remaining", str(left)),
            ("RateLimit-Reset", format_datetime(reset_at, usegmt=True)),
        )

    def keeps(self, reply: SimReply) -> bool:
        """Nothing is kept to be replayed: a used key is refused with the id of what it made."""
        return False

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked; a refusal leaves no trace."""
        try:
            with self.ledger.transaction():
                return self._routed(request, _body(request), now)
        except Refused as refused:
            return refused.reply

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """As GoCardless refuses a body, or a change that the present state does not allow. [sdk: errors.py]"""
        kind, *rest = request.path.strip("/").split("/")
        if "actions" in rest:
            reason = "cancellation_failed" if rest[-1] == "cancel" else f"{rest[-1]}_failed"
            return invalid_state(reason, str(refused)).reply
        wrong = {"field": "metadata", "message": str(refused), "request_pointer": f"/{kind}/metadata"}
        return Refused(422, "validation_failed", "Validation failed", wrong).reply

    def settle(self, now: datetime) -> None:
        """Payments and refunds move on when their time has come, one step after the other."""
        if self.ledger.due(now) is None:
            return
        with self.ledger.transaction():
            while (due := self.ledger.due(now)) is not None:
                (self._payments if due.kind == "payments" else self._refunds).settle(due)

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event in a webhook of its own, signed with the rules' secret."""
        return self._told([event])

    def pending_webhooks(self) -> list[tuple[Pairs, bytes]]:
        """Every webhook that is still to be confirmed, each with as many events as the rules allow."""
        self.tick()
        return [self._told(events) for events in self._bundled(self.ledger.events_to_tell())]

    def deliver_webhooks(self, post: Callable[[Pairs, bytes], int]) -> int:
        """Hand the waiting webhooks to `post(headers, body)`, which gives an HTTP status; 2xx confirms. How many posts."""
        self.tick()
        bundles = self._bundled(self._queue_with_faults(self.ledger.events_to_tell()))
        for events in bundles:
            if 200 <= post(*self._told(events)) < 300:
                for event in events:
                    self.ledger.confirm_event(event.id)
        return len(bundles)

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """The same list, cut by `limit`."""
        shown = reply.json() if request.method == "GET" and reply.status == 200 else {}
        listed = shown.get(request.path.strip("/")) if "meta" in shown else None
        if not listed:
            return reply
        limit = max(1, len(listed) - missing)
        query = (*(pair for pair in request.query if pair[0] != "limit"), ("limit", str(limit)))
        return self.answer(replace(request, query=query), self.clock.now())

    # -- inside ---------------------------------------------------------------------------------------------------

    def _told(self, events: list[Event]) -> tuple[Pairs, bytes]:
        return signed(self.ledger, events, self.rules.webhook_secret)

    def _bundled(self, queue: list[Event]) -> list[list[Event]]:
        # [vendor's page "Webhooks for partners"] "A webhook can contain multiple events"
        size = self.rules.events_per_webhook
        return [queue[start : start + size] for start in range(0, len(queue), size)]

    def _let_in(self, request: SimRequest, now: datetime) -> None:
        token = _token(request)
        if token not in self.rules.tokens:
            raise invalid_usage(401, "access_token_not_found", "The access token you've used is not a valid token")
        self._count(token, now)
        if request.header("GoCardless-Version") is None:
            raise invalid_usage(400, "missing_version_header", "Send the header GoCardless-Version")
        if request.body and "json" not in (request.header("Content-Type") or ""):
            raise invalid_usage(415, "invalid_content_type", "Send the body as application/json")

    def _count(self, token: str, now: datetime) -> None:
        with self._rate_lock:
            self._calls_in_minute[token, _window(now)] += 1
            used = self._calls_in_minute[token, _window(now)]
        if used > self.rules.calls_per_minute:
            raise invalid_usage(429, "rate_limit_exceeded", "Too many requests. Wait until RateLimit-Reset.")

    def _routed(self, request: SimRequest, body: Any, now: datetime) -> SimReply:
        for method, pattern, do in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return do(Ask(request, now, body, match.groupdict()))
        raise not_found(request.line)

    def _creditors(self, ask: Ask) -> SimReply:
        creditor = {"id": "CR000001", "name": self.rules.creditor_name}
        meta = {"cursors": {"before": None, "after": None}, "limit": 50}
        return SimReply.of(200, {"creditors": [creditor], "meta": meta})


def _token(request: SimRequest) -> str:
    return (request.header("Authorization") or "").removeprefix("Bearer ")


def _window(now: datetime) -> int:
    return (now - EPOCH) // _MINUTE


def _body(request: SimRequest) -> Any:
    try:
        return json.loads(request.body) if request.body else None
    except ValueError:
        raise invalid_usage(400, "bad_request", "The body is no JSON") from None


def _compiled(routes: list[Route]) -> list[tuple[str, re.Pattern[str], Handler]]:
    return [(method, re.compile(_PART.sub(r"(?P<\1>[^/]+)", path)), do) for method, path, do in routes]
