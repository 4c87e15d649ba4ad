"""Custom Invoicing's three callbacks: draft synchronized, issuing synchronized, payment status. 204, and nothing else, when taken.

Plain routes, because integrations call them for every invoice: no dependency, no answer to encode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from billhook.contract.results import DocumentResult
from billhook.domain.ids import is_ulid
from billhook.domain.parsing import parse
from billhook.domain.period import UtcDatetime
from billhook.engine.callbacks import Callbacks
from billhook.engine.tokens import Role
from billhook.errors import InvalidInput, NotAllowed
from billhook.server.access import namespace_of
from billhook.server.limits import JSON_BODY
from billhook.server.paths import KnownRoute
from billhook.server.problems import billhook_problem
from billhook.server.v1.wire import ANY_CASE_ULID, WireModel

MOST_IDS = 10_000
PAYMENT_COMPONENT = "app.custom_invoicing.collectPayments.trigger_invoice"

M = TypeVar("M", bound=WireModel)

Text = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
"""A text that may be empty, which says nothing."""
Number = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00]*$")]
Id = Annotated[str, StringConstraints(pattern=ANY_CASE_ULID), AfterValidator(str.upper)]


class LineExternalId(WireModel):
    """What the outside calls a line, or a part of one."""

    line_id: Id
    external_id: Text


class LineDiscountExternalId(WireModel):
    """What the outside calls a discount."""

    line_discount_id: Id
    external_id: Text


class DraftInvoicing(WireModel):
    """What the outside says of a draft that it has."""

    invoice_number: Number = ""
    external_id: Text = ""
    line_external_ids: Annotated[tuple[LineExternalId, ...], Field(max_length=MOST_IDS)] = ()
    line_discount_external_ids: Annotated[tuple[LineDiscountExternalId, ...], Field(max_length=MOST_IDS)] = ()


class DraftSynchronized(WireModel):
    """The outside has the draft."""

    invoicing: DraftInvoicing

    def result(self) -> DocumentResult:
        """As the engine takes it."""
        said = self.invoicing
        return DocumentResult(
            number=said.invoice_number or None,
            external_id=said.external_id or None,
            line_ids=_by_id("lineExternalIds", ((each.line_id, each.external_id) for each in said.line_external_ids)),
            discount_ids=_by_id(
                "lineDiscountExternalIds",
                ((each.line_discount_id, each.external_id) for each in said.line_discount_external_ids),
            ),
        )


class FinalizedInvoicing(WireModel):
    """What the outside says of an invoice that it has issued."""

    invoice_number: Number = ""
    sent_to_customer_at: UtcDatetime | None = None


class FinalizedPayment(WireModel):
    """What the outside says of the payment to come."""

    external_id: Text = ""


class IssuingSynchronized(WireModel):
    """The outside has issued the invoice."""

    invoicing: FinalizedInvoicing = FinalizedInvoicing()
    payment: FinalizedPayment = FinalizedPayment()

    def result(self) -> DocumentResult:
        """As the engine takes it."""
        return DocumentResult(
            number=self.invoicing.invoice_number or None,
            sent_at=self.invoicing.sent_to_customer_at,
            payment_external_id=self.payment.external_id or None,
        )


class PaymentStatus(WireModel):
    """How the payment stands."""

    trigger: Literal["paid", "payment_failed", "payment_uncollectible", "payment_overdue", "action_required", "void"]


async def draft_synchronized(request: Request) -> Response:
    """POST {invoiceId}/draft/synchronized."""
    said = _body(request, DraftSynchronized)
    return await _call(request, lambda callbacks, invoice_id: callbacks.draft_synchronized(invoice_id, said.result()))


async def issuing_synchronized(request: Request) -> Response:
    """POST {invoiceId}/issuing/synchronized."""
    said = _body(request, IssuingSynchronized)
    return await _call(request, lambda callbacks, invoice_id: callbacks.issuing_synchronized(invoice_id, said.result()))


async def payment_status(request: Request) -> Response:
    """POST {invoiceId}/payment/status."""
    said = _body(request, PaymentStatus)
    try:
        return await _call(request, lambda callbacks, invoice_id: callbacks.payment_status(invoice_id, said.trigger))
    except NotAllowed as error:
        return billhook_problem(request.scope, error, component=PAYMENT_COMPONENT)


PATH = "/apps/custom-invoicing/{invoiceId}"
BODIES: Mapping[str, type[WireModel]] = {
    "draft/synchronized": DraftSynchronized,
    "issuing/synchronized": IssuingSynchronized,
    "payment/status": PaymentStatus,
}
"""What each callback takes."""
_ENDPOINTS = {
    "draft/synchronized": draft_synchronized,
    "issuing/synchronized": issuing_synchronized,
    "payment/status": payment_status,
}


def routes_under(prefix: str) -> list[KnownRoute]:
    """The three routes."""
    return [KnownRoute(f"{prefix}{PATH}/{end}", act, methods=["POST"]) for end, act in _ENDPOINTS.items()]


def _body(request: Request, kind: type[M]) -> M:
    if JSON_BODY not in request.scope:
        raise InvalidInput("body_missing", "Send a body, as JSON.")
    return parse(kind, request.scope[JSON_BODY])


async def _call(request: Request, act: Callable[[Callbacks, str], Future[None]]) -> Response:
    billing = namespace_of(request.app.state.engine, request.scope, Role.INTEGRATE)
    invoice_id = request.path_params["invoiceId"].upper()
    if not is_ulid(invoice_id):
        raise InvalidInput("id_invalid", "An invoice's id is a ULID of 26 letters and digits.", "/invoiceId")
    await asyncio.wrap_future(act(billing.callbacks, invoice_id))
    return Response(status_code=204)


def _by_id(name: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is given, by id. Raises InvalidInput for an id that is given two different names."""
    found: dict[str, str] = {}
    for id, external_id in pairs:
        if external_id and found.setdefault(id, external_id) != external_id:
            raise InvalidInput("external_id_ambiguous", f"{id} is given two external ids.", f"/invoicing/{name}")
    return found
