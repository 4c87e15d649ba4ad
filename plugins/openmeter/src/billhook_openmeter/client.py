"""OpenMeter over HTTP: reading invoices and their customers, and the three callbacks of its Custom Invoicing app.

Any 2xx is success: the documents say 204 without a body, the server answers 200 with the invoice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from billhook_openmeter import wire

DEFAULT_PREFIX = "/api/v1"
TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 100
LONGEST_DETAIL = 500

W = TypeVar("W", bound=wire.Wire)


class UpstreamError(Exception):
    """OpenMeter could not be reached, or answered something that says nothing about the invoice. Try again later."""


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
        self, url: str, token: str | None = None, *, prefix: str = DEFAULT_PREFIX, client: httpx.Client | None = None
    ) -> None:
        self.base = url.rstrip("/") + "/" + prefix.strip("/")
        self._client = client or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def invoice(self, invoice_id: str) -> wire.Invoice | None:
        """The invoice with its lines; None where there is none (yet). Raises UpstreamError."""
        answer = self._send("GET", f"/billing/invoices/{invoice_id}", params={"expand": ["lines", "workflow.apps"]})
        return None if answer.status_code == httpx.codes.NOT_FOUND else _read(wire.Invoice, self._accepted(answer))

    def invoice_ids(self, extended_statuses: Sequence[str]) -> Iterator[str]:
        """The ids of all invoices in these states, the oldest first. Raises UpstreamError."""
        page = 1
        while True:
            params = {"extendedStatuses": list(extended_statuses), "order": "ASC", "orderBy": "createdAt"}
            answer = self._send("GET", "/billing/invoices", params={**params, "page": page, "pageSize": PAGE_SIZE})
            listed = _read(_Listed, self._accepted(answer))
            yield from (item.id for item in listed.items)
            if page * PAGE_SIZE >= listed.total_count:
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
        try:
            return self._client.request(method, self.base + path, headers=self._headers, **content)
        except httpx.HTTPError as error:
            raise UpstreamError(f"OpenMeter at {self.base} can't be reached ({type(error).__name__}).") from error

    def _accepted(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise UpstreamRefusesUs(
                f"OpenMeter at {self.base} does not accept the token ({answer.status_code}). Give another one."
            )
        if not answer.is_success:
            raise UpstreamError(f"OpenMeter answered {answer.status_code}: {_detail(answer)}")
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


def _detail(answer: httpx.Response) -> str:
    """What the answer says in words: the problem's detail, or what there is of a body."""
    try:
        told = answer.json()
    except ValueError:
        return answer.text[:LONGEST_DETAIL]
    return str(told.get("detail") or told)[:LONGEST_DETAIL] if isinstance(told, dict) else str(told)[:LONGEST_DETAIL]
