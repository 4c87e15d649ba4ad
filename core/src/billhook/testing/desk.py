"""A desk at which a provider is driven by hand: one operation, one request at a time, with no store and no worker between.

desk = Desk(provider, SimulatorTransport({URL: books}), settings=settings, credentials=credentials, clock=clock, simulator=books)
invoice = desk.issued()
assert desk.run(Capability.FETCH, invoice).result.found
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import Any

from billhook.clock import Clock
from billhook.contract import (
    Answered,
    Batch,
    Call,
    Capability,
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    Done,
    Find,
    Found,
    InvoiceItem,
    PaymentItem,
    Pending,
    Provider,
    RefundItem,
    Rejected,
    Reply,
    Request,
    encode_json,
)
from billhook.domain.invoice import DocumentType, InvoiceContent, InvoiceDraft, InvoiceView
from billhook.domain.mapping import MappedLine
from billhook.engine.calling import called
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission
from billhook.engine.outgoing import outgoing
from billhook.engine.transport import Transport
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
from billhook.testing.simulator.base import Simulator
from billhook.testing.simulator.messages import Dropped

ANSWERED_WITHIN_SECONDS = 60.0


class NotDone(AssertionError):
    """An operation that was to be done, and ended another way."""


def in_words(outcome: object) -> str:
    """How an operation ended that is not done."""
    match outcome:
        case Rejected(issues=issues):
            return f"a refusal: {'; '.join(issue.message for issue in issues)}"
        case Pending(reason=reason):
            return f"pending: {reason}"
        case _:
            return f"{outcome}"


def told_in(step: Request | Call) -> bytes:
    """What a step tells the provider: the body of a request, or the arguments of a call."""
    return encode_json(dict(step.function.args)) if isinstance(step, Call) else step.body


@dataclass(frozen=True, slots=True)
class Ran:
    """One operation, driven to its end: what was sent (each a Request, or a Call in place of one), and how it ended for each item."""

    outcomes: Mapping[str, Any]
    sent: Sequence[Any]

    @property
    def outcome(self) -> Any:
        """Of the one item that there was."""
        (outcome,) = self.outcomes.values()
        return outcome

    @property
    def result(self) -> Any:
        """What the one item's Done holds. Raises NotDone where it ended another way."""
        if not isinstance(self.outcome, Done):
            raise NotDone(f"what was to be done comes to {in_words(self.outcome)}")
        return self.outcome.result

    @property
    def codes(self) -> list[str]:
        """Why the one item was rejected."""
        return [issue.code for issue in self.outcome.issues]

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in the order in which they were sent."""
        return [request.step for request in self.sent]


class Desk:
    """One app of a provider and the simulator of its system. Items are told apart by their place: the same place is the same thing.

    Subclass it to say what your documents look like. Two desks at one simulator begin with other operations, so that their keys differ.
    """

    def __init__(
        self,
        provider: type[Provider[Any]] | ProviderHandle,
        transport: Transport,
        *,
        settings: Any,
        clock: Clock,
        credentials: Any = None,
        simulator: Simulator | None = None,
        currency: str = "EUR",
        first_operation: int = 10_000,
    ) -> None:
        self.handle = provider if isinstance(provider, ProviderHandle) else ProviderHandle(provider)
        self.transport = transport
        self.settings = settings
        self.credentials = credentials
        self.clock = clock
        self.currency = currency
        self._simulator = simulator
        self._operations = count(first_operation)
        self._customers: dict[str, CustomerLink] = {}

    # What is handed in.

    def batch(self, *items: Any) -> Batch[Any, Any]:
        """A fresh operation of these items, frozen now."""
        return Batch(an_id(next(self._operations)), items, self.settings, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        """A customer that is not there yet."""
        customer = a_customer(id=an_id(900 + number), name=f"Customer {number}", key=f"customer-{number}")
        usual = {"id": customer.id, "customer": customer, "currency": self.currency}
        return CustomerItem(**{**usual, **changes})

    def invoice_item(
        self, place: int = 1, draft: InvoiceDraft | None = None, content: InvoiceContent | None = None, **changes: Any
    ) -> InvoiceItem:
        """An invoice that is not there yet, of a customer who is."""
        content = content or a_content(draft or an_invoice(currency=self.currency), invoice_id=an_id(place))
        view = a_view(content, id=an_id(place), number=f"DRAFT-{place}")
        usual: dict[str, Any] = {"id": view.id, "invoice": view, "customer": self.link(), "lines": self.mapped(view)}
        usual["collected_here"] = self.handle.declaration.can(Capability.COLLECT_PAYMENT)
        if self.handle.declaration.numbers.needed_for is Capability.SYNC_DRAFT:
            usual["number"] = f"INV-{place}"
        return InvoiceItem(**{**usual, **changes})

    def credit_item(self, place: int = 1, draft: InvoiceDraft | None = None, **changes: Any) -> CreditNoteItem:
        """A credit note under its number; it stands alone unless ``applies_to`` says on which invoice."""
        draft = draft or an_invoice(lines=1, currency=self.currency)
        credited = draft.model_copy(update={"type": DocumentType.CREDIT_NOTE})
        view = a_view(a_content(credited, invoice_id=an_id(place)), id=an_id(place))
        usual = {"id": view.id, "credit_note": view, "customer": self.link(), "lines": self.mapped(view)}
        return CreditNoteItem(**{**usual, "number": f"CN-{place}", **changes})

    def payment_item(self, invoice: InvoiceItem, number: int = 500, **changes: Any) -> PaymentItem:
        """The whole of an invoice."""
        usual: dict[str, Any] = {
            "id": an_id(number),
            "invoice": invoice.invoice,
            "amount": invoice.invoice.total,
            "currency": invoice.invoice.currency,
            "customer": invoice.customer,
            "invoice_external_id": invoice.external_id,
        }
        return PaymentItem(**{**usual, **changes})

    def refund_item(self, payment_id: str, amount: str = "1.00", number: int = 700, **changes: Any) -> RefundItem:
        """A part of a payment, given back."""
        usual = {"id": an_id(number), "amount": Decimal(amount), "currency": self.currency}
        return RefundItem(**{**usual, "payment_external_id": payment_id, **changes})

    def link(self, number: int = 1) -> CustomerLink:
        """The customer as the app knows it: brought there when it is first asked for, where the provider keeps customers."""
        item = self.customer_item(number)
        if item.id not in self._customers:
            self._customers[item.id] = self._brought(item)
        return self._customers[item.id]

    def _brought(self, item: CustomerItem) -> CustomerLink:
        if not self.handle.declaration.can(Capability.SYNC_CUSTOMER):
            return CustomerLink(item.id)
        result = self.run(Capability.SYNC_CUSTOMER, item).result
        return CustomerLink(item.id, result.external_id, result.payment_method, result.app_data)

    def mapped(self, view: InvoiceView) -> tuple[MappedLine, ...]:
        """Where the provider itself sends the lines."""
        lines = (self.handle.map_line(line, view, self.settings) for line in view.lines)
        return tuple(line for line in lines if line is not None)

    def drafted(self, place: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice whose draft stands there, about to be issued under a number."""
        item = self.invoice_item(place, **changes)
        result = self.run(Capability.SYNC_DRAFT, item).result
        return replace(item, external_id=result.external_id, number=item.number or f"INV-{place}")

    def issued(self, place: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice that is final there."""
        can_draft = self.handle.declaration.can(Capability.SYNC_DRAFT)
        item = self.drafted(place, **changes) if can_draft else self.invoice_item(place, **changes)
        item = replace(item, number=item.number or f"INV-{place}")
        result = self.run(Capability.ISSUE, item).result
        return replace(item, external_id=item.external_id or result.external_id)

    # What is done.

    def transmit(self, request: Request | Call, key: str | None = "key-1", credentials: Any = None) -> Transmission:
        """What became of it, signed as the engine would, with the desk's credentials unless others are given."""
        if isinstance(request, Call):
            return called(self.handle, request, credentials or self.credentials)
        signed = self.handle.authenticate(outgoing(request, key), credentials or self.credentials, self.clock.now())
        return self.transport.send(signed, ANSWERED_WITHIN_SECONDS)

    def answer(self, request: Request | Call, key: str | None = "key-1", credentials: Any = None) -> Reply:
        """What comes back, whatever it says. Raises Dropped where nothing does."""
        came = self.transmit(request, key, credentials)
        if isinstance(came, Arrived):
            return came.reply
        raise Dropped(came.reason)

    def send(self, request: Request | Call, key: str | None = "key-1") -> Reply:
        """What comes back, which must be an answer that an operation may read."""
        reply = self.answer(request, key)
        verdict = self.handle.classify(request, reply)
        assert isinstance(verdict, Answered), (verdict, reply)
        return reply

    def run(self, capability: Capability, *items: Any) -> Ran:
        """The whole operation, with nothing going wrong."""
        return self.drive(capability, self.batch(*items))

    def drive(self, capability: Capability, batch: Batch[Any, Any], answers: Mapping[str, Reply] | None = None) -> Ran:
        """The whole operation; steps that ``answers`` names are not sent."""
        known = answers or {}
        sent: list[Request | Call] = []

        def answered(request: Request | Call) -> Reply:
            sent.append(request)
            return known.get(request.step) or self.send(request, f"{batch.operation_id}-{len(sent)}")

        return self._driven(capability, batch, answered, sent)

    def samples(self, capability: Capability, *items: Any) -> Ran:
        """The operation with made-up answers alone: what a preview does."""
        sent: list[Request] = []

        def answered(request: Request) -> Reply:
            sent.append(request)
            assert request.sample is not None, f"step {request.step} has no sample of its answer"
            return request.sample

        return self._driven(capability, self.batch(*items), answered, sent)

    def _driven(self, capability: Capability, batch: Batch[Any, Any], answered: Any, sent: Sequence[Any]) -> Ran:
        steps: Any = self.handle.start(capability, batch)
        if isinstance(steps, Mapping):
            return Ran(steps, sent)
        try:
            request = next(steps)
            while True:
                request = steps.send(answered(request))
        except StopIteration as end:
            return Ran(end.value, sent)

    def to_effect(
        self, capability: Capability, batch: Batch[Any, Any], step: str | None = None
    ) -> tuple[Request, dict[str, Reply]]:
        """The first request that changes something (or the one of that step), and the answers before it."""
        steps: Any = self.handle.start(capability, batch)
        before: dict[str, Reply] = {}
        request = next(steps)
        while not request.effectful or step not in {None, request.step}:
            before[request.step] = self.send(request, f"before-{len(before) + 1}")
            request = steps.send(before[request.step])
        steps.close()
        return request, before

    def effect(self, capability: Capability, batch: Batch[Any, Any], step: str | None = None) -> Request:
        """The first request that changes something (or the one of that step); what comes before it is sent."""
        return self.to_effect(capability, batch, step)[0]

    def lose(self, request: Request, key: str | None = "key-1") -> None:
        """Send it, let it be done, and see nothing of the answer."""
        assert self._simulator is not None, "Losing an answer takes a simulator: give it to the desk."
        self._simulator.fault("lost_response", matching=f"{request.method} ")
        came = self.transmit(request, key)
        assert isinstance(came, Lost | NotSent), came

    def look_up(self, request: Request) -> Mapping[str, Any]:
        """What the request's own look-up shows, by item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        found: Mapping[str, Any] = self.handle.registered_function(way.match.name)(
            self.send(way.request), **way.match.args
        )
        return found

    def settle_found(
        self,
        capability: Capability,
        batch: Batch[Any, Any],
        step: str,
        findings: Mapping[str, Any],
        before: Mapping[str, Reply] | None = None,
    ) -> dict[str, Any]:
        """The outcome of each item by what was found for that step, read alone as the engine does. ``before``: earlier answers."""
        return dict(self._each_settled(capability, batch, step, findings, before or {}))

    def _each_settled(
        self,
        capability: Capability,
        batch: Batch[Any, Any],
        step: str,
        findings: Mapping[str, Any],
        before: Mapping[str, Reply],
    ) -> Iterable[tuple[str, Any]]:
        for item in batch.items:
            finding = findings[item.id]
            assert isinstance(finding, Found), finding
            known = {**before, step: replace(finding.reply, source="found")}
            yield from self.drive(capability, replace(batch, items=(item,)), known).outcomes.items()
