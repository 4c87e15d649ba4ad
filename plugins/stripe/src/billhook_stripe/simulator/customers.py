"""Customers, their balances and their payment methods."""

from __future__ import annotations

from billhook_stripe.simulator.desk import Ask, Body, Refused, Route, made_since, merged, missing, page
from billhook_stripe.simulator.forms import needed, whole
from billhook_stripe.simulator.ledger import Ledger, found_in
from billhook_stripe.simulator.rules import StripeRules

_OF_ENTRY = frozenset({"amount", "currency", "description", "metadata", "expand"})
"""What an entry of a balance takes; the vendor's description at hand leaves it out."""


class CustomerDesk:
    """Creates and changes customers. Names and references may repeat, as at Stripe."""

    def __init__(self, ledger: Ledger, rules: StripeRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def routes(self) -> list[Route]:
        one, entries = "/v1/customers/{id}", "/v1/customers/{id}/balance_transactions"
        return [
            Route("POST", "/v1/customers", self._create, "CustomerCreateParams"),
            Route("GET", "/v1/customers", self._list, "CustomerListParams"),
            Route("GET", one, self._get, "CustomerRetrieveParams"),
            Route("POST", one, self._change, "CustomerModifyParams"),
            Route("DELETE", one, self._delete, "CustomerDeleteParams"),
            Route("POST", "/v1/payment_methods/{id}/attach", self._attach_known),
            Route("POST", entries, self._adjust),
            Route("GET", entries, self._entries),
            Route("GET", entries + "/{entry}", self._entry),
        ]

    def _create(self, ask: Ask) -> Body:
        params, id = ask.params, self._ledger.next_id("customer")
        customer: Body = {
            "id": id,
            "object": "customer",
            "created": ask.at_seconds,
            "name": params.get("name"),
            "email": params.get("email") or None,
            "address": params.get("address") or None,
            "balance": 0,
            "currency": None,
            "default_source": None,
            "deleted": False,
            "invoice_prefix": id.rpartition("_")[2],
            "invoice_settings": {"default_payment_method": None},
            "livemode": False,
            "metadata": merged({}, params.get("metadata")),
            "_invoices": 0,
        }
        self._ledger.save(customer)
        token = params.get("payment_method") or self._rules.card_on_file
        if token is not None:
            customer["invoice_settings"]["default_payment_method"] = self._attach(customer, token)
            self._ledger.save(customer)
        self._ledger.note_event("customer.created", customer["metadata"].get("billhook_customer", ""), id, ask.now)
        return customer

    def _attach(self, customer: Body, token: str) -> str:
        """A customer's own copy of a test payment method (docs.stripe.com/testing)."""
        id = self._ledger.next_id("payment_method")
        method = {"id": id, "object": "payment_method", "customer": customer["id"], "type": "card", "_token": token}
        self._ledger.save(method, parent=customer["id"])
        return id

    def _attach_known(self, ask: Ask) -> Body:
        """docs.stripe.com/api/payment_methods/attach: to one customer only; a test method becomes the customer's own copy."""
        customer = self._ledger.get("customer", needed(ask.params, "customer"))
        known = self._ledger.find("payment_method", ask.path["id"])
        if known is None:
            return self._ledger.get("payment_method", self._attach(customer, ask.path["id"]))
        if known["customer"] != customer["id"]:
            raise Refused(400, "The payment method you provided has already been attached to a customer.")
        return known

    def _change(self, ask: Ask) -> Body:
        customer, params = self._ledger.get("customer", ask.path["id"]), ask.params
        for name in ("name", "email", "address"):
            if name in params:
                customer[name] = params[name] or None
        settings = params.get("invoice_settings") or {}
        if "default_payment_method" in settings:
            method = self._ledger.get("payment_method", settings["default_payment_method"])
            customer["invoice_settings"]["default_payment_method"] = method["id"]
        customer["metadata"] = merged(customer["metadata"], params.get("metadata"))
        return self._ledger.save(customer)

    def _delete(self, ask: Ask) -> Body:
        customer = self._ledger.get("customer", ask.path["id"])
        self._ledger.save({**customer, "deleted": True})
        return {"id": customer["id"], "object": "customer", "deleted": True}

    def _get(self, ask: Ask) -> Body:
        """A deleted customer can still be read, as deleted (docs.stripe.com/api/customers/retrieve)."""
        customer = self._ledger.find("customer", ask.path["id"])
        if customer is None:
            raise missing("customer", ask.path["id"])
        return {"id": customer["id"], "object": "customer", "deleted": True} if customer["deleted"] else customer

    def _list(self, ask: Ask) -> Body:
        found = found_in(self._ledger.all_of("customer"), email=ask.params.get("email"))
        return page(ask, made_since(ask, found), "/v1/customers")

    def _adjust(self, ask: Ask) -> Body:
        """docs.stripe.com/api/customer_balance_transactions/create: a negative amount is credit."""
        unknown = sorted(ask.params.keys() - _OF_ENTRY)
        if unknown:
            raise Refused(400, f"Received unknown parameter: {unknown[0]}", code="parameter_unknown", param=unknown[0])
        customer, amount = self._ledger.get("customer", ask.path["id"]), whole(ask.params, "amount")
        if not amount:
            raise Refused(400, "Missing required param: amount.", code="parameter_missing", param="amount")
        currency = needed(ask.params, "currency")
        if customer["currency"] not in {None, currency}:
            raise Refused(400, f"The customer's balance is in {customer['currency']}.", param="currency")
        metadata = merged({}, ask.params.get("metadata"))
        entry = change_balance(
            self._ledger, customer, amount, currency, "adjustment", ask.at_seconds, metadata=metadata
        )
        entry["description"] = ask.params.get("description")
        return self._ledger.save(entry)

    def _entries(self, ask: Ask) -> Body:
        found = self._ledger.all_of("customer_balance_transaction", self._ledger.get("customer", ask.path["id"])["id"])
        return page(ask, made_since(ask, found), f"/v1/customers/{ask.path['id']}/balance_transactions")

    def _entry(self, ask: Ask) -> Body:
        return self._ledger.get("customer_balance_transaction", ask.path["entry"])


def change_balance(
    ledger: Ledger,
    customer: Body,
    amount: int,
    currency: str,
    type: str,
    at: int,
    *,
    invoice: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Body:
    """Write an entry of a customer's balance, and the balance."""
    customer["balance"] += amount
    customer["currency"] = currency
    ledger.save(customer)
    entry = {
        "id": ledger.next_id("customer_balance_transaction"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "created": at,
        "currency": currency,
        "customer": customer["id"],
        "description": None,
        "ending_balance": customer["balance"],
        "invoice": invoice,
        "metadata": metadata or {},
        "type": type,
    }
    return ledger.save(entry, parent=customer["id"])
