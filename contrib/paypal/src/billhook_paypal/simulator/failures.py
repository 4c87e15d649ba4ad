"""PayPal's refusals: a name, a message, an id for its support, and what exactly is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from billhook.testing.simulator import SimReply, SimRequest

MESSAGES = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The server does not support the request payload's media type."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
}


class Refused(Exception):
    """The request is refused, and nothing was done."""

    def __init__(self, status: int, *details: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.details = details


def detail(issue: str, description: str, field: str = "") -> dict[str, str]:
    """One thing that is wrong."""
    return {"field": field, "location": "body", "issue": issue, "description": description}


def unprocessable(issue: str, description: str) -> Refused:
    """The request is well-formed, but can't be done as things are."""
    return Refused(422, detail(issue, description))


def failure(status: int, request: SimRequest, details: Sequence[Mapping[str, str]] = ()) -> SimReply:
    """The answer that tells a refusal."""
    name, message = MESSAGES[status]
    debug_id = sha256(request.line.encode() + request.body).hexdigest()[:13]
    return SimReply.of(status, {"name": name, "message": message, "debug_id": debug_id, "details": list(details)})


def sign_in_failure() -> SimReply:
    """How the token endpoint refuses; it has a shape of its own."""
    told = {"error": "invalid_client", "error_description": "Client Authentication failed"}
    return SimReply.of(401, told)
