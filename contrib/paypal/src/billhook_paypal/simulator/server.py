"""The simulator: who is let in, which endpoint does what, and what is told by webhook."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from billhook.testing.simulator import (
    Connection,
    Event,
    Pairs,
    ShelfSimulator,
    SimReply,
    SimRequest,
    Thing,
    TurnedDown,
)
from billhook_paypal.simulator import rules
from billhook_paypal.simulator.books import PaypalDocument, PaypalPayment, document_of, payment_of, refunds_of
from billhook_paypal.simulator.failures import Refused, detail, failure, sign_in_failure
from billhook_paypal.simulator.invoices import Invoices, shelf_id
from billhook_paypal.simulator.signing import WEBHOOK_ID, certificate, signed_headers

CLIENT_ID, CLIENT_SECRET = "paypal-client", "paypal-secret"
TOKEN_LASTS = timedelta(hours=9)
SIGN_IN_PATH = "/v1/oauth2/token"
_ROOT = "/v2/invoicing/"
_PAGE_SIZE = 20


class PaypalSimulator(ShelfSimulator):
    """A merchant's PayPal. `pay` is the customer, who pays at the invoice's link; nobody pays by himself."""

    key_header = "X-PayPal-Invoicing-Has-No-Key"

    def connection(self, url: str) -> Connection:
        """What an app is installed with to reach it, with a token that lasts nine hours."""
        with self.shelf.transaction():
            token = self._new_token(self.clock.now())
        credentials = {
            "access_token": token,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "webhook_id": WEBHOOK_ID,
            "webhook_certificates": certificate(),
        }
        return Connection({"base_url": url}, credentials)

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """Only the app's id and secret get a token, and only a token that has not expired gets anything else."""
        told = request.header("Authorization") or ""
        if request.path == SIGN_IN_PATH:
            pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            return None if told == f"Basic {pair}" else sign_in_failure()
        tokens = self.shelf.find("token", told.removeprefix("Bearer "))
        if tokens and now < datetime.fromisoformat(tokens[0].body["expires_at"]):
            return None
        return failure(401, request)

    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """What the endpoint answers; a refusal leaves everything as it was."""
        try:
            return self._route(request, now)
        except Refused as refused:
            return failure(refused.status, request, refused.details)

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about the invoice of that id, or with that reference in its memo or note, is refused."""
        super().refuse(shelf_id(name) or name)

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """As PayPal refuses what its rules do not allow."""
        return failure(422, request, [detail("COMPLIANCE_VIOLATION", str(refused))])

    def pay(self, invoice_id: str, amount: Decimal | None = None) -> None:
        """The customer pays, all of it if no amount is given."""
        with self.shelf.transaction():
            self._invoices.pay(invoice_id, amount, self.clock.now())

    def give_back(self, invoice_id: str, amount: Decimal) -> None:
        """Somebody gives back so much of what PayPal took, on PayPal's own pages."""
        with self.shelf.transaction():
            self._invoices.give_back(invoice_id, amount, self.clock.now())

    def cancel(self, invoice_id: str) -> None:
        """The merchant cancels the invoice in PayPal."""
        with self.shelf.transaction():
            self._invoices.cancel(invoice_id, self.clock.now())

    def act_as_payer(self, external_id: str) -> None:
        """The customer pays by bank transfer, and the merchant marks the invoice as paid."""
        with self.shelf.transaction():
            self._invoices.record_payment(external_id, {"method": "BANK_TRANSFER"}, self.clock.now())

    def documents(self) -> tuple[PaypalDocument, ...]:  # type: ignore[override]
        """The invoices, oldest first; deleted ones are no more."""
        found = (document_of(thing) for thing in self.shelf.all("invoice"))
        return tuple(one for one in found if one.status != "DELETED")

    def payments(self) -> tuple[PaypalPayment, ...]:  # type: ignore[override]
        """The payments, oldest first."""
        return tuple(payment_of(thing) for thing in self.shelf.all("payment"))

    def refunds(self) -> tuple[PaypalPayment, ...]:
        """The refunds that were noted. There is no place for a reference of ours, so each stands under its own id."""
        return tuple(refund for thing in self.shelf.all("invoice") for refund in refunds_of(thing))

    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The event, signed with the simulator's key."""
        thing = self.shelf.get(event.object_id)
        told = {
            "id": f"WH-{event.id}",
            "event_version": "1.0",
            "create_time": event.at.isoformat(),
            "resource_type": "invoices",
            "resource_version": "2.0",
            "event_type": event.type,
            "resource": {"invoice": thing.body["paypal"] if thing else {}},
        }
        body = json.dumps(told).encode()
        return signed_headers(f"transmission-{event.id}", body, now), body

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """A list without its last items; `total_items` shows that there are more."""
        told = reply.json() if reply.body else {}
        if not isinstance(told, dict) or "total_items" not in told:
            return reply
        return SimReply.of(reply.status, {**told, "items": told["items"][: len(told["items"]) - missing]})

    @property
    def _invoices(self) -> Invoices:
        return Invoices(self.shelf)

    def _route(self, request: SimRequest, now: datetime) -> SimReply:
        if request.path == SIGN_IN_PATH:
            return self._give_token(now)
        if not request.path.startswith(_ROOT):
            raise Refused(404)
        match [request.method, *request.path.removeprefix(_ROOT).split("/")]:
            case ["POST", "invoices"]:
                return self._create(request, now)
            case ["GET", "invoices"]:
                return self._list(request, lambda _: True)
            case ["POST", "search-invoices"]:
                return self._search(request)
            case ["POST", "generate-next-invoice-number"]:
                return SimReply.of(200, {"invoice_number": self._invoices.next_number()})
            case [method, "invoices", id]:
                return self._one(method, unquote(id), request, now)
            case ["POST", "invoices", id, action]:
                return self._act(action, unquote(id), request, now)
        raise Refused(404)

    def _give_token(self, now: datetime) -> SimReply:
        token = self._new_token(now)
        lasts = int(TOKEN_LASTS.total_seconds())
        scope = "https://uri.paypal.com/services/invoicing"
        return SimReply.of(200, {"scope": scope, "access_token": token, "token_type": "Bearer", "expires_in": lasts})

    def _new_token(self, now: datetime) -> str:
        token = f"A21AA{len(self.shelf.all('token')) + 1:07d}"
        self.shelf.add("token", token, {"expires_at": (now + TOKEN_LASTS).isoformat()})
        return token

    def _create(self, request: SimRequest, now: datetime) -> SimReply:
        told = rules.read_body(_json_body(request), rules.INVOICE)
        return _shown(request, self._invoices.create(told, now), 201)

    def _one(self, method: str, id: str, request: SimRequest, now: datetime) -> SimReply:
        match method:
            case "GET":
                return SimReply.of(200, self._invoices.get(id).body["paypal"])
            case "PUT":
                told = rules.read_body(_json_body(request), rules.INVOICE)
                return _shown(request, self._invoices.replace(id, told, now), 200)
            case "DELETE":
                self._invoices.delete(id, now)
                return SimReply(204)
        raise Refused(404)

    def _act(self, action: str, id: str, request: SimRequest, now: datetime) -> SimReply:
        body, invoices = _json_body(request), self._invoices
        match action:
            case "send":
                told = rules.read_body(body, rules.NOTIFICATION)
                sent = invoices.send(id, now, mail=told.get("send_to_recipient", True))
                return SimReply.of(202 if sent["status"] == "SCHEDULED" else 200, _link(sent))
            case "cancel":
                rules.read_body(body, rules.NOTIFICATION)
                invoices.cancel(id, now)
                return SimReply(204)
            case "payments":
                told = rules.read_body(body, rules.PAYMENT)
                return SimReply.of(200, {"payment_id": invoices.record_payment(id, told, now)})
            case "refunds":
                told = rules.read_body(body, rules.REFUND)
                return SimReply.of(200, {"refund_id": invoices.record_refund(id, told, now)})
        raise Refused(404)

    def _search(self, request: SimRequest) -> SimReply:
        told = rules.read_body(_json_body(request), rules.SEARCH)
        number, memo = told.get("invoice_number", ""), told.get("memo", "")

        def fits(thing: Thing) -> bool:
            detail = thing.body["paypal"]["detail"]
            return number in detail["invoice_number"] and memo in detail.get("memo", "")

        return self._list(request, fits)

    def _list(self, request: SimRequest, fits: Callable[[Thing], bool]) -> SimReply:
        found = [thing.body["paypal"] for thing in self._invoices.all() if fits(thing)]
        page, size = int(request.param("page") or 1), int(request.param("page_size") or _PAGE_SIZE)
        shown: dict[str, Any] = {"items": found[(page - 1) * size : page * size]}
        if request.param("total_required") == "true":
            shown |= {"total_items": len(found), "total_pages": -(-len(found) // size)}
        return SimReply.of(200, shown)


def _json_body(request: SimRequest) -> bytes:
    if request.header("Content-Type") != "application/json":
        raise Refused(415)
    return request.body


def _shown(request: SimRequest, told: dict[str, Any], status: int) -> SimReply:
    """The whole invoice where that is preferred, else a link to it."""
    whole = request.header("Prefer") == "return=representation"
    return SimReply.of(status, told if whole else _link(told))


def _link(told: dict[str, Any]) -> dict[str, str]:
    return {"rel": "self", "href": f"https://api-m.paypal.com{_ROOT}invoices/{told['id']}", "method": "GET"}
