"""A stand-in for OpenMeter, written from what is published of its Custom Invoicing: states, triggers, callbacks, answers. Shares nothing with
the bridge.

It keeps invoices in memory, moves them through the documented states until they are stable, and notes every hop as an event that a test may
deliver, lose, double or reorder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
APP_ID = "01JAPP0000000000000000000A"
PROFILE_ID = "01JPR0F1E0000000000000000A"

SYNC_KEYS = {
    "draft.syncing": "openmeter.io/custominvoicing/draft-synced-at",
    "issuing.syncing": "openmeter.io/custominvoicing/finalized-at",
}
DRAFT = (
    "draft.waiting_for_collection",
    "draft.validating",
    "draft.syncing",
    "draft.sync_failed",
    "draft.waiting_auto_approval",
    "draft.manual_approval_needed",
    "draft.invalid",
)
MUTABLE = {state for state in DRAFT if state != "draft.syncing"}
PAYING = ("payment_processing.pending", "payment_processing.failed", "payment_processing.action_required")

# Trigger by trigger: from which states, and to which.
TRIGGERS: dict[str, dict[str, str]] = {
    "paid": dict.fromkeys((*PAYING, "overdue", "uncollectible"), "paid"),
    "payment_failed": {
        "payment_processing.pending": "payment_processing.failed",
        "payment_processing.action_required": "payment_processing.failed",
        "overdue": "payment_processing.failed",
        "draft.syncing": "draft.sync_failed",
        "issuing.syncing": "issuing.failed",
    },
    "payment_uncollectible": dict.fromkeys((*PAYING, "overdue"), "uncollectible"),
    "payment_overdue": dict.fromkeys(PAYING, "overdue"),
    "action_required": dict.fromkeys(
        ("payment_processing.pending", "payment_processing.failed", "overdue"), "payment_processing.action_required"
    ),
    "void": dict.fromkeys((*PAYING, "uncollectible"), "voided"),
}
RETRIES = {
    "draft.sync_failed": "draft.validating",
    "draft.invalid": "draft.validating",
    "issuing.failed": "issuing.syncing",
    "payment_processing.failed": "payment_processing.pending",
    "payment_processing.action_required": "payment_processing.pending",
    "overdue": "payment_processing.pending",
}


@dataclass
class StoredInvoice:
    """One invoice of the stand-in."""

    id: str
    number: str
    state: str
    lines: list[dict[str, Any]]
    updated_at: datetime
    customer: dict[str, Any]
    auto_advance: bool = True
    collection_method: str = "send_invoice"
    metadata: dict[str, str] = field(default_factory=dict)
    external_ids: dict[str, str] = field(default_factory=dict)
    line_ids: dict[str, str] = field(default_factory=dict)
    discount_ids: dict[str, str] = field(default_factory=dict)
    sent_at: str | None = None
    issued_at: datetime | None = None
    due_at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def currency(self) -> str:
        return "EUR"


@dataclass
class OpenMeterStandIn:
    """The outside system that the bridge works for. ``answers_with_invoice``: callbacks answer 200 with the invoice, as the server does."""

    draft_hook: bool = True
    issuing_hook: bool = True
    answers_with_invoice: bool = False
    token: str = "om-token"
    invoices: dict[str, StoredInvoice] = field(default_factory=dict)
    customers: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    busy: Callable[[httpx.Request], str | None] = lambda _request: None
    """What Retry-After says where it answers 429."""
    unreachable: Callable[[httpx.Request], bool] = lambda _request: False
    lose_answer: Callable[[httpx.Request], bool] = lambda _request: False
    _clock: datetime = START
    _numbers: int = 0

    # What its users do.

    def create(self, lines: Iterable[dict[str, Any]], *, id: str | None = None, **facts: Any) -> str:
        self._numbers += 1
        id = id or f"01J{self._numbers:023d}"
        customer = facts.pop("customer", {"id": "01JCVST0MER00000000000000A", "name": "Ada", "key": "ada"})
        stored = StoredInvoice(
            id, f"DRAFT-ADA-{self._numbers}", "draft.created", list(lines), self._now(), customer, **facts
        )
        self.invoices[id] = stored
        self._enter(stored, "draft.validating")
        return id

    def edit(self, id: str, lines: Iterable[dict[str, Any]] = (), *, echoes_marks: bool = False, **facts: Any) -> None:
        """A PUT. One that repeats the metadata that it was shown passes the pause again without waiting."""
        stored = self.invoices[id]
        assert stored.state in MUTABLE, stored.state
        stored.lines = list(lines) or stored.lines
        for name, value in facts.items():
            setattr(stored, name, value)
        for key in () if echoes_marks else SYNC_KEYS.values():
            stored.metadata.pop(key, None)
        self._enter(stored, "draft.validating")

    def approve(self, id: str) -> None:
        stored = self.invoices[id]
        assert stored.state in ("draft.manual_approval_needed", "draft.waiting_auto_approval")
        self._enter(stored, "draft.ready_to_issue")

    def retry(self, id: str) -> None:
        stored = self.invoices[id]
        self._enter(stored, RETRIES[stored.state])

    def delete(self, id: str) -> None:
        stored = self.invoices[id]
        assert stored.state.startswith(("draft", "issuing")), stored.state
        self._enter(stored, "delete.in_progress")

    def trigger(self, id: str, trigger: str) -> None:
        assert self._fire(self.invoices[id], trigger)

    def state(self, id: str) -> str:
        return self.invoices[id].state

    # The state machine.

    def _fire(self, stored: StoredInvoice, trigger: str) -> bool:
        to = TRIGGERS[trigger].get(stored.state)
        if to is not None:
            self._enter(stored, to)
        return to is not None

    def _enter(self, stored: StoredInvoice, state: str) -> None:
        to: str | None = state
        while to is not None:
            stored.state = to
            if to == "issuing.syncing":
                stored.issued_at = self._now()
                stored.due_at = stored.issued_at + timedelta(days=14)
            stored.updated_at = self._now()
            self.events.append(("invoice.updated", stored.id))
            to = self._next(stored)

    def _next(self, stored: StoredInvoice) -> str | None:
        match stored.state:
            case "draft.validating":
                return "draft.syncing"
            case "draft.syncing":
                if self.draft_hook and SYNC_KEYS["draft.syncing"] not in stored.metadata:
                    return None
                return "draft.waiting_auto_approval" if stored.auto_advance else "draft.manual_approval_needed"
            case "draft.waiting_auto_approval":
                return "draft.ready_to_issue"
            case "draft.ready_to_issue":
                # What has no line left is not issued.
                return "issuing.line_finalization" if self._has_lines(stored) else "delete.syncing"
            case "issuing.line_finalization":
                return "issuing.syncing"
            case "issuing.syncing":
                if self.issuing_hook and SYNC_KEYS["issuing.syncing"] not in stored.metadata:
                    return None
                if not self.issuing_hook and stored.number.startswith("DRAFT-"):
                    stored.number = f"INV-{self._numbers}"
                return "issued"
            case "issued":
                return "payment_processing.pending"
            case "delete.in_progress":
                return "delete.syncing"
            case "delete.syncing":
                return "deleted"
            case _:
                return None

    def _has_lines(self, stored: StoredInvoice) -> bool:
        return any("deletedAt" not in line for line in stored.lines)

    def _now(self) -> datetime:
        self._clock += timedelta(seconds=1)
        return self._clock

    # Its API.

    def client(self) -> httpx.Client:
        """A client whose requests come here without a network."""
        return httpx.Client(transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.unreachable(request):
            raise httpx.ConnectError("nobody there", request=request)
        if (left_alone := self.busy(request)) is not None:
            return problem(429, "too many requests", {"retry-after": left_alone})
        answer = self._answer(request)
        if self.lose_answer(request):
            raise httpx.ReadError("the line is dead", request=request)
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401, "unknown token")
        path = request.url.path.removeprefix("/api/v1")
        self.calls.append((request.method, path))
        if path == "/billing/invoices":
            return self._list(request)
        asked = re.fullmatch(r"/customers/([0-9A-Z]{26})", path)
        if asked:
            return self._customer(asked[1])
        shown = re.fullmatch(r"/billing/invoices/([0-9A-Z]{26})", path)
        if shown:
            stored = self.invoices.get(shown[1])
            return httpx.Response(200, json=self.shown(stored)) if stored else problem(404, "no such invoice")
        called = re.fullmatch(r"/apps/custom-invoicing/([0-9A-Z]{26})/(.+)", path)
        assert called, path
        stored = self.invoices.get(called[1])
        if stored is None:
            return problem(404, "no such invoice")
        refusal = self._called_back(stored, called[2], json.loads(request.content))
        if refusal is not None:
            self.refusals.append(refusal)
            return problem(400, refusal)
        return httpx.Response(200, json=self.shown(stored)) if self.answers_with_invoice else httpx.Response(204)

    def _customer(self, id: str) -> httpx.Response:
        stored = next((each.customer for each in self.invoices.values() if each.customer["id"] == id), None)
        if stored is None or self.customers.get(id, {}) is None:
            return problem(404, "no such customer")
        known = self.customers.get(id) or {}
        if "status" in known:
            return problem(known["status"], "the database is away")
        times = {"createdAt": moment(START), "updatedAt": moment(START)}
        return httpx.Response(200, json={**stored, **times, **known})

    def _list(self, request: httpx.Request) -> httpx.Response:
        params = request.url.params
        wanted, page, size = params.get_list("extendedStatuses"), int(params["page"]), int(params["pageSize"])
        found = [stored for stored in self.invoices.values() if stored.state in wanted]
        if params.get("includeDeleted") != "true":
            found = [stored for stored in found if not stored.state.startswith("delete")]
        if params["orderBy"] == "updatedAt":
            found.sort(key=lambda stored: stored.updated_at, reverse=params["order"] == "DESC")
        items = [self.shown(stored, lines=False) for stored in found[(page - 1) * size : page * size]]
        return httpx.Response(200, json={"totalCount": len(found), "page": page, "pageSize": size, "items": items})

    def _called_back(self, stored: StoredInvoice, what: str, body: dict[str, Any]) -> str | None:
        if what == "payment/status":
            return (
                None if self._fire(stored, body["trigger"]) else f"{body['trigger']} is not permitted in {stored.state}"
            )
        pause = {"draft/synchronized": "draft.syncing", "issuing/synchronized": "issuing.syncing"}[what]
        if stored.state != pause:
            return f"the invoice is not in {pause} state"
        if what == "draft/synchronized" and "invoicing" not in body:
            return "invoicing is required"
        told = body.get("invoicing", {})
        strangers = [
            row["lineId"] for row in told.get("lineExternalIds", ()) if row["lineId"] not in self._line_ids(stored)
        ]
        if strangers:
            return f"unknown line ids {strangers}"
        stored.number = told.get("invoiceNumber") or stored.number
        if told.get("externalId"):
            stored.external_ids["invoicing"] = told["externalId"]
        stored.line_ids |= {row["lineId"]: row["externalId"] for row in told.get("lineExternalIds", ())}
        stored.discount_ids |= {
            row["lineDiscountId"]: row["externalId"] for row in told.get("lineDiscountExternalIds", ())
        }
        stored.sent_at = told.get("sentToCustomerAt") or stored.sent_at
        if body.get("payment", {}).get("externalId"):
            stored.external_ids["payment"] = body["payment"]["externalId"]
        stored.metadata[SYNC_KEYS[pause]] = moment(self._now())
        self._enter(stored, self._next(stored) or pause)
        return None

    def _line_ids(self, stored: StoredInvoice) -> set[str]:
        return {line["id"] for parent in stored.lines for line in (parent, *parent.get("children", ()))}

    def shown(self, stored: StoredInvoice, *, lines: bool = True) -> dict[str, Any]:
        app = {"id": APP_ID} if not lines else {"id": APP_ID, "type": "custom_invoicing", "name": "Billhook"}
        left = (line for line in stored.lines if "deletedAt" not in line)
        total = sum((Decimal(line["totals"]["total"]) for line in left), Decimal(0))
        return {
            "id": stored.id,
            "number": stored.number,
            "type": "standard",
            "currency": stored.currency,
            "createdAt": moment(START),
            "updatedAt": moment(stored.updated_at),
            "supplier": {"name": "Billhook GmbH", "addresses": [{"country": "DE"}]},
            "customer": {**stored.customer, "usageAttribution": {"subjectKeys": []}},
            "status": stored.state.partition(".")[0],
            "statusDetails": {
                "extendedStatus": stored.state,
                "immutable": stored.state not in MUTABLE,
                "failed": stored.state.endswith("failed"),
                "availableActions": {},
            },
            "metadata": dict(stored.metadata),
            "externalIds": stored.external_ids,
            "totals": totals(total),
            "workflow": {
                "apps": {"tax": app, "invoicing": app, "payment": app},
                "sourceBillingProfileId": PROFILE_ID,
                "workflow": {"payment": {"collectionMethod": stored.collection_method}},
            },
            **({"issuedAt": moment(stored.issued_at)} if stored.issued_at else {}),
            **({"dueAt": moment(stored.due_at)} if stored.due_at else {}),
            **({"lines": stored.lines} if lines else {}),
            **stored.facts,
        }


def a_line(name: str, amount: str, *, id: str, **facts: Any) -> dict[str, Any]:
    """A flat line as OpenMeter shows it: its amount stands on the one detailed line."""
    period = {"from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    child = {
        "id": id[:-1] + "Z",
        "name": name,
        "type": "flat_fee",
        "quantity": "1",
        "perUnitAmount": amount,
        "totals": totals(Decimal(amount)),
        "period": period,
    }
    return {
        "id": id,
        "name": name,
        "type": "usage_based",
        "totals": totals(Decimal(amount)),
        "children": [child],
        "period": period,
    } | facts


def totals(total: Decimal, **others: str) -> dict[str, str]:
    zero = dict.fromkeys(
        ("chargesTotal", "discountsTotal", "creditsTotal", "taxesInclusiveTotal", "taxesExclusiveTotal", "taxesTotal"),
        "0",
    )
    return {"amount": str(total), **zero, "total": str(total), **others}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"type": "about:blank", "title": "refused", "status": status, "detail": detail}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json", **(headers or {})})


def moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
