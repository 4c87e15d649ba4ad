"""Defects that other billing engines were seen to have, or their users asked about: each one as a story that must end well here."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billhook.clock import TurnedClock
from billhook.contract import (
    Batch,
    Capability,
    DocumentResult,
    InvoiceItem,
    Outgoing,
    RateLimit,
    Request,
    Steps,
    hookimpl,
)
from billhook.engine.effects import Transmission
from billhook.engine.engine import Engine
from billhook.engine.queries import InvoiceDetails
from billhook.errors import Conflict, InvalidInput, WebhookRefused
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.observers import Observers
from billhook.providers.custom_invoicing import CustomInvoicingProvider
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import Crashes, work_until_quiet
from billhook.testing.sandbox import encoding, reading, simulator
from billhook.testing.sandbox.provider import STEERING_KEY, SandboxProvider
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.story import SANDBOX_URL, TOKEN, SandboxStory, prepare
from billhook.testing.transport import SimulatorTransport

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECRET = "sandbox-webhook-secret"
LINE = {"name": "Lamp", "item_code": "L1", "quantity": "2", "price": {"type": "unit", "amount": "5.00"}}
DISCOUNTED = {**LINE, "discounts": [{"type": "percentage", "percentage": "10"}]}


@dataclass
class World:
    """An engine with one app for everything, the sandbox's books, and a clock that is turned."""

    engine: Engine
    books: SandboxSimulator
    clock: TurnedClock
    transport: HeldUp
    app_id: str

    @property
    def invoices(self) -> Any:
        return self.engine.namespace().invoices

    def submit(self, key: str = "one", *lines: Mapping[str, Any], **more: Any) -> str:
        draft = {"key": key, "customer_key": "ada", "currency": "GBP", "lines": list(lines) or [LINE], **more}
        return str(self.invoices.submit(draft).id)

    def work(self) -> None:
        work_until_quiet(self.engine, self.clock)

    def done(self, *lines: Mapping[str, Any], **more: Any) -> InvoiceDetails:
        """An invoice, worked as far as it goes."""
        invoice_id = self.submit("one", *lines, **more)
        self.work()
        return self.get(invoice_id)

    def get(self, invoice_id: str) -> InvoiceDetails:
        found: InvoiceDetails = self.invoices.get(invoice_id)
        return found

    def link(self, invoice_id: str) -> Any:
        link = schema.document_link
        with self.engine.database.read() as tx:
            return tx.first(sa.select(link).where(link.c.document_id == invoice_id))

    def count(self, table: sa.Table) -> int:
        with self.engine.database.read() as tx:
            return int(tx.scalar(sa.select(sa.func.count()).select_from(table)))


class HeldUp:
    """The simulators' transport, with something that may happen after a request was answered and before its answer arrives."""

    def __init__(self, inner: SimulatorTransport) -> None:
        self._inner = inner
        self.before_the_answer: Callable[[Outgoing], None] = lambda _request: None

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        came = self._inner.send(request, timeout_seconds)
        self.before_the_answer(request)
        return came

    def close(self) -> None:
        self._inner.close()


NewWorld = Callable[..., World]


@pytest.fixture
def a_world(tmp_path: Path) -> Iterator[NewWorld]:
    opened: list[World] = []

    def new(
        provider: type[Any] = SandboxProvider,
        *,
        settings: Mapping[str, Any] | None = None,
        secret: str | None = SECRET,
        workflow: Mapping[str, Any] | None = None,
        observers: Observers | None = None,
    ) -> World:
        clock = TurnedClock(BEGINS_AT)
        books = simulator(clock=clock)
        transport = HeldUp(SimulatorTransport({SANDBOX_URL: books}))
        engine = Engine.open(
            tmp_path / f"{len(opened)}.db",
            clock=clock,
            catalog=ProviderCatalog.from_objects([provider]),
            transport=transport,
            observers=observers,
        )
        app_id = install(engine, provider, settings, secret, workflow or {})
        engine.namespace().customers.create("Ada", key="ada")
        opened.append(World(engine, books, clock, transport, app_id))
        return opened[-1]

    yield new
    for world in opened:
        world.engine.close()
        world.books.close()


def install(
    engine: Engine,
    provider: type[Any],
    settings: Mapping[str, Any] | None,
    secret: str | None,
    workflow: Mapping[str, Any],
) -> str:
    credentials = {"token": TOKEN, **({"webhook_secret": secret} if secret else {})}
    namespace = engine.namespace()
    kind = provider.declaration.type
    is_sandbox = kind == "sandbox"
    app = namespace.apps.install(
        kind,
        settings=settings or ({"base_url": SANDBOX_URL} if is_sandbox else {}),
        credentials=credentials if is_sandbox else None,
    )
    namespace.profiles.create(
        name="Default",
        is_default=True,
        supplier={"name": "Acme"},
        workflow=workflow,
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
    )
    return str(app.id)


# An edit in the draft's pause, and repeated callbacks.


@pytest.fixture
def paused(a_world: NewWorld) -> World:
    return a_world(CustomInvoicingProvider, settings={"enable_draft_sync_hook": True})


def test_an_edit_during_the_draft_pause_opens_the_pause_again_whatever_metadata_it_brings(paused: World):
    invoice_id = paused.submit()
    paused.invoices.draft_synchronized(invoice_id)
    other_id = paused.submit("two")
    marker = {"openmeter.io/custominvoicing/draft-synced": "true", "synced": "2026-03-02T09:00:00Z"}
    paused.invoices.update(other_id, {"lines": [LINE, LINE], "metadata": marker})
    paused.work()
    assert paused.get(invoice_id).status != "draft.syncing"
    assert paused.get(other_id).status == "draft.syncing"


def test_no_metadata_that_an_invoice_is_submitted_with_passes_the_pause(paused: World):
    invoice_id = paused.submit(metadata={"openmeter.io/custominvoicing/draft-synced": "true"})
    paused.work()
    assert paused.get(invoice_id).status == "draft.syncing"


def test_a_callback_may_come_twice_but_not_with_something_else(paused: World):
    invoice_id = paused.submit()
    said = DocumentResult(external_id="ext-1", number="A-1")
    first = paused.invoices.draft_synchronized(invoice_id, said)
    assert paused.invoices.draft_synchronized(invoice_id, said).status == first.status
    with pytest.raises(Conflict):
        paused.invoices.draft_synchronized(invoice_id, replace(said, number="A-2"))


# A document that is made in several steps.


class HeaderThenLines(SandboxProvider):
    """Makes a draft in two requests, as providers do that take the lines apart from the header."""

    declaration = SandboxProvider.declaration.model_copy(
        update={
            "operations": {
                **SandboxProvider.declaration.operations,
                Capability.SYNC_DRAFT: SandboxProvider.declaration.operations[Capability.SEND],
            }
        }
    )

    @hookimpl
    def sync_draft(self, batch: Batch[InvoiceItem, Any]) -> Steps[DocumentResult]:
        entry = encoding.invoice_entry(batch.only)
        header = {**entry, "lines": []}
        made = yield self.upsert_request(batch, "header", "/v1/invoices", [header], status="draft")
        remote_id = made.json()["items"][0]["id"]
        reply = yield self.upsert_request(batch, "lines", "/v1/invoices", [{**entry, "id": remote_id}], status="draft")
        return reading.outcomes_of(reply, batch.items, lambda _item, entry: reading.read_draft(entry))


def test_a_crash_between_header_and_lines_leaves_neither_an_empty_nor_a_second_invoice(tmp_path: Path):
    catalog = ProviderCatalog.from_objects([HeaderThenLines])
    prepared, numbers = tmp_path / "prepared.db", itertools.count()
    clock = TurnedClock(BEGINS_AT)
    with Engine.open(prepared, catalog=catalog, clock=clock, credential_keys=CREDENTIAL_KEYS) as engine:
        prepare(engine)

    def a_story() -> SandboxStory:
        return SandboxStory.on(str(shutil.copy(prepared, tmp_path / f"{next(numbers)}.db")), catalog)

    for run in Crashes(a_story, timedelta(seconds=3)).singles(frozenset({"send.after"})):
        assert not run.problems, run
        assert all(document.lines for document in run.scenario.books.documents())
        run.scenario.close()


# Ids.


def test_a_discount_never_gets_the_id_of_its_line_not_even_after_an_update(a_world: NewWorld):
    world = a_world(workflow={"auto_advance": False})
    invoice = world.done(DISCOUNTED)
    kept = {**DISCOUNTED, "id": invoice.invoice.lines[0].id}
    world.invoices.update(invoice.id, {"lines": [kept, {**DISCOUNTED, "name": "Shade"}]})
    world.work()
    view = world.get(invoice.id).invoice
    assert len(view.line_external_ids) == 2
    assert len(view.discount_external_ids) == 2
    assert not set(view.line_external_ids.values()) & set(view.discount_external_ids.values())


# Tax.

TAXED = {**LINE, "tax_config": {"code": "standard"}}


def test_a_tax_look_up_that_is_refused_stops_the_invoice_instead_of_leaving_tax_out(a_world: NewWorld):
    world = a_world()
    invoice = world.done({**LINE, "tax_config": {"code": "no-such-code"}})
    assert invoice.status == "draft.invalid"
    assert [issue.severity for issue in invoice.issues] == ["critical"]
    assert world.books.documents() == ()


@pytest.mark.parametrize("fault", ["5xx_before", "garbage", "lost_response", "refuse"])
def test_a_tax_look_up_that_fails_for_a_while_is_asked_again(a_world: NewWorld, fault: str):
    world = a_world()
    world.books.fault(fault, matching="/v1/tax", times=3)
    invoice = world.done(TAXED)
    assert invoice.status == "paid"
    assert invoice.invoice.total == Decimal("12.00")


# Webhooks.


def a_signed_webhook(world: World) -> tuple[dict[str, str], bytes]:
    world.done(metadata={STEERING_KEY: "processing"})
    headers, body = world.books.pending_webhooks()[0]
    return dict(headers), body


def test_a_signed_webhook_that_is_too_old_is_refused(a_world: NewWorld):
    world = a_world()
    headers, body = a_signed_webhook(world)
    world.clock.advance(timedelta(minutes=6))
    with pytest.raises(WebhookRefused):
        world.engine.receive_webhook(world.app_id, headers, body)
    assert world.count(schema.inbox) == 0


def test_without_a_webhook_secret_every_webhook_is_refused(a_world: NewWorld):
    world = a_world(secret=None)
    headers, body = a_signed_webhook(world)
    with pytest.raises(WebhookRefused):
        world.engine.receive_webhook(world.app_id, headers, body)
    assert world.count(schema.inbox) == 0


class Stumbling(SandboxProvider):
    """Fails over the first webhook that it reads."""

    stumbles = 1

    @hookimpl
    def read_webhook(self, headers, body, secrets, now, settings):
        if Stumbling.stumbles:
            Stumbling.stumbles -= 1
            raise RuntimeError("the handler has a bug")
        return super().read_webhook(headers, body, secrets, now, settings)


def test_a_webhook_whose_handler_fails_is_not_taken_for_received(a_world: NewWorld):
    world = a_world(Stumbling)
    headers, body = a_signed_webhook(world)
    Stumbling.stumbles = 1
    with pytest.raises(Exception, match="bug"):
        world.engine.receive_webhook(world.app_id, headers, body)
    assert world.count(schema.inbox) == 0
    assert world.engine.receive_webhook(world.app_id, headers, body) == 1


def test_word_of_a_payment_that_comes_before_the_answer_to_its_own_request_waits_for_it(a_world: NewWorld):
    world = a_world()
    told: list[int] = []

    def tell(request: Outgoing) -> None:
        if request.url.endswith("/v1/payments"):
            for headers, body in world.books.pending_webhooks():
                told.append(world.engine.receive_webhook(world.app_id, dict(headers), body))

    world.transport.before_the_answer = tell
    invoice = world.done(metadata={STEERING_KEY: "processing"})
    assert sum(told) > 0
    assert invoice.status == "paid", "the event led to a look once the payment had a name here"
    assert [payment.status for payment in invoice.payments] == ["succeeded"]
    assert len(world.books.payments()) == 1


# Mapping.


class Picky(SandboxProvider):
    """Has no place for what has no item code."""

    @hookimpl
    def map_line(self, line, invoice, settings):
        return super().map_line(line, invoice, settings) if line.item_code else None


NOWHERE = {"name": "Something else", "price": {"type": "flat", "amount": "3.00"}}


def test_a_line_without_a_place_stops_the_invoice_and_is_never_left_out(a_world: NewWorld):
    world = a_world(Picky)
    invoice = world.done(LINE, NOWHERE)
    assert invoice.status == "draft.invalid"
    assert any("Something else" in issue.message for issue in invoice.issues)
    assert world.books.documents() == ()


def test_an_invoice_that_can_not_be_mapped_is_there_to_be_seen_and_goes_on_when_it_is_mended(a_world: NewWorld):
    world = a_world(Picky)
    invoice = world.done(LINE, NOWHERE)
    seen = {each.id for each in world.invoices.list().items}
    assert invoice.id in seen
    assert invoice.issues
    assert "retry" in {str(action) for action in invoice.available_actions}
    world.invoices.update(invoice.id, {"lines": [LINE, {**NOWHERE, "item_code": "E1"}]})
    world.work()
    assert world.get(invoice.id).status == "paid"
    assert len(world.books.documents()) == 1


# Budgets.


class Rationed(SandboxProvider):
    """May be called five times a minute by each app."""

    declaration = SandboxProvider.declaration.model_copy(
        update={"limits": (RateLimit(name="calls", calls=5, per=timedelta(minutes=1)),)}
    )


def test_one_tenant_that_used_up_its_budget_holds_up_no_other(a_world: NewWorld):
    world = a_world(Rationed)
    other = world.engine.namespace("other")
    app = other.apps.install("sandbox", settings={"base_url": SANDBOX_URL}, credentials={"token": TOKEN})
    roles = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app.id)
    other.profiles.create(name="Default", is_default=True, supplier={"name": "Acme"}, workflow={}, **roles)
    other.customers.create("Grace", key="grace")
    for number in range(20):
        world.submit(f"many-{number}")
    few = other.invoices.submit({"key": "few", "customer_key": "grace", "currency": "GBP", "lines": [LINE]})
    world.engine.run_until_idle()
    assert other.invoices.get(few.id).status == "paid"
    assert world.clock.now() == BEGINS_AT
    assert {each.status for each in world.invoices.list().items} != {"paid"}
    world.work()
    assert {each.status for each in world.invoices.list().items} == {"paid"}


# Payments.


@pytest.mark.parametrize("fault", ["5xx_before", "lost_response", "garbage"])
def test_a_read_that_fails_for_a_while_does_not_undo_a_payment(a_world: NewWorld, fault: str):
    world = a_world()
    world.books.fault(fault, matching="GET /v1/payments", times=3)
    invoice = world.done(metadata={STEERING_KEY: "processing"})
    assert [payment.status for payment in invoice.payments] == ["succeeded"]
    assert invoice.status == "paid"
    assert invoice.invoice.amount_paid == Decimal("10.00")


def test_a_kept_answer_about_something_that_was_deleted_since_does_not_pass_for_it(a_world: NewWorld):
    world = a_world()

    def delete_it(request: Outgoing) -> None:
        if request.url.endswith("/v1/invoices/upsert") and not deleted:
            document = world.books.documents()[0]
            deleted.append(document.id)
            world.books.ledger.put_document(replace(document, status="deleted"))

    deleted: list[str] = []
    world.transport.before_the_answer = delete_it
    world.books.fault("lost_response", matching="/v1/invoices/upsert")
    invoice = world.done()
    assert deleted
    standing = [document for document in world.books.documents() if document.status != "deleted"]
    assert invoice.status == "paid" if standing else invoice.failed, "an invoice that stands nowhere is not issued"


class Forgetful(SandboxProvider):
    """Can neither repeat a charge nor look it up."""

    def money_request(self, *args: Any) -> Request:
        return replace(super().money_request(*args), recover=())


def test_a_charge_nobody_knows_the_end_of_is_in_doubt_and_not_failed(a_world: NewWorld):
    world = a_world(Forgetful)
    world.books.fault("lost_response", matching="POST /v1/payments")
    invoice = world.done()
    assert invoice.in_doubt is not None
    assert not invoice.failed
    assert [payment.status for payment in invoice.payments] == ["pending"]
    assert [issue.code for issue in invoice.issues] == ["outcome_unknown"]


# Promises.


class Witness:
    """Remembers every transition that it is told of."""

    def __init__(self) -> None:
        self.moves: list[tuple[str, int, tuple[tuple[str, str], ...]]] = []

    @hookimpl
    def invoice_transitioned(self, event):
        self.moves.append((event.invoice_id, event.version, tuple(tuple(hop) for hop in event.hops)))


def test_every_transition_is_told_to_whoever_was_promised_to_hear_it(a_world: NewWorld):
    witness = Witness()
    world = a_world(observers=Observers([witness]))
    world.done(TAXED)
    failed = world.submit("two", {**LINE, "tax_config": {"code": "no-such-code"}})
    world.work()
    world.invoices.delete(failed)
    world.work()
    event = schema.event
    with world.engine.database.read() as tx:
        stored = tx.all(sa.select(event.c.document_id, event.c.version, event.c.hops).where(event.c.hops.is_not(None)))
    written = [(row.document_id, row.version, tuple(tuple(hop) for hop in json.loads(row.hops))) for row in stored]
    assert sorted(witness.moves) == sorted(written)
    assert len(written) > 5


def test_an_exchange_rate_of_exactly_one_between_two_currencies_is_refused(a_world: NewWorld):
    world = a_world()
    rate = {"from_currency": "GBP", "to_currency": "EUR", "rate": "1", "on": "2026-03-01"}
    with pytest.raises(InvalidInput):
        world.submit(exchange_rate=rate)
    assert world.count(schema.invoice) == 0
