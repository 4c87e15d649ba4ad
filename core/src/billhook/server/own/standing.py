"""How an invoice stands: what can be done, what it waits for, what nobody knows, and its money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AwareDatetime, Field

from billhook.domain.issue import Severity
from billhook.engine.queries import InvoiceDetails, PaymentView
from billhook.server.v3.wire import Numeric, WireModel
from billhook.server.ways_out import over_http


class Issue(WireModel):
    """Something wrong with an invoice. A critical one fails the synchronization."""

    severity: Severity
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
    message: Annotated[str, Field(min_length=1, max_length=4096)]
    path: Annotated[str, Field(pattern=r"^(/.*)?$", max_length=1024, description="Where, as a JSON pointer.")] = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class ReportedIssue(Issue):
    """An issue that stands open."""

    component: str


class Payment(WireModel):
    """One payment of an invoice, in major units. ``action_url`` is where the payer acts; ``message`` says why it failed."""

    id: str
    key: str | None = None
    status: str
    amount: Numeric
    amount_received: Numeric
    currency: str
    origin: str
    app_id: str
    method: str | None = None
    external_id: str | None = None
    action_url: str | None = None
    code: str | None = None
    message: str | None = None
    received_at: AwareDatetime | None = None
    created_at: AwareDatetime


class Standing(WireModel):
    """Where an invoice stands. What it says stands under /api/v1/billing/invoices.

    ``pending_command`` was asked for, and waits until the operation under way ends. ``in_doubt`` says what nobody knows: settle it under
    /doubts. ``waiting_for`` says why an operation under way does not go on, ``gives_up_at`` how long it waits at most.
    ``way_out`` says what can be done where the payment failed.
    """

    id: str
    key: str | None = None
    number: str | None = None
    status: str
    revision: int
    currency: str
    total: Numeric
    amount_due: Numeric
    amount_paid: Numeric
    amount_credited: Numeric
    amount_refunded: Numeric
    available_actions: Mapping[str, str]
    immutable: bool
    failed: bool
    pending_command: str | None = None
    in_doubt: str | None = None
    waiting_for: str | None = None
    waiting_since: AwareDatetime | None = None
    gives_up_at: AwareDatetime | None = None
    way_out: str | None = None
    issues: list[ReportedIssue]
    payments: list[Payment]
    apps: Mapping[str, str]
    annotations: Mapping[str, str]


_FACTS = ("number", "revision", "currency", "total", "amount_due", "amount_paid", "amount_credited", "amount_refunded")
_STATE = ("status", "immutable", "failed", "pending_command", "in_doubt", "waiting_since", "gives_up_at", "apps")


def standing_of(details: InvoiceDetails) -> Standing:
    """How the invoice stands."""
    invoice = details.invoice
    waiting_for = None if details.waiting_for is None else over_http(details.waiting_for, invoice.id)
    return Standing(
        id=invoice.id,
        key=invoice.key,
        **{name: getattr(invoice, name) for name in _FACTS},
        **{name: getattr(details, name) for name in _STATE},
        available_actions={action.value: state.value for action, state in details.available_actions.items()},
        waiting_for=waiting_for,
        way_out=None if details.way_out is None else over_http(details.way_out, invoice.id),
        issues=[reported(issue, invoice.id) for issue in details.issues],
        payments=[_payment(payment) for payment in details.payments],
        annotations=details.annotations,
    )


def reported(issue: object, document_id: str) -> ReportedIssue:
    """An issue of that document, as it is shown."""
    fields = {name: getattr(issue, name) for name in ReportedIssue.model_fields}
    return ReportedIssue.model_construct(**fields | {"message": over_http(fields["message"], document_id)})


def _payment(payment: PaymentView) -> Payment:
    return Payment(**{name: getattr(payment, name) for name in Payment.model_fields})
