"""The sandbox: a made-up provider with invoices, payments and webhooks, served in-process or over HTTP."""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billhook.clock import Clock
from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.testing.sandbox.customers import CustomerDesk
from billhook.testing.sandbox.desk import Ask, Handler, RateLimit, Route, SandboxRules
from billhook.testing.sandbox.documents import DocumentDesk
from billhook.testing.sandbox.ledger import Ledger
from billhook.testing.sandbox.payments import PaymentDesk
from billhook.testing.sandbox.records import Customer, Document, Payment, Refund
from billhook.testing.sandbox.tax import TaxDesk
from billhook.testing.sandbox.webhooks import signed_webhook
from billhook.testing.simulator.base import Simulator
from billhook.testing.simulator.books import Connection, Duplicate
from billhook.testing.simulator.memory import EPOCH
from billhook.testing.simulator.messages import Event, Pairs, SimReply, SimRequest

_PART = re.compile(r"\{(\w+)(?::([^}]*))?\}")


class SandboxSimulator(Simulator):
    """A provider of its own invention, with books at `path` that outlive it. `rules` say how it behaves.

    The reading methods (`documents()`, `payments()`, ...) first let happen what is due by the clock.
    """

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        rules: SandboxRules | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
    ) -> None:
        self.rules = rules or SandboxRules()
        self.ledger = Ledger.open(path)
        window = self.rules.key_window
        super().__init__(
            self.ledger, clock=clock, latency_seconds=latency_seconds, key_window=window, webhook_url=webhook_url
        )
        shuffler = random.Random(self.rules.seed) if self.rules.shuffle else None
        self._documents = DocumentDesk(self.ledger, self.rules, shuffler)
        self._payments = PaymentDesk(self.ledger, self.rules)
        self._routes = _compiled(
            [
                *self._documents.routes(),
                *self._payments.routes(),
                *CustomerDesk(self.ledger, self.rules, shuffler).routes(),
                *TaxDesk(self.rules).routes(),
                ("GET", "/v1/account", _account),
            ]
        )
        self._calls_in_window: Counter[tuple[str, int]] = Counter()
        self._rate_lock = threading.Lock()

    # -- the books ------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        self.tick()
        return self.ledger.customers()

    def documents(self) -> tuple[Document, ...]:
        """The invoices and credit notes with their lines, oldest first."""
        self.tick()
        return self.ledger.documents()

    def payments(self) -> tuple[Payment, ...]:
        """The payments, oldest first; failed ones too."""
        self.tick()
        return self.ledger.payments()

    def refunds(self) -> tuple[Refund, ...]:
        """The refunds, oldest first."""
        self.tick()
        return self.ledger.refunds()

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one thing."""
        self.tick()
        return self.ledger.duplicates()

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit notes."""
        self.tick()
        return self.ledger.totals()

    def connection(self, url: str) -> Connection:
        """The sandbox takes any account by its name."""
        accounts = {name: name for name in ("sales", "postage", "discounts")}
        secrets = {"token": self.rules.tokens[0], "webhook_secret": self.rules.webhook_secret}
        return Connection({"base_url": url}, secrets, accounts)

    def authorizing_connection(self, url: str) -> Connection:
        """The same, for an app whose payments are only authorized until it captures them."""
        connection = self.connection(url)
        return replace(connection, settings={**connection.settings, "capture": "manual"})

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the thing of that reference or id is refused; of a batch only its item."""
        self.ledger.decisions.refuse(name)

    def decline(self, name: str) -> None:
        """From now on a charge under that reference, or of the invoice of that id, is declined."""
        self.ledger.decisions.decline(name)

    def finish_payment(self, payment_id: str, status: str = "paid") -> Payment:
        """Do what the customer was asked to do: an unfinished payment ends as paid, failed or uncollectible."""
        return self._payments.finish(payment_id, status, self.clock.now())

    def bounce_refund(self, refund_id: str) -> Refund:
        """Let the customer's bank send the money of a refund back."""
        return self._payments.bounce(refund_id, self.clock.now())

    # -- as a simulator -------------------------------------------------------------------------------------------

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """401 for a token that is not listed, 429 for one that asks too often."""
        token = _token(request)
        if token not in self.rules.tokens:
            return SimReply.error(401, "unauthorized", "Send one of the sandbox's tokens as Authorization: Bearer.")
        return self._throttled(token, now, self.rules.rate_limit) if self.rules.rate_limit else None

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """What is left of the rate limit, where there is one."""
        limit = self.rules.rate_limit
        if limit is None:
            return ()
        used = self._calls_in_window[_token(request), _window(limit, now)]
        return (("RateLimit-Limit", str(limit.calls)), ("RateLimit-Remaining", str(max(0, limit.calls - used))))

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked; refusals become 400, 404, 405 and 422."""
        try:
            body = json.loads(request.body) if request.body else None
        except (ValueError, RecursionError):
            return SimReply.error(400, "malformed", "The body is no JSON.")
        try:
            return self._routed(request, body, now)
        except NotFound as missing:
            return SimReply.error(404, missing.code, str(missing))
        except NotAllowed as refused:
            return SimReply.error(422, refused.code, str(refused))
        except InvalidInput as refused:
            return SimReply.error(422, refused.code, f"{refused.message} ({refused.path or '/'})")

    def settle(self, now: datetime) -> None:
        """Pending documents and processing payments move on when their time has come."""
        self._documents.settle(now)
        self._payments.settle(now)

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event as JSON, signed with the rules' secret."""
        return signed_webhook(event, now, self.rules.webhook_secret)

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """The same list, cut by `limit`."""
        shown = reply.json() if request.method == "GET" and reply.status == 200 else {}
        if not shown.get("items"):
            return reply
        limit = max(0, len(shown["items"]) - missing)
        query = (*(pair for pair in request.query if pair[0] != "limit"), ("limit", str(limit)))
        return self.answer(replace(request, query=query), self.clock.now())

    # -- inside ---------------------------------------------------------------------------------------------------

    def _routed(self, request: SimRequest, body: Any, now: datetime) -> SimReply:
        found = [
            (method, match, do) for method, pattern, do in self._routes if (match := pattern.fullmatch(request.path))
        ]
        if not found:
            raise NotFound("path", request.path)
        for method, match, do in found:
            if method == request.method:
                return do(Ask(request, now, body, match.groupdict()))
        return SimReply.error(
            405, "method_not_allowed", f"{request.path} takes {', '.join(each[0] for each in found)}."
        )

    def _throttled(self, token: str, now: datetime, limit: RateLimit) -> SimReply | None:
        window = _window(limit, now)
        with self._rate_lock:
            self._calls_in_window[token, window] += 1
            used = self._calls_in_window[token, window]
        if used <= limit.calls:
            return None
        left = limit.window - (now - EPOCH) % limit.window
        headers = (("Retry-After", str(-(-left // timedelta(seconds=1)))),)
        return SimReply.error(429, "rate_limited", f"More than {limit.calls} calls in {limit.window}.", headers)


def _token(request: SimRequest) -> str:
    return (request.header("Authorization") or "").removeprefix("Bearer ")


def _window(limit: RateLimit, now: datetime) -> int:
    return (now - EPOCH) // limit.window


def _account(ask: Ask) -> SimReply:
    return SimReply.of(200, {"id": "acct_sandbox", "name": "Sandbox", "at": ask.now.isoformat()})


def _compiled(routes: list[Route]) -> list[tuple[str, re.Pattern[str], Handler]]:
    def pattern(path: str) -> re.Pattern[str]:
        return re.compile(_PART.sub(lambda part: f"(?P<{part[1]}>{part[2] or '[^/]+'})", path))

    return [(method, pattern(path), do) for method, path, do in routes]
