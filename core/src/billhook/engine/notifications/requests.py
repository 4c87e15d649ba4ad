"""What a notification's request looks like: the body around an invoice, and the headers around a body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from billhook.errors import InvalidInput

MOST_HEADERS = 32
LONGEST_VALUE = 4096
OURS = frozenset(
    {"connection", "content-length", "content-type", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
OUR_PREFIXES = ("webhook-", "svix-", "proxy-")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers themselves. Raises InvalidInput, which shows no value, for what HTTP can't carry or what is ours to say."""
    if len(headers) > MOST_HEADERS:
        raise InvalidInput("headers_invalid", f"{len(headers)} headers are too many. Give {MOST_HEADERS} at most.")
    for name, value in headers.items():
        lowered = name.lower()
        if not _NAME.fullmatch(name) or lowered in OURS or lowered.startswith(OUR_PREFIXES):
            raise InvalidInput("headers_invalid", f"The header {name[:128]!r} can't be set. Choose another name.")
        if not _VALUE.fullmatch(value) or len(value) > LONGEST_VALUE:
            raise InvalidInput(
                "headers_invalid",
                f"The value of the header {name} can't be sent. Use 1 to {LONGEST_VALUE} printable ASCII letters.",
            )
    return headers


def envelope(event_id: str, type: str, created_at: datetime, invoice: bytes) -> bytes:
    """The body: the invoice's JSON with who tells it, and since when it is so."""
    head = {"id": event_id, "type": type, "timestamp": timestamp(created_at)}
    return b'%s,"data":%s}' % (json.dumps(head, separators=(",", ":")).encode()[:-1], invoice)


def timestamp(at: datetime) -> str:
    """As RFC 3339 writes a moment in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
