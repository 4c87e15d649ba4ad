"""The bridge: reads one invoice on both sides, decides, does that one thing, and reads again until nothing is to be done now."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from billhook import BillhookError, InvoiceDetails, InvoiceView, Namespace
from billhook.contract import Capability
from billhook.domain.party import CustomerSnapshot
from billhook.engine.records import Customer
from billhook.errors import Conflict, InvalidInput, KeyReused, NotFound
from billhook_openmeter import reasons, telling, wire
from billhook_openmeter.client import OpenMeter, Refused, Unreadable
from billhook_openmeter.decision import (
    ENDED_UPSTREAM,
    FAILED_UPSTREAM,
    PAUSES,
    REFUSED,
    STEPS,
    TOLD_ONCE,
    PostAt,
    Situation,
    Step,
    decide,
    may_differ,
)
from billhook_openmeter.mirroring import (
    DIGEST,
    NotMirrored,
    credit_key_of,
    customer_of,
    draft_of,
    edit_of,
    has_something_to_invoice,
    key_of,
    party,
    upstream_id_of,
)
from billhook_openmeter.phases import Here, Upstream, phase_here, upstream_phase
from billhook_openmeter.sweep import Sweep

T = TypeVar("T")
log = logging.getLogger(__name__)

TOLD = "openmeter.told"
"""The annotation that tells which version of an invoice was told upstream."""
OURS = "custom_invoicing"
UNDER_WAY = frozenset({"pending", "processing", "authorized"})
MOST_STEPS = 12
"""A visit ends after so many steps at the latest; no way through both lifecycles is longer."""


@dataclass(frozen=True, slots=True)
class Both:
    """One invoice as it was just read on both sides. ``draft``: what upstream's content is here."""

    upstream: wire.Invoice
    here: InvoiceDetails | None
    draft: Mapping[str, Any] | None = None

    @property
    def phase(self) -> Upstream | None:
        """Where it stands upstream; None where nobody here can say."""
        return upstream_phase(self.upstream.status_details.extended_status)

    @property
    def standing(self) -> tuple[str, int | None]:
        """What changes when anything moves on either side."""
        return self.upstream.status_details.extended_status, self.here.invoice.version if self.here else None


class Contradiction(BillhookError):
    """The two sides say of the money what can't both be so. A person has to settle it."""

    code = "sides_contradict"


Action = Callable[[Both], Refused | None]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step that was taken or, for the reason that ``stuck`` tells, not taken. ``is_refused``: by one of the sides, as it stood."""

    both: Both
    step: Step
    stuck: str | None = None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visit did, and why it ended where it did."""

    upstream_id: str
    steps: tuple[Step, ...]
    stuck: str | None = None
    """Why a person is needed."""
    unknown: bool = False
    """OpenMeter does not know the invoice: not yet, or not any more."""


class Bridge:
    """Carries the invoices of one OpenMeter through the providers of one namespace.

    Every method may be called again, by several processes too: what is done twice is done once. ``app_id`` names the Custom Invoicing app
    of OpenMeter whose invoices are meant; None means all of that type.
    """

    def __init__(
        self, billing: Namespace, upstream: OpenMeter, *, post_at: PostAt = PostAt.ISSUE, app_id: str | None = None
    ) -> None:
        self._billing = billing
        self._upstream = upstream
        self._sweep = Sweep(billing, upstream)
        self._post_at = post_at
        self._app_id = app_id

    def visit(self, upstream_id: str, *, is_stopping: Callable[[], bool] = lambda: False) -> Visit:
        """Do for the invoice whatever can be done now, or one step more once it is to stop. Raises UpstreamError when OpenMeter can't be asked."""
        done: list[Step] = []
        refused: _Taken | None = None
        for _ in range(MOST_STEPS):
            try:
                upstream = self._upstream.invoice(upstream_id)
                if upstream is None:
                    return Visit(upstream_id, tuple(done), unknown=True)
                both = self._read(upstream)
                # Somebody else may have been faster: a refusal is believed where both sides still stand as they did.
                if refused is not None and refused.both.standing == both.standing:
                    return Visit(upstream_id, tuple(done), refused.stuck)
                taken = self._next(both)
            except (BillhookError, Unreadable) as error:
                return Visit(upstream_id, tuple(done), stuck=str(error))
            refused = taken if taken.is_refused else None
            if refused is not None:
                continue
            if taken.stuck is not None or taken.step is Step.WAIT:
                return Visit(upstream_id, tuple(done), taken.stuck)
            done.append(taken.step)
            if is_stopping():
                return Visit(upstream_id, tuple(done))
        log.warning("invoice %s upstream took %d steps in one visit; the next one goes on", upstream_id, MOST_STEPS)
        return Visit(upstream_id, tuple(done))

    def ids_to_visit(self) -> Iterator[str]:
        """Upstream ids of everything that may need something, each once: what is open on either side, and what is over on one of them alone.

        What this bridge once saw to be over upstream is not looked for again. Raises UpstreamError.
        """
        return self._sweep.ids()

    def upstream_id(self, invoice_id: str) -> str | None:
        """The upstream id of an invoice here; None for one that is of other origin."""
        try:
            return upstream_id_of(self._billing.invoices.get(invoice_id).invoice.key)
        except NotFound:
            return None

    # One step.

    def _next(self, both: Both) -> _Taken:
        """Decide, and do one step. With a text a person is needed."""
        upstream, phase = both.upstream, both.phase
        if not self._is_ours(upstream):
            return _Taken(both, Step.WAIT)
        if phase is None:
            return _Taken(both, Step.WAIT, reasons.unknown(upstream.status_details.extended_status))
        try:
            both, situation = self._compared(both, phase)
            step = decide(situation, self._post_at)
            if step is Step.WAIT:
                return _Taken(both, step, _left_open(both, situation))
            if step is Step.STUCK:
                self._fail_upstream(both, phase)
                why = reasons.stuck(upstream.status_details.extended_status, situation, both.here)
                return _Taken(both, step, why)
            log.info("invoice %s upstream: %s", upstream.id, step)
            return self._done(step, both)
        except (NotMirrored, InvalidInput) as error:
            self._fail_upstream(both, phase)
            return _Taken(both, Step.TELL_FAILED, str(error))

    def _done(self, step: Step, both: Both) -> _Taken:
        try:
            refused = self._actions[step](both)
        except InvalidInput:
            raise
        except BillhookError as error:
            return _Taken(both, step, str(error), is_refused=True)
        if refused is None:
            return _Taken(both, step)
        return _Taken(both, step, f"OpenMeter refuses {step}: {refused.detail}", is_refused=True)

    def _fail_upstream(self, both: Both, phase: Upstream) -> None:
        # In its pauses OpenMeter lets nobody change an invoice. Once it has failed there it can be mended, and tried again.
        if phase in PAUSES:
            self._upstream.tell(both.upstream.id, "payment/status", {"trigger": "payment_failed"})

    def _is_ours(self, upstream: wire.Invoice) -> bool:
        app = upstream.workflow.apps.invoicing
        if app is None:
            return self._app_id is None
        return app.type in (None, OURS) and self._app_id in (None, app.id)

    def _read(self, upstream: wire.Invoice) -> Both:
        return Both(upstream, self._billing.invoices.find(key_of(upstream.id)))

    def _compared(self, both: Both, phase: Upstream) -> tuple[Both, Situation]:
        """What upstream has beside what is here. Raises NotMirrored where that matters and can't be had here."""
        here = Here.ABSENT if both.here is None else phase_here(both.here.status)
        has_lines = phase is not Upstream.DRAFT_SYNC or has_something_to_invoice(both.upstream)
        matters = STEPS[phase][here] is Step.MIRROR or phase in FAILED_UPSTREAM or may_differ(phase, here)
        if matters and has_lines:
            both = replace(both, draft=draft_of(both.upstream))
        if both.here is None:
            return both, Situation(phase, here, has_lines=has_lines)
        invoice = both.here.invoice
        return both, Situation(
            phase,
            here,
            current=both.draft is None or invoice.content.metadata.get(DIGEST) == both.draft["metadata"][DIGEST],
            told=both.here.annotations.get(TOLD) == str(invoice.version),
            drafts_at_provider=self._keeps_drafts(both.here),
            has_lines=has_lines,
            given_back=phase in ENDED_UPSTREAM and self._is_given_back(both.upstream.id, invoice),
            asked=both.here.pending_command is not None,
        )

    def _is_given_back(self, upstream_id: str, invoice: InvoiceView) -> bool:
        note = self._billing.credit_notes.find(credit_key_of(upstream_id))
        is_credited = note is not None and note.status == "issued" and note.total >= invoice.total
        return is_credited or invoice.amount_refunded >= invoice.amount_paid

    def _keeps_drafts(self, here: InvoiceDetails) -> bool:
        app = self._billing.apps.get(here.apps["invoicing"])
        return self._billing.engine.catalog.load(app.type).declaration.can(Capability.SYNC_DRAFT)

    @cached_property
    def _actions(self) -> Mapping[Step, Action]:
        invoices = self._billing.invoices

        def command(ask: Callable[[str], object]) -> Callable[[Both], None]:
            def act(both: Both) -> None:
                ask(_known(both.here).id)

            return act

        def callback(what: str, body: Callable[[InvoiceDetails], Mapping[str, Any]]) -> Action:
            return lambda both: self._tell(both, what, body(_known(both.here)))

        return {
            Step.MIRROR: self._mirror,
            Step.APPROVE: self._approve,
            Step.RETRY: self._retry,
            Step.DELETE: command(invoices.delete),
            Step.VOID: command(invoices.void),
            Step.TELL_DRAFT: callback("draft/synchronized", telling.draft_synchronized),
            Step.TELL_EMPTY: lambda both: self._tell(both, "draft/synchronized", telling.NOTHING_TO_SYNC),
            Step.TELL_ISSUED: callback("issuing/synchronized", telling.issuing_synchronized),
            Step.TELL_FAILED: self._tell_failed,
            Step.TELL_PAYMENT: self._tell_payment,
            Step.HEAR_PAYMENT: self._hear_payment,
            Step.NOTE_TOLD: self._note_told,
        }

    def _mirror(self, both: Both) -> None:
        draft = _known(both.draft)
        customer = self._bring_customer(both.upstream.customer)
        made_out_to = _made_out_to(customer, both.upstream.customer)
        if both.here is not None:
            workflow = both.here.invoice.content.workflow
            self._billing.invoices.update(both.here.id, edit_of(draft, made_out_to, workflow))
            return
        if made_out_to != customer.party:
            # It is submitted for the customer as he is now. Without its digest the next step makes it out as upstream has it.
            draft = {**draft, "metadata": {**draft["metadata"], DIGEST: ""}}
        with suppress(KeyReused):  # another bridge was faster, with what upstream had a moment ago: read again
            self._billing.invoices.submit(draft, mirrored=True)

    def _approve(self, both: Both) -> None:
        self._bring_customer(both.upstream.customer)
        self._billing.invoices.approve(
            _known(both.here).id, issued_at=both.upstream.issued_at, due_at=both.upstream.due_at
        )

    def _retry(self, both: Both) -> None:
        # What was wrong may have been mended at the customer.
        self._bring_customer(both.upstream.customer)
        self._billing.invoices.retry(_known(both.here).id)

    def _bring_customer(self, upstream: wire.Party) -> Customer:
        """The customer here, who is known by the upstream id."""
        customers, key = self._billing.customers, _known(upstream.id)
        wanted = customer_of(upstream, self._upstream.customer(key))
        with suppress(NotFound):
            before = customers.get(key)
            metadata = {**before.metadata, **wanted.get("metadata", {})}
            return customers.update(key, **{**wanted, "metadata": metadata})
        with suppress(Conflict):  # another bridge was faster
            return customers.create(key=key, **{"name": key, **wanted})
        return customers.get(key)

    def _tell(self, both: Both, what: str, body: Mapping[str, Any]) -> Refused | None:
        return self._upstream.tell(both.upstream.id, what, dict(body))

    def _tell_failed(self, both: Both) -> Refused | None:
        # The callbacks have no word for a document that is refused; this trigger leads to the failed state of the same pause.
        return self._tell_trigger(both, "payment_failed")

    def _tell_payment(self, both: Both) -> Refused | None:
        return self._tell_trigger(both, telling.trigger(_known(both.here).status, both.upstream))

    def _tell_trigger(self, both: Both, trigger: str) -> Refused | None:
        refused = self._tell(both, "payment/status", {"trigger": trigger})
        if refused is None:
            self._note_told(both)
        return refused

    def _note_told(self, both: Both) -> None:
        here = _known(both.here)
        if phase_here(here.status) in TOLD_ONCE:
            self._billing.invoices.annotate(here.id, {TOLD: str(here.invoice.version)})

    def _hear_payment(self, both: Both) -> None:
        here = _known(both.here)
        heard = telling.HEARD[both.upstream.status_details.extended_status]
        if heard != "paid":
            self._billing.invoices.payment_status(here.id, heard)
            return
        if any(payment.status in UNDER_WAY for payment in here.payments):
            raise Contradiction(
                "it is paid upstream, and a payment is under way here; cancel that, or wait for its end"
            )
        # Recorded, so that the provider learns of it too and asks nobody for the money again.
        invoices = self._billing.invoices
        invoices.record_payment(
            here.id, here.invoice.amount_due, method="OpenMeter", key=f"{key_of(both.upstream.id)}:paid"
        )


def _made_out_to(customer: Customer, stated: wire.Party) -> CustomerSnapshot:
    """The customer as the upstream invoice shows him, under our id and with the address to mail to."""
    shown = CustomerSnapshot.model_validate({**dict(customer.party), "addresses": (), "tax_id": None, **party(stated)})
    return shown.model_copy(update={"key": customer.key})


def _left_open(both: Both, situation: Situation) -> str | None:
    """What waits for nothing but a person."""
    if situation.here in REFUSED:
        return reasons.stuck(both.upstream.status_details.extended_status, situation, both.here)
    if both.here is not None and both.here.in_doubt is not None:
        return reasons.in_doubt(both.here)
    if both.here is None or situation.upstream not in ENDED_UPSTREAM:
        return None
    # What a provider refused to take away stands there, though the invoice is gone on both sides.
    refused = [*reasons.refusals(both.here)]
    return f"it is gone on both sides, and the provider still has it: {refused[0]}" if refused else None


def _known(value: T | None) -> T:
    """What the decision rests on; every step that needs it is decided only where it was read."""
    if value is None:
        raise LookupError("a step was decided without what it needs")
    return value
