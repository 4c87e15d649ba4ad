"""The simulated company: requests in, answers out, as Intuit's accounting API gives them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from billhook.clock import Clock
from billhook.testing.simulator import Connection, Event, Pairs, SimReply, SimRequest, Simulator, TurnedDown
from billhook.testing.simulator.books import Duplicate
from billhook_quickbooks.simulator.access import AUTHORIZE_PATH, TOKEN_PATH, Access
from billhook_quickbooks.simulator.changes import not_found
from billhook_quickbooks.simulator.documents import Documents
from billhook_quickbooks.simulator.judge import Judge
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.limits import Limits
from billhook_quickbooks.simulator.payments import Payments
from billhook_quickbooks.simulator.people import People
from billhook_quickbooks.simulator.queries import Query, parse
from billhook_quickbooks.simulator.records import Customer, Document, Payment
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.webhooks import signed_webhook
from billhook_quickbooks.simulator.wire import Entity, Refused, answer, loads

MOST_PAYLOADS = 30
LONGEST_BID = 10
LONGEST_BATCH_KEY = 36
LONGEST_KEY = 50

_INDEXED = {"Id": "id", "DocNumber": "number", "CustomerRef": "customer"}
_KINDS = {"invoice": "Invoice", "creditmemo": "CreditMemo", "payment": "Payment", "customer": "Customer"}
_OPEN = frozenset({AUTHORIZE_PATH, TOKEN_PATH})


class QuickBooksSimulator(Simulator):
    """A company with books at ``path`` that outlive it. ``rules`` say how it is set up."""

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        rules: CompanyRules | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
        schema_folder: str | Path | None = None,
    ) -> None:
        self.rules = rules or CompanyRules()
        self.ledger = Ledger.open(path)
        super().__init__(
            self.ledger,
            clock=clock,
            latency_seconds=latency_seconds,
            key_window=self.rules.key_window,
            webhook_url=webhook_url,
        )
        self.limits = Limits()
        self._judge = Judge(schema_folder)
        self._access = Access(self.ledger, self.rules)
        self._documents = {kind: Documents(kind, self.ledger, self.rules) for kind in ("Invoice", "CreditMemo")}
        self._payments = Payments(self.ledger, self.rules, self._documents)
        self._people = People(self.ledger, self.rules)

    # -- the books ------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        self.tick()
        return self.ledger.customers()

    def documents(self) -> tuple[Document, ...]:
        """The invoices and credit memos, oldest first."""
        self.tick()
        return self.ledger.documents()

    def payments(self) -> tuple[Payment, ...]:
        """The payments that brought money, oldest first."""
        self.tick()
        return self.ledger.payments()

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one thing."""
        self.tick()
        return self.ledger.duplicates()

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit memos."""
        self.tick()
        return self.ledger.totals()

    def connection(self, url: str) -> Connection:
        """The company with all its lines going to its first product; it books by products, not by accounts."""
        settings = {
            "account": self.rules.realm,
            "client_id": self.rules.client_id,
            "base_url": url,
            "authorization_url": f"{url}{AUTHORIZE_PATH}",
            "token_url": f"{url}{TOKEN_PATH}",
            "home_currency": self.rules.home_currency,
            "tax_model": self.rules.tax,
            "default_item": min(self.rules.items),
        }
        credentials = {
            "client_secret": self.rules.client_secret,
            "access_token": self.rules.access_tokens[0],
            "refresh_token": self.rules.refresh_token,
            "verifier_token": self.rules.verifier_token,
        }
        return Connection(settings, credentials)

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the thing of that reference or id is refused; of a batch only its item."""
        self.ledger.decisions.refuse(name)

    # -- as a person in the company would -------------------------------------------------------------------------

    def do(self, kind: str, operation: str, body: Entity) -> Entity:
        """Create, update, void or delete something by hand."""
        return self._done(kind, operation, body, self.clock.now())

    # -- as a simulator -------------------------------------------------------------------------------------------

    def key_of(self, request: SimRequest) -> str | None:
        """The request id; it is unique per company over all requests, and repeats the first answer (Intuit's blog of 2015-04-06)."""
        return None if request.method == "GET" else request.param("requestid")

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """401 for a token that is not let in, 403 for another company, 429 for too many calls."""
        if request.path in _OPEN:
            return None
        try:
            self._access.check(request, now)
            self._check_company(request)
            return self._throttled(request, now)
        except Refused as refused:
            return self._faulty(refused, now)

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked; what is refused is told as a fault."""
        if request.path == AUTHORIZE_PATH:
            return self._access.authorize(request, now)
        if request.path == TOKEN_PATH:
            return self._access.tokens(request, now)
        try:
            return answer(200, {**self._answered(request, now), "time": now.isoformat()})
        except Refused as refused:
            return self._faulty(refused, now)

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """As a fault of the company's own rules."""
        return self._faulty(_against_the_rules(refused), self.clock.now())

    def settle(self, now: datetime) -> None:
        """Nothing moves by itself: the books are as they were written."""

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event, signed with the verifier token."""
        return signed_webhook(event, self.rules)

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """Every answer has an id for Intuit's support."""
        return (("intuit_tid", f"simulated-{now.timestamp():.0f}"),)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _check_company(self, request: SimRequest) -> None:
        if not request.path.startswith(f"/v3/company/{self.rules.realm}/"):
            detail = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
            raise Refused("3100", detail, request.path, status=403)

    def _throttled(self, request: SimRequest, now: datetime) -> SimReply | None:
        if not self.rules.throttles:
            return None
        full = self.limits.take(now, is_batch=request.path.endswith("/batch"), app=self._access.app_of(request))
        if full is None:
            return None
        detail = f"The request limit was reached: {full}. You may wait and try again after 60 seconds."
        return self._faulty(
            Refused("003001", "message=ThrottleExceeded; errorCode=003001; statusCode=429", detail, status=429), now
        )

    def _faulty(self, refused: Refused, now: datetime) -> SimReply:
        return answer(refused.status, {"Fault": refused.fault, "time": now.isoformat()})

    def _answered(self, request: SimRequest, now: datetime) -> Entity:
        _, _, _, _, place, *rest = request.path.split("/")
        key = request.param("requestid")
        if key is not None and len(key) > (LONGEST_BATCH_KEY if place == "batch" else LONGEST_KEY):
            raise Refused("2050", "Property Value exceeds the max length", f"requestid has {len(key)} characters")
        if place == "query" and request.method == "GET":
            return {"QueryResponse": self._run(parse(request.param("query") or ""))}
        if place == "batch" and request.method == "POST":
            return self._batch(_json(request), with_key=key is not None, now=now)
        kind = _KINDS.get(place)
        if kind is None:
            raise Refused("2030", "Unsupported Operation", f"{request.method} {request.path}", status=404)
        if request.method == "GET" and rest:
            found = self.ledger.entity(kind, rest[0])
            if found is None:
                raise not_found(rest[0])
            return {kind: found}
        if rest[1:] == ["send"] and kind == "Invoice":
            with self.ledger.transaction():
                return {kind: self._documents[kind].send(rest[0], request.param("sendTo"), now)}
        body = _json(request)
        operation = request.param("operation") or ("update" if "Id" in body else "create")
        self._judge.check(kind, body)
        duplicates = request.param("include") == "allowduplicatedocnum"
        return {kind: self._done(kind, operation, body, now, allows_duplicates=duplicates)}

    def _batch(self, body: Entity, *, with_key: bool, now: datetime) -> Entity:
        """Items run one after another, each by itself ("Batch operations")."""
        items = body.get("BatchItemRequest") or []
        if len(items) > MOST_PAYLOADS:
            raise Refused("1040", "Batch size exceeded", f"{len(items)} payloads, {MOST_PAYLOADS} are taken")
        bids = [str(item.get("bId", "")) for item in items]
        if len(set(bids)) < len(bids):
            raise Refused("2030", "Duplicate bId", ", ".join(sorted(bids)))
        if with_key and any(len(bid) > LONGEST_BID for bid in bids):
            raise Refused(
                "2050", "Property Value exceeds the max length", f"with a requestid bId has {LONGEST_BID} characters"
            )
        return {"BatchItemResponse": [self._batch_item(item, now) for item in items]}

    def _batch_item(self, item: Entity, now: datetime) -> Entity:
        bid = {"bId": item["bId"]} if "bId" in item else {}
        try:
            return {**bid, **self._batch_payload(item, now)}
        except Refused as refused:
            return {**bid, "Fault": refused.fault}
        except TurnedDown as refused:
            return {**bid, "Fault": _against_the_rules(refused).fault}

    def _batch_payload(self, item: Entity, now: datetime) -> Entity:
        if "Query" in item:
            return {"QueryResponse": self._run(parse(item["Query"]))}
        kind = next((name for name in _KINDS.values() if name in item), "")
        if not kind:
            raise Refused("2030", "Unsupported Operation", "no payload that is simulated")
        self._judge.check_payload(kind, item)
        return {kind: self._done(kind, str(item.get("operation", "create")), item[kind], now)}

    def _done(
        self, kind: str, operation: str, body: Entity, now: datetime, *, allows_duplicates: bool = False
    ) -> Entity:
        """One change, whole or not at all."""
        do = self._doer(kind, operation)
        with self.ledger.transaction():
            if allows_duplicates and operation == "create" and kind in self._documents:
                return self._documents[kind].create(body, now, allows_duplicates=True)
            return do(body, now)

    def _doer(self, kind: str, operation: str) -> Callable[[Entity, datetime], Entity]:
        desk: Any = self._documents.get(kind) or {"Payment": self._payments, "Customer": self._people}[kind]
        if operation not in {"create", "update", "void", "delete"} or not hasattr(desk, operation):
            raise Refused("2030", "Unsupported Operation", f"{operation} of {kind} is not simulated")
        found: Callable[[Entity, datetime], Entity] = getattr(desk, operation)
        return found

    def _run(self, query: Query) -> Entity:
        return query.run(self._rows(query))

    def _rows(self, query: Query) -> list[Entity]:
        """The things that a query is about, by an index where it names one."""
        match query.kind:
            case "CompanyInfo":
                return [
                    {"Id": "1", "CompanyName": self.rules.name, "Country": "US" if self.rules.tax == "us" else "GB"}
                ]
            case "Preferences":
                return [self._preferences()]
            case "Item":
                inactive = self.rules.inactive_items
                return [{"Id": id, "Name": name, "Active": id not in inactive} for id, name in self.rules.items.items()]
            case "TaxCode":
                return [{"Id": id, "Name": f"{rate:f} %", "Active": True} for id, rate in self.rules.tax_codes.items()]
            case "Vendor" | "Employee":
                return self._people.others(query.kind)
        for name, column in _INDEXED.items():
            values = query.values_of(name)
            if values is not None:
                return self.ledger.select(query.kind, column, values)
        names = query.values_of("DisplayName")
        if names is not None:
            return self.ledger.select(query.kind, "name", [name.casefold() for name in names])
        return self.ledger.entities(query.kind)

    def _preferences(self) -> Entity:
        closed = {"BookCloseDate": self.rules.closed_until.isoformat()} if self.rules.closed_until else {}
        return {
            "Id": "1",
            "AccountingInfoPrefs": closed,
            "SalesFormsPrefs": {"CustomTxnNumbers": self.rules.custom_numbers},
            "CurrencyPrefs": {
                "MultiCurrencyEnabled": self.rules.multicurrency,
                "HomeCurrency": {"value": self.rules.home_currency},
            },
            "TaxPrefs": {
                "UsingSalesTax": self.rules.tax != "none",
                "PartnerTaxEnabled": self.rules.automated_tax is not None,
            },
        }


def _against_the_rules(refused: TurnedDown) -> Refused:
    return Refused("6000", "A business validation error has occurred", f"Business Validation Error: {refused}")


def _json(request: SimRequest) -> Entity:
    try:
        body = loads(request.body)
    except ValueError:
        raise Refused("2000", "An unexpected error occurred while parsing", "The body is no JSON") from None
    if not isinstance(body, dict):
        raise Refused("2000", "An unexpected error occurred while parsing", "The body is no object")
    return body
