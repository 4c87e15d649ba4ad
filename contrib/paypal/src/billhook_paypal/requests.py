"""The requests that PayPal takes, and where each one's outcome is looked up when its answer is lost.

Invoicing has no idempotency key. A draft is found again by its number, which PayPal gives out once, and everything else
by the invoice's id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from billhook.contract import Batch, Find, Function, InvoiceItem, Reply, Request, encode_json
from billhook_paypal.amounts import worth_of
from billhook_paypal.encoding import encode_invoice, money
from billhook_paypal.settings import PaypalSettings

SIGN_IN_PATH = "/v1/oauth2/token"
SAMPLE_ID = "INV2-SAMPLE"
# Nothing at PayPal refuses a payment or refund that is noted a second time, so a late one is waited for.
LATEST_ARRIVAL = timedelta(minutes=5)
_INVOICES = "/v2/invoicing/invoices"
_JSON = ("Content-Type", "application/json")
# Without it PayPal answers with a link to what it made.
_WHOLE = ("Prefer", "return=representation")
_QUIETLY = "send_to_recipient=false&send_to_invoicer=false"


def create_draft(batch: Batch[InvoiceItem, PaypalSettings], match: Function) -> Request:
    """Make the draft. Its absence proves something: PayPal refuses a second one under its number."""
    return Request(
        "draft",
        "POST",
        f"{batch.settings.base_url}{_INVOICES}",
        headers=(_JSON, _WHOLE),
        body=encode_json(encode_invoice(batch.only)),
        recover=(Find(search(batch), match, authoritative=True),),
        sample=_sample(sample_invoice(batch.only, "DRAFT"), 201),
    )


def update_draft(batch: Batch[InvoiceItem, PaypalSettings], id: str, match: Function) -> Request:
    """Replace the whole draft. Its memo shows which content stands there."""
    return Request(
        "draft",
        "PUT",
        f"{invoice_url(batch.settings, id)}?{_QUIETLY}",
        headers=(_JSON, _WHOLE),
        body=encode_json(encode_invoice(batch.only)),
        recover=(Find(look(batch.settings, id), match, authoritative=True),),
        sample=_sample(sample_invoice(batch.only, "DRAFT"), 200),
    )


def act(
    settings: PaypalSettings,
    id: str,
    *,
    step: str,
    match: Function,
    content: dict[str, Any],
    sample: dict[str, Any] | None = None,
    look_after: timedelta = timedelta(),
) -> Request:
    """One of the things that are done to an invoice: send, cancel, payments, refunds.

    ``look_after`` is how long after its time one that is on its way may still arrive, where PayPal would do it twice.
    """
    return Request(
        step,
        "POST",
        f"{invoice_url(settings, id)}/{step}",
        headers=(_JSON,),
        body=encode_json(content),
        recover=(Find(look(settings, id), match, authoritative=True, after=look_after),),
        sample=_sample(sample or {}, 200),
    )


def delete_draft(settings: PaypalSettings, id: str, match: Function) -> Request:
    """Take a draft away. Its number can be used again at PayPal."""
    find = Find(look(settings, id), match, authoritative=True)
    return Request("delete", "DELETE", invoice_url(settings, id), recover=(find,), sample=_sample({}, 204))


def look(settings: PaypalSettings, id: str, sample: dict[str, Any] | None = None) -> Request:
    """Read the invoice of that id."""
    return Request("look", "GET", invoice_url(settings, id), sample=_sample(sample or {}, 200))


def search(batch: Batch[InvoiceItem, PaypalSettings]) -> Request:
    """Look for the item's number. The filter is not said to be exact, so the answer is compared."""
    content = {"invoice_number": batch.only.number, "fields": ["items", "payments", "refunds"]}
    return Request(
        "search",
        "POST",
        f"{batch.settings.base_url}/v2/invoicing/search-invoices?page=1&page_size=100&total_required=true",
        headers=(_JSON,),
        body=encode_json(content),
        sample=_sample({"total_items": 0, "items": []}, 200),
        safe=True,
    )


def ask_for_token(settings: PaypalSettings) -> Request:
    """Exchange the app's id and secret for a token; `authenticate` adds them."""
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    body = b"grant_type=client_credentials"
    return Request("token", "POST", f"{settings.base_url}{SIGN_IN_PATH}", headers=headers, body=body, safe=True)


def list_one(settings: PaypalSettings) -> Request:
    """The cheapest thing that only a working token can do."""
    url = f"{settings.base_url}{_INVOICES}?page=1&page_size=1&fields=none"
    return Request("list", "GET", url, sample=_sample({"items": []}, 200))


def invoice_url(settings: PaypalSettings, id: str) -> str:
    """Where the invoice of that id stands."""
    return f"{settings.base_url}{_INVOICES}/{quote(id, safe='')}"


def sample_invoice(item: InvoiceItem, status: str) -> dict[str, Any]:
    """The invoice as PayPal would answer with it, for a preview."""
    currency = item.invoice.currency
    worths = [worth_of(line, currency) for line in item.invoice.lines]
    tax = money(sum((worth.tax for worth in worths), start=item.invoice.total * 0), currency)
    discount = money(-sum((worth.discount for worth in worths), start=item.invoice.total * 0), currency)
    breakdown = {"tax_total": tax, "discount": {"item_discount": discount}}
    amount = {**money(item.invoice.total, currency), "breakdown": breakdown}
    detail = {"invoice_number": item.number}
    return {"id": item.external_id or SAMPLE_ID, "status": status, "detail": detail, "amount": amount}


def _sample(content: dict[str, Any], status: int) -> Reply:
    return Reply.of(content, status=status, source="sample")
