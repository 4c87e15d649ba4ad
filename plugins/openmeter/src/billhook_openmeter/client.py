"""OpenMeter over HTTP: reading invoices and their customers, and the three callbacks of its Custom Invoicing app.

Any 2xx is success: the documents say 204 without a body, the server answers 200 with the invoice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from billhook import SystemClock
from billhook.clock import Clock
from billhook_openmeter import wire

DEFAULT_PREFIX = "/api/v1"
TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 100
LONGEST_DETAIL = 500
LONGEST_WAIT_SECONDS = 3600.0
"""Longer than that nobody is left alone, whatever is told."""

W = TypeVar("W", bound=wire.Wire)


class UpstreamError(Exception):
    """OpenMeter could not be reached, or answered something that says nothing about the invoice. Try again later.

    ``wait_seconds``: how long OpenMeter asks to be left alone; None where it does not say.
    """

    wait_seconds: float | None = None


class Unreadable(UpstreamError):
    """OpenMeter answered something that is not what its documents say. A person has to look."""


class UpstreamRefusesUs(UpstreamError):
    """OpenMeter does not accept the token. A person has to give another one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """OpenMeter refused a callback: the invoice is not where it was, or it says why."""

    detail: str


class OpenMeter:
    """One OpenMeter, or the metering and billing API of a Konnect region. Safe between threads."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        client: httpx.Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.base = url.rstrip("/") + "/" + prefix.strip("/")
        self._client = client or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._clock = clock or SystemClock()
        self._left_alone_until_seconds = self._clock.monotonic()
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def invoice(self, invoice_id: str) -> wire.Invoice | None:
        """The invoice with its lines; None where there is none (yet). Raises UpstreamError."""
        answer = self._send("GET", f"/billing/invoices/{invoice_id}", params={"expand": ["lines", "workflow.apps"]})
        return None if answer.status_code == httpx.codes.NOT_FOUND else _read(wire.Invoice, self._accepted(answer))

    def invoice_ids(self, extended_statuses: Sequence[str]) -> Iterator[str]:
        """The ids of all invoices in these states, the oldest first. Raises UpstreamError."""
        for page in self.pages_of_ids(extended_statuses):
            yield from page

    def pages_of_ids(self, extended_statuses: Sequence[str], *, newest_first: bool = False) -> Iterator[Sequence[str]]:
        """The ids of all invoices in these states, deleted ones too, page by page. ``newest_first``: by their last change. Raises UpstreamError."""
        order = {"order": "DESC", "orderBy": "updatedAt"} if newest_first else {"order": "ASC", "orderBy": "createdAt"}
        wanted = {"extendedStatuses": list(extended_statuses), "includeDeleted": "true", **order}
        page = 1
        while True:
            answer = self._send("GET", "/billing/invoices", params={**wanted, "page": page, "pageSize": PAGE_SIZE})
            listed = _read(_Listed, self._accepted(answer))
            yield [item.id for item in listed.items]
            # An empty page is the end, whatever the count says: it may count what moved on meanwhile.
            if not listed.items or page * PAGE_SIZE >= listed.total_count:
                return
            page += 1

    def customer(self, customer_id: str) -> wire.Customer | None:
        """The customer as he is now; None where there is none any more, or he is not shown to us. Raises UpstreamError."""
        answer = self._send("GET", f"/customers/{customer_id}")
        if answer.status_code in _NOT_SHOWN_TO_US:
            return None
        return _read(wire.Customer, self._accepted(answer))

    def tell(self, invoice_id: str, what: str, body: dict[str, Any]) -> Refused | None:
        """Call back. None: taken. Refused where the invoice is not where the callback belongs. Raises UpstreamError."""
        answer = self._send("POST", f"/apps/custom-invoicing/{invoice_id}/{what}", json=body)
        if answer.is_success:
            return None
        if answer.status_code in _ABOUT_THE_INVOICE:
            return Refused(_detail(answer))
        self._accepted(answer)
        raise UpstreamError(f"OpenMeter answered {answer.status_code} to {what}: {_detail(answer)}")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        self._leave_alone()
        try:
            answer = self._client.request(method, self.base + path, headers=self._headers, **content)
        except httpx.HTTPError as error:
            raise UpstreamError(f"OpenMeter at {self.base} can't be reached ({type(error).__name__}).") from error
        wait_seconds = (
            None if answer.is_success else _wait_seconds(answer.headers.get("retry-after"), self._clock.now())
        )
        self._left_alone_until_seconds = max(
            self._left_alone_until_seconds, self._clock.monotonic() + (wait_seconds or 0)
        )
        return answer

    def _leave_alone(self) -> None:
        """Send nothing while OpenMeter asks for that, whichever request it asked at."""
        left = self._left_alone_until_seconds - self._clock.monotonic()
        if left > 0:
            raise _asked_to_wait(f"OpenMeter at {self.base} asks to be left alone.", left)

    def _accepted(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise UpstreamRefusesUs(
                f"OpenMeter at {self.base} does not accept the token ({answer.status_code}). Give another one."
            )
        if not answer.is_success:
            left = self._left_alone_until_seconds - self._clock.monotonic()
            raise _asked_to_wait(f"OpenMeter answered {answer.status_code}: {_detail(answer)}", left)
        return answer


_NOT_SHOWN_TO_US = frozenset({httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND, httpx.codes.GONE})
_ABOUT_THE_INVOICE = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.CONFLICT})


class _ListedInvoice(wire.Wire):
    id: str


class _Listed(wire.Wire):
    total_count: int
    items: tuple[_ListedInvoice, ...]


def _read(kind: type[W], answer: httpx.Response) -> W:
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise Unreadable(f"OpenMeter's answer can't be read: {first['msg']} at {place!r}.") from error


def _asked_to_wait(message: str, left_seconds: float) -> UpstreamError:
    error = UpstreamError(message)
    error.wait_seconds = left_seconds if left_seconds > 0 else None
    return error


def _wait_seconds(told: str | None, now: datetime) -> float | None:
    """What the header Retry-After says, a number of seconds or a date; None where there is none that can be read."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return min(int(told), LONGEST_WAIT_SECONDS)
    with suppress(ValueError, TypeError):
        return min(max((parsedate_to_datetime(told) - now).total_seconds(), 0), LONGEST_WAIT_SECONDS)
    return None


def _detail(answer: httpx.Response) -> str:
    """What the answer says in words: the problem's detail, or what there is of a body."""
    try:
        told = answer.json()
    except ValueError:
        return answer.text[:LONGEST_DETAIL]
    return str(told.get("detail") or told)[:LONGEST_DETAIL] if isinstance(told, dict) else str(told)[:LONGEST_DETAIL]
