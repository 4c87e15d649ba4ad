"""Whether a replayed step is the step that was sent: by what it means, not by what varies from run to run."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import parse_qsl

from billhook.contract.requests import Call, Request

# Headers that differ between runs without meaning anything else: who asks, not what is asked.
VOLATILE_HEADERS = frozenset(
    {
        "user-agent",
        "idempotency-key",
        "x-request-id",
        "x-stripe-client-user-agent",
        "x-stripe-client-telemetry",
        "content-length",
        "host",
        "date",
        "accept-encoding",
        "connection",
        "traceparent",
    }
)


def digest(step: Request | Call) -> str:
    """A fingerprint of the exact bytes, kept when the bytes themselves are pruned."""
    if isinstance(step, Call):
        content = _canonical_json(dict(step.function.args)).encode()
        head = f"{step.step}\n{step.function.name}\n"
    else:
        content = step.body
        head = f"{step.step}\n{step.method}\n{step.url}\n"
    return hashlib.sha256(head.encode() + content).hexdigest()


def difference(stored: Request | Call, replayed: Request | Call) -> str | None:
    """None when both mean the same; else what differs, in one sentence."""
    if type(stored) is not type(replayed):
        return f"step {stored.step!r} was a {stored.kind}, and is now a {replayed.kind}"
    if stored.step != replayed.step:
        return f"the journal has step {stored.step!r}, the code now yields {replayed.step!r}"
    if isinstance(stored, Call) and isinstance(replayed, Call):
        return _call_difference(stored, replayed)
    assert isinstance(stored, Request)
    assert isinstance(replayed, Request)
    return _request_difference(stored, replayed)


def _call_difference(stored: Call, replayed: Call) -> str | None:
    if stored.function.name != replayed.function.name:
        return f"step {stored.step!r} called {stored.function.name}, and now calls {replayed.function.name}"
    if _canonical_json(dict(stored.function.args)) != _canonical_json(dict(replayed.function.args)):
        return f"the arguments of {stored.function.name} in step {stored.step!r} changed"
    return None


def _request_difference(stored: Request, replayed: Request) -> str | None:
    for what, before, after in (
        ("method", stored.method.upper(), replayed.method.upper()),
        ("URL", stored.url, replayed.url),
        ("headers", _meaningful_headers(stored), _meaningful_headers(replayed)),
    ):
        if before != after:
            return f"the {what} of step {stored.step!r} changed from {before} to {after}"
    if stored.body == replayed.body:
        return None
    before_body, after_body = canonical_body(stored), canonical_body(replayed)
    if before_body == after_body:
        return None
    return f"the body of step {stored.step!r} changed: {_first_difference(before_body, after_body)}"


def canonical_body(request: Request) -> str:
    """The body without what carries no meaning: JSON keys and form pairs in order."""
    text = request.body.decode("utf-8", "surrogateescape")
    content_type = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    if "x-www-form-urlencoded" in content_type:
        return "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(text, keep_blank_values=True)))
    try:
        # Numbers keep their spelling, and stay numbers: 1.0, 1.00 and "1.0" are different requests.
        return _canonical_json(json.loads(text, parse_float=_spelled, parse_int=_spelled))
    except ValueError:
        return text


def _meaningful_headers(request: Request) -> list[tuple[str, str]]:
    key = request.key.name.lower() if request.key and request.key.place == "header" else ""
    pairs = ((name.lower(), value) for name, value in request.headers)
    return sorted(pair for pair in pairs if pair[0] not in VOLATILE_HEADERS and pair[0] != key)


def _spelled(number: str) -> dict[str, str]:
    return {"number": number}


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _first_difference(before: str, after: str) -> str:
    at = next(
        (place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    start = max(at - 40, 0)
    return f"...{before[start : at + 40]!r} became ...{after[start : at + 40]!r}"
