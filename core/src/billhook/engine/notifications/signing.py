"""Signatures as Standard Webhooks defines them, under both names that receivers look for."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from datetime import datetime
from hashlib import sha256

from pydantic import SecretStr

from billhook.engine.context import Randomness
from billhook.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES = 32
HEADER_FAMILIES = ("webhook", "svix")
"""The standard's own names, and those that OpenMeter's sender uses."""

_SECRET = re.compile(r"(whsec_)?[a-zA-Z0-9+/=]{32,100}")


def new_secret(randomness: Randomness) -> SecretStr:
    """A fresh signing secret."""
    return SecretStr(SECRET_PREFIX + base64.b64encode(randomness(SECRET_BYTES)).decode())


def check_secret(secret: SecretStr) -> SecretStr:
    """The secret itself. Raises InvalidInput, which does not show it, for one that no receiver could verify with."""
    text = secret.get_secret_value()
    try:
        usable = bool(_SECRET.fullmatch(text)) and bool(_key(text))
    except binascii.Error:
        usable = False
    if usable:
        return secret
    raise InvalidInput(
        "signing_secret_invalid",
        "A signing secret is 32 to 100 letters of base64, with whsec_ before it or without. Leave it out to get a fresh one.",
    )


def signature_headers(secret: SecretStr, message_id: str, at: datetime, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers that prove who sent these bytes, and when."""
    seconds = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), seconds.encode(), body))
    digest = hmac.digest(_key(secret.get_secret_value()), signed, sha256)
    values = {"id": message_id, "timestamp": seconds, "signature": f"v1,{base64.b64encode(digest).decode()}"}
    return tuple((f"{family}-{name}", value) for family in HEADER_FAMILIES for name, value in values.items())


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
