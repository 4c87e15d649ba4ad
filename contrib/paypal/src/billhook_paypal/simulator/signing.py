"""The key that this PayPal signs webhooks with, and its certificate. They are worth nothing anywhere else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from zlib import crc32

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from billhook.testing.simulator import Pairs

WEBHOOK_ID = "8PT597110X687430LKGECATA"


def certificate() -> str:
    """The certificate, in PEM."""
    return _file("certificate.pem").decode()


def signed_headers(transmission_id: str, body: bytes, at: datetime) -> Pairs:
    """The headers of a webhook that PayPal sends at that time."""
    time = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = f"{transmission_id}|{time}|{WEBHOOK_ID}|{crc32(body)}".encode()
    signature = _key().sign(signed, PKCS1v15(), SHA256())
    return (
        ("Content-Type", "application/json"),
        ("PAYPAL-TRANSMISSION-ID", transmission_id),
        ("PAYPAL-TRANSMISSION-TIME", time),
        ("PAYPAL-TRANSMISSION-SIG", base64.b64encode(signature).decode()),
        ("PAYPAL-CERT-URL", "https://api.paypal.com/v1/notifications/certs/CERT-SIMULATED"),
        ("PAYPAL-AUTH-ALGO", "SHA256withRSA"),
    )


@cache
def _key() -> RSAPrivateKey:
    key = load_pem_private_key(_file("key.pem"), password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def _file(name: str) -> bytes:
    return files("billhook_paypal.simulator").joinpath(name).read_bytes()
