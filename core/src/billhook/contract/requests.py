"""What an operation yields: a request (or a call), and how to recover when its outcome is unknown.

All values are frozen and can be stored as JSON. A function that the engine is to call later (``match``, ``identify``, a ``Call``) is given
by the name under which the provider registered it, with JSON arguments, so that it can be stored and found again after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Base64Bytes, Field

from billhook.errors import ContractViolation

Json: TypeAlias = Any  # a JSON value: None, bool, int, str, list or dict of such

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CREDENTIAL_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token", "x-access-token"}
)

Headers: TypeAlias = tuple[tuple[str, str], ...]
Source: TypeAlias = Literal["sent", "repeated", "found", "sample"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the provider registered, by name, with JSON arguments."""

    name: str
    args: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """Where the provider wants the idempotency key, and how long it may be. The engine makes the key and owns it."""

    name: str
    place: Literal["header", "query"] = "header"
    max_length: int = 255


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Reading must accept every ``source``: a found or sample reply is shaped like the original answer."""

    status: int
    headers: Headers = ()
    body: Base64Bytes = b""
    source: Source = "sent"

    def json(self) -> Json:
        """The body as JSON; numbers with a fraction become Decimal, so that no digit is lost."""
        return json.loads(self.body, parse_float=Decimal)

    def header(self, name: str) -> str | None:
        """The first header of that name, compared without regard to case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @classmethod
    def of(cls, value: Json, *, status: int = 200, source: Source = "sent") -> Reply:
        """A JSON reply, for samples and for replies shaped from a look-up."""
        return cls(status, (("content-type", "application/json"),), encode_json(value), source)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Sending the same bytes again under the same key is harmless ``within`` this time from the first send, margin included."""

    within: timedelta
    kind: Literal["repeat"] = "repeat"


@dataclass(frozen=True, slots=True)
class Find:
    """Look the thing up at the provider.

    ``request`` is safe (it changes nothing). ``match`` names a registered function ``(reply, **args) -> Mapping[item id, Found | Absent |
    Unknown]``. ``authoritative`` says whether an absence proves that nothing was done. ``after`` counts from the deadline of the
    unknown send: how long the provider may take until a look-up shows what it did, or a request may be held up on its way. It matters where
    nothing there, such as a key or a number, keeps a late one from being done beside the second.
    """

    request: Request
    match: Function
    authoritative: bool
    after: timedelta = timedelta()
    kind: Literal["find"] = "find"


Recovery: TypeAlias = Annotated[Repeat | Find, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete but for credentials and the idempotency key.

    ``step`` is unique in the operation. ``items`` are the ids of the batch items it concerns (empty: all). ``key`` says where the
    engine puts the idempotency key. ``recover`` is tried in order when the outcome is unknown; empty means that the item stops in
    doubt. ``identify`` names a registered function ``(reply, **args) -> Mapping[item id, remote id]`` so that what a step left behind
    is remembered. ``sample`` is a made-up reply that lets a preview go on. ``safe`` marks a POST that changes nothing.
    """

    step: str
    method: str
    url: str
    headers: Headers = ()
    body: Base64Bytes = b""
    items: tuple[str, ...] = ()
    key: Key | None = None
    recover: tuple[Recovery, ...] = ()
    identify: Function | None = None
    sample: Reply | None = None
    safe: bool = False
    kind: Literal["request"] = "request"

    def __post_init__(self) -> None:
        if not self.step:
            raise ContractViolation(
                f"A request to {self.url} has no step name. Give each request of an operation a name of its own."
            )
        refuse_credentials(self.step, self.url, self.headers)
        refuse_unsafe_look_ups(self.step, self.recover)

    @property
    def effectful(self) -> bool:
        """Whether sending it may change something at the provider."""
        return not (self.safe or self.method.upper() in SAFE_METHODS)


@dataclass(frozen=True, slots=True)
class Call:
    """A registered function for an SDK that can't be parted from its I/O; no preview.

    It is called with the app's credentials and then with its arguments by name, which are JSON. It returns JSON, or a `Reply` where it
    has a status and headers to tell. What it raises says that nobody knows whether it was done.
    """

    step: str
    function: Function
    items: tuple[str, ...] = ()
    recover: tuple[Recovery, ...] = ()
    identify: Function | None = None
    safe: bool = False
    kind: Literal["call"] = "call"

    def __post_init__(self) -> None:
        if not self.step:
            raise ContractViolation(
                f"A call of {self.function.name} has no step name. Give each step of an operation a name of its own."
            )
        refuse_unsafe_look_ups(self.step, self.recover)

    @property
    def effectful(self) -> bool:
        """Whether calling it may change something at the provider."""
        return not self.safe

    @property
    def key(self) -> None:
        """A call has no place for a key."""
        return

    @property
    def sample(self) -> None:
        """A call has no preview."""
        return


Step: TypeAlias = Annotated[Request | Call, Field(discriminator="kind")]


def functions_of(step: Request | Call) -> Iterator[Function]:
    """The registered functions that a step names."""
    if isinstance(step, Call):
        yield step.function
    if step.identify is not None:
        yield step.identify
    for way in step.recover:
        if isinstance(way, Find):
            yield way.match


@dataclass(frozen=True, slots=True)
class Found:
    """The look-up shows that it was done; ``reply`` is shaped like the answer that was lost."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Absent:
    """The look-up does not show it. Whether that proves anything is the ``authoritative`` of its Find."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The look-up can't say (yet)."""

    reason: str = ""


Finding: TypeAlias = Found | Absent | Unknown


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What really goes out: a request with its key and its credentials. Never stored, never logged."""

    method: str
    url: str
    headers: Headers
    body: bytes

    def with_headers(self, *headers: tuple[str, str]) -> Outgoing:
        """The same with these headers, which replace any of the same name."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in names)
        return Outgoing(self.method, self.url, kept + headers, self.body)


def encode_json(value: Json) -> bytes:
    """Compact JSON; a Decimal becomes a string, digit for digit."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_encode_decimal).encode()


def _encode_decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise ContractViolation(
        f"{type(value).__name__} can't be written as JSON. Turn it into a string or a number first."
    )


def refuse_credentials(step: str, url: str, headers: Iterable[tuple[str, str]]) -> None:
    """Raise ContractViolation when a request carries credentials: it is stored, they must not be."""
    found = [name for name, _ in headers if name.lower() in CREDENTIAL_HEADERS]
    if found:
        raise ContractViolation(
            f"Step {step!r} carries the credential header {found[0]!r}. Requests are stored; add credentials in authenticate()."
        )
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ContractViolation(
            f"Step {step!r} carries credentials in its URL. Requests are stored; add them in authenticate()."
        )


def refuse_unsafe_look_ups(step: str, recover: Iterable[Recovery]) -> None:
    """Raise ContractViolation when a look-up would itself change something."""
    for way in recover:
        if isinstance(way, Find) and way.request.effectful:
            raise ContractViolation(
                f"The look-up of step {step!r} is a {way.request.method}, which may change something. Use a safe method, or mark it safe=True."
            )
