"""Stripe as a simulator: keys, limits, versions and the vendor's description at the door, the desks behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from billhook.clock import Clock
from billhook.testing.simulator import Connection, Event, Pairs, SimReply, SimRequest, Simulator, TurnedDown
from billhook.testing.simulator.books import Duplicate
from billhook_stripe.simulator.charging import Charger
from billhook_stripe.simulator.credit_notes import CreditNoteDesk
from billhook_stripe.simulator.customers import CustomerDesk, change_balance
from billhook_stripe.simulator.desk import Ask, Body, Refused, Route, page
from billhook_stripe.simulator.forms import decoded_body, nested
from billhook_stripe.simulator.invoice_money import InvoiceMoney
from billhook_stripe.simulator.invoices import InvoiceDesk
from billhook_stripe.simulator.judge import Judge
from billhook_stripe.simulator.ledger import Ledger
from billhook_stripe.simulator.limits import Limits
from billhook_stripe.simulator.payments import PaymentDesk
from billhook_stripe.simulator.records import Customer, Document, Payment, Refund
from billhook_stripe.simulator.rules import StripeRules
from billhook_stripe.simulator.webhooks import event_body, signed_webhook

_PART = re.compile(r"\{(\w+)\}")
_FORM = "application/x-www-form-urlencoded"
_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error"}


class StripeSimulator(Simulator):
    """A Stripe account with books at `path` that outlive it. `schemas` is a folder of vendor data that requests are judged by.

    The reading methods (`documents()`, `payments()`, ...) first let happen what is due by the clock.
    """

    key_header: ClassVar[str] = "Idempotency-Key"

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        rules: StripeRules | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
        schemas: Path | None = None,
    ) -> None:
        self.rules = rules or StripeRules()
        self.ledger = Ledger.open(path)
        super().__init__(
            self.ledger,
            clock=clock,
            latency_seconds=latency_seconds,
            key_window=self.rules.key_window,
            webhook_url=webhook_url,
        )
        self._judge = Judge(schemas) if schemas is not None else None
        self._limits = Limits(self.rules.account_calls, self.rules.endpoint_calls)
        charger = Charger(self.ledger, self.rules)
        self._money = InvoiceMoney(self.ledger, charger)
        self._payments = PaymentDesk(self.ledger, charger, self._money)
        self._routes = _compiled(
            [
                *CustomerDesk(self.ledger, self.rules).routes(),
                *InvoiceDesk(self.ledger, self._money).routes(),
                *CreditNoteDesk(self.ledger, self._money).routes(),
                *self._payments.routes(),
                Route("GET", "/v1/events", self._events),
                Route("GET", "/v1/account", _account),
            ]
        )

    # -- the books ------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        self.tick()
        return self.ledger.customers()

    def documents(self) -> tuple[Document, ...]:
        """Invoices and credit notes, oldest first of each; credit on a balance that stands for a credit note is one."""
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
        """Stripe has no accounts to book on."""
        return Connection(
            {"base_url": url}, {"api_key": self.rules.api_keys[0], "webhook_secret": self.rules.webhook_secret}
        )

    def authorizing_connection(self, url: str) -> Connection:
        """The same, for an app whose payments of invoices that live elsewhere are only authorized until it captures them."""
        connection = self.connection(url)
        return replace(connection, settings={**connection.settings, "capture": "manual"})

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the object of that id, or with that reference in its metadata, is refused."""
        self.ledger.decisions.refuse(name)

    def decline(self, name: str) -> None:
        """From now on the card or bank declines the payment of that reference, or of the invoice of that id."""
        self.ledger.decisions.decline(name)

    # -- what people do there -------------------------------------------------------------------------------------

    def finish_payment(self, payment_id: str, *, succeeds: bool = True) -> None:
        """The payer does what was asked, or fails to; a payment that is only authorized is captured."""
        with self.ledger.transaction():
            intent = self.ledger.get("payment_intent", payment_id)
            self._payments.finish(intent, self.clock.now(), succeeds=succeeds)

    def refund_in_dashboard(self, payment_id: str, units: int, *, status: str = "succeeded") -> None:
        """Somebody gives back so much of a payment, in the currency's smallest units. It may be `pending` for days."""
        with self.ledger.transaction():
            intent = self.ledger.get("payment_intent", payment_id)
            self._payments.give_back(intent, units, self.clock.now(), status=status)

    def bounce_refund(self, refund_id: str) -> None:
        """The bank of the customer sends a refund back."""
        with self.ledger.transaction():
            self._payments.bounce(refund_id, self.clock.now())

    def pay_on_page(self, invoice_id: str) -> None:
        """The customer pays an open invoice on Stripe's own page."""
        with self.ledger.transaction():
            self._money.charge(self.ledger.get("invoice", invoice_id), "pm_card_visa", self.clock.now())

    def change_balance(self, customer_id: str, units: int, currency: str) -> None:
        """Somebody adjusts a customer's balance by hand; negative is credit."""
        with self.ledger.transaction():
            customer = self.ledger.get("customer", customer_id)
            change_balance(self.ledger, customer, units, currency, "adjustment", int(self.clock.now().timestamp()))

    # -- as a simulator -------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimReply:
        """As every simulator, with errors in Stripe's words."""
        return _in_stripes_words(super().handle(request))

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """401 for a key that is not the account's, 429 for too many calls (docs.stripe.com/rate-limits)."""
        key = (request.header("Authorization") or "").removeprefix("Bearer ")
        if key not in self.rules.api_keys:
            return Refused(401, "Invalid API Key provided.").reply()
        found = self._route(request)
        refused = self._limits.refuse(found[0].name if found else request.line, now)
        if refused is None:
            return None
        headers = (("Stripe-Rate-Limited-Reason", str(refused.error["reason"])), ("Stripe-Should-Retry", "true"))
        return replace(refused.reply(), headers=headers)

    def keeps(self, reply: SimReply) -> bool:
        """Answers of what was begun are kept, a decline too; refused parameters are not (docs.stripe.com/api/idempotent_requests)."""
        return reply.status < 400 or reply.status == 402 or reply.status >= 500

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """Each answer says what version it is in."""
        return (("Stripe-Version", self.rules.api_version),)

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked. A decline is written down like anything else; whatever else is refused changed nothing."""
        try:
            with self.ledger.transaction():
                return self._answered_or_declined(request, now)
        except Refused as refused:
            return refused.reply()

    def _answered_or_declined(self, request: SimRequest, now: datetime) -> SimReply:
        try:
            return SimReply.of(200, _without_private(self._answered(request, now)))
        except Refused as refused:
            if refused.status == 402:
                return refused.reply()
            raise

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """As Stripe refuses a parameter or a state."""
        return Refused(400, str(refused)).reply()

    def settle(self, now: datetime) -> None:
        """Bank debits come to their end when their time has come."""
        if self.ledger.due(now):
            with self.ledger.transaction():  # read again inside: another thread may have settled them meanwhile
                self._payments.settle(now)

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event, signed with the endpoint's secret."""
        return signed_webhook(self._told(event), now, self.rules.webhook_secret)

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """The same list without its last objects, saying that there is more."""
        shown = reply.json() if request.method == "GET" and reply.status == 200 else {}
        if not shown.get("data"):
            return reply
        cut = {**shown, "data": shown["data"][: len(shown["data"]) - missing], "has_more": True}
        return SimReply.of(200, cut, tuple(pair for pair in reply.headers if pair[0] != "Content-Type"))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _answered(self, request: SimRequest, now: datetime) -> Body:
        version = request.header("Stripe-Version")
        if version != self.rules.api_version:
            raise Refused(400, f"This account answers in {self.rules.api_version}, not in {version}.")
        found = self._route(request)
        if found is None:
            raise Refused(404, f"Unrecognized request URL ({request.line}).")
        route, path = found
        params = self._params(request)
        if self._judge is not None and route.schema is not None:
            self._judge.check(route.schema, params)
        return route.do(Ask(params, now, path))

    def _params(self, request: SimRequest) -> Body:
        if request.body and not (request.header("Content-Type") or "").startswith(_FORM):
            raise Refused(400, f"Send parameters as {_FORM}.")
        return {**nested(request.query), **decoded_body(request.body)}

    def _route(self, request: SimRequest) -> tuple[Route, dict[str, str]] | None:
        for route, pattern in self._routes:
            match = pattern.fullmatch(request.path) if route.method == request.method else None
            if match is not None:
                return route, match.groupdict()
        return None

    def _events(self, ask: Ask) -> Body:
        """docs.stripe.com/api/events/list; events can be read for 30 days."""
        created = ask.params.get("created") or {}
        rows = self.ledger.events_since(int(created.get("gte", 0)), ask.params.get("type"))
        return page(ask, [self._told(_event(row)) for row in rows], "/v1/events")

    def _told(self, event: Event) -> Body:
        kind = {"customer": "customer", "credit_note": "credit_note", "refund": "refund"}
        name = event.type.partition(".")[0]
        about = self.ledger.find(kind.get(name, name), event.object_id) or {"id": event.object_id}
        return event_body(event, about, self.rules.api_version)


def _event(row: tuple[int, str, str, int]) -> Event:
    from billhook.testing.simulator.memory import moment

    number, type_, object_id, at = row
    return Event(f"evt_{number:06d}", type_, "", object_id, moment(at))


def _account(ask: Ask) -> Body:
    return {"id": "acct_simulated", "object": "account", "business_profile": {"name": "Stripe, simulated"}}


def _without_private(body: Body) -> Body:
    """What is told of an object, and of the objects in a list; members of our own stay inside."""
    told = {name: value for name, value in body.items() if not name.startswith("_")}
    if told.get("object") == "list":
        told["data"] = [_without_private(each) for each in told["data"]]
    return told


def _in_stripes_words(reply: SimReply) -> SimReply:
    """A refusal of the base, with the type that Stripe's errors have (docs.stripe.com/api/errors)."""
    if reply.status < 400 or b'"error"' not in reply.body:
        return reply
    try:
        error = reply.json()["error"]
    except ValueError:  # a fault cut it in half
        return reply
    if "type" in error:
        return reply
    is_key_trouble = error["code"] in {"idempotency_error", "request_in_flight"}
    type_ = "idempotency_error" if is_key_trouble else _TYPES.get(reply.status, "api_error")
    told = SimReply.of(reply.status, {"error": {**error, "type": type_}})
    return replace(reply, body=told.body)


def _compiled(routes: list[Route]) -> list[tuple[Route, re.Pattern[str]]]:
    return [(route, re.compile(_PART.sub(lambda part: f"(?P<{part[1]}>[^/]+)", route.path))) for route in routes]
