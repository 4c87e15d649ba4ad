"""PayPal's webhooks: is this one of PayPal's, and what does it tell?

PayPal signs ``transmission id | time | webhook id | CRC32 of the body`` with a key whose certificate is to be fetched
from the address in a header, or offers to be asked whether a signature is its own. Reading a webhook does no I/O, so
the certificates are the app's, pinned. That address, which whoever sends the webhook chooses, is never followed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

from billhook.contract import Refusal, WebhookEvent
from billhook_paypal.settings import PaypalCredentials

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate

ALGORITHM = "SHA256withRSA"
ABOUT_INVOICES = "INVOICING.INVOICE."
_ABOUT_MONEY = frozenset({"INVOICING.INVOICE.PAID", "INVOICING.INVOICE.REFUNDED", "INVOICING.INVOICE.CANCELLED"})


def why_refused(
    headers: Mapping[str, str], body: bytes, credentials: PaypalCredentials, now: datetime
) -> Refusal | None:
    """Why the webhook is not to be believed; None where it is PayPal's."""
    if not credentials.webhook_id or not credentials.webhook_certificates:
        return Refusal("the app has no webhook_id and webhook_certificates to verify it with")
    if headers.get("paypal-auth-algo") != ALGORITHM:
        return Refusal(f"it is not signed with {ALGORITHM}")
    try:
        signature = base64.b64decode(headers.get("paypal-transmission-sig", ""), validate=True)
    except ValueError:
        return Refusal("the signature is no base64")
    try:
        keys = list(_valid_keys(credentials.webhook_certificates.get_secret_value(), now))
    except ValueError:
        return Refusal("the app's webhook_certificates are no certificates in PEM")
    signed = signed_text(headers, body, credentials.webhook_id.get_secret_value())
    if any(_is_by(key, signature, signed) for key in keys):
        return None
    return Refusal(
        "none of the app's webhook_certificates that are valid now made the signature; where PayPal has a new one, add "
        "what stands at the address in PAYPAL-CERT-URL"
    )


def signed_text(headers: Mapping[str, str], body: bytes, webhook_id: str) -> bytes:
    """What PayPal signs: the body counts by its CRC32, in decimal."""
    parts = (headers.get("paypal-transmission-id", ""), headers.get("paypal-transmission-time", ""), webhook_id)
    return "|".join((*parts, str(crc32(body)))).encode()


def events_in(body: bytes) -> tuple[WebhookEvent, ...]:
    """What it tells: that the document changed and, where it is about money, the payment that was asked for too."""
    told = json.loads(body)
    type = str(told.get("event_type", ""))
    invoice = _invoice_in(told.get("resource") or {})
    if not type.startswith(ABOUT_INVOICES) or not invoice:
        return ()
    kinds: tuple[Literal["document", "payment"], ...] = ("document", "payment")
    at = datetime.fromisoformat(told["create_time"]) if told.get("create_time") else None
    wanted = kinds if type in _ABOUT_MONEY else kinds[:1]
    return tuple(WebhookEvent(f"{told['id']}/{kind}", kind, invoice, type, at) for kind in wanted)


def _invoice_in(resource: dict[str, Any]) -> str | None:
    """Both shapes are documented: the invoice itself, and an object that holds it."""
    found = resource.get("id") or resource.get("invoice", {}).get("id")
    return str(found) if found else None


def _valid_keys(certificates: str, now: datetime) -> Iterator[RSAPublicKey]:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import load_pem_x509_certificates

    for certificate in load_pem_x509_certificates(certificates.encode()):
        key = certificate.public_key()
        if _is_valid(certificate, now) and isinstance(key, RSAPublicKey):
            yield key


def _is_valid(certificate: Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _is_by(key: RSAPublicKey, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
