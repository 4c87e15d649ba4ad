"""What went over the wire, one line of JSON for each request with its answer, and no secret in it."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import BaseModel

from billhook.contract.declaration import Capability
from billhook.contract.requests import CREDENTIAL_HEADERS, Call, Headers, Outgoing, Request, encode_json
from billhook.engine.effects import Arrived, Transmission
from billhook.engine.outgoing import outgoing
from billhook.engine.telling import MASK, secret_values

FILE = "wire.jsonl"
OWNER_ONLY = 0o600
WITHOUT_BODIES = frozenset({Capability.EXCHANGE_CODE, Capability.REFRESH_CREDENTIALS})
"""Their bodies are made of secrets, those of the answer known to nobody yet."""
SECRET_MEMBERS = re.compile(
    r'("(?:[a-z_]*secret|[a-z_]*password|access_token|refresh_token|id_token|api_key)"\s*:\s*)"[^"]*"', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it was before it was signed, what it was for, and what came of it."""

    at: datetime
    provider: str
    app_id: str
    operation: Capability
    step: Request | Call
    key: str | None
    attempt: int
    invoices: Sequence[str]
    signed: Outgoing | None
    came: Transmission


class WireLog:
    """Appends to ``wire.jsonl`` in a folder. Safe between threads and processes: a line is written whole, in one piece.

    What a provider's ``authenticate`` adds is left out, and so are token bodies and every known secret wherever it stands. What remains
    is what invoices say: names, addresses, amounts.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        self._lock = threading.Lock()

    def note(self, exchange: Exchange, credentials: BaseModel | None) -> None:
        """Write the exchange, without these credentials."""
        spellings = {spelling for secret in secret_values(credentials) for spelling in _spellings(secret)}
        line = _masked(_shown(exchange), sorted(spellings, key=len, reverse=True))
        with self._lock:
            left = f"{json.dumps(line, separators=(',', ':'))}\n".encode()
            while left:
                left = left[os.write(self._file, left) :]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _shown(exchange: Exchange) -> dict[str, object]:
    came, reply = exchange.came, exchange.came.reply if isinstance(exchange.came, Arrived) else None
    bare = exchange.operation in WITHOUT_BODIES
    line: dict[str, object] = {
        "at": exchange.at.isoformat(),
        "provider": exchange.provider,
        "app": exchange.app_id,
        "operation": exchange.operation.value,
        "step": exchange.step.step,
        "attempt": exchange.attempt,
        "invoices": list(exchange.invoices),
        **_request(exchange, bare=bare),
        "status": reply.status if reply is not None else None,
        "reply": None if reply is None else MASK if bare else _without_members(_text(reply.body)),
    }
    return line if isinstance(came, Arrived) else {**line, "error": came.reason}


def _request(exchange: Exchange, *, bare: bool) -> dict[str, object]:
    step = exchange.step
    if isinstance(step, Call):
        arguments = MASK if bare else _text(encode_json(dict(step.function.args)))
        return {"method": "CALL", "url": step.function.name, "headers": {}, "body": arguments}
    plain = outgoing(step, exchange.key)
    headers = _headers(plain.headers, exchange.signed.headers if exchange.signed is not None else ())
    body = MASK if bare else _text(plain.body)
    return {"method": plain.method, "url": plain.url, "headers": headers, "body": body}


def _headers(plain: Headers, signed: Headers) -> dict[str, str]:
    """The request's own; of those that signing added or changed the names alone."""
    shown: dict[str, str] = {}
    for name, value in (*plain, *(pair for pair in signed if pair not in plain)):
        is_secret = (name, value) not in plain or name.lower() in CREDENTIAL_HEADERS
        shown[name] = MASK if is_secret else value
    return shown


def _text(body: bytes) -> str | None:
    if not body:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(body).decode()}"


def _without_members(text: str | None) -> str | None:
    """Secrets that a provider makes, such as those for a payer's browser, are told by their names."""
    return None if text is None else SECRET_MEMBERS.sub(rf'\1"{MASK}"', text)


def _masked(value: Any, spellings: Sequence[str]) -> Any:
    """The same without these, wherever a text is."""
    if isinstance(value, dict):
        return {name: _masked(part, spellings) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    for spelling in spellings:
        value = value.replace(spelling, MASK)
    return value


def _spellings(secret: str) -> set[str]:
    """The ways in which it may be written: as it is, in addresses and forms, in JSON, and in JSON within JSON."""
    found = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for _ in range(2):
        found |= {json.dumps(each, ensure_ascii=ascii)[1:-1] for each in found for ascii in (True, False)}
    return found
