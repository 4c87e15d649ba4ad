"""A life: one tenant with apps at several providers, on one database, told as a row of steps that a seed chooses."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from town import CATALOG, PAIRS, Place, a_town

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import BillingProfile
from billhook.errors import BillhookError, StoreError, StoreUnavailable
from billhook.faults import NO_FAULTS, Crash, Faults
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier
from billhook.testing.crash import FaultPlan, work_until_quiet
from billhook.testing.transport import SimulatorTransport

BEGINS_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMESPACE, CALLER = "life", "caller"
CUSTOMERS, PROFILES, LATEST, ROUNDS = 3, 4, 6, 3_000
TO_CONFIRM = {"draft.syncing": "draft_synchronized", "issuing.syncing": "issuing_synchronized"}


class Moved(NamedTuple):
    """Money that somebody moved past us at a place, less than nothing where it went back."""

    place: str
    reference: str
    amount: Decimal


class Slip(NamedTuple):
    """What an office took out of its books by mistake, and may put back."""

    place: str
    document: str
    reference: str
    amount: Decimal


class Dismissed(NamedTuple):
    """A warning that a person said was dealt with."""

    invoice: str
    component: str
    severity: str
    code: str
    path: str
    message: str


class Weather:
    """What happens at the fault points of whichever engine is open: nothing, or what a step brings about."""

    def __init__(self) -> None:
        self.now: Faults = NO_FAULTS

    def reach(self, point: str) -> None:
        self.now.reach(point)


@dataclass
class Life:
    """Everything that a step may touch. ``told`` is what was done, for whoever has to find out what went wrong.

    ``customers`` are ids by key, ``parted`` those who were deleted; ``lines`` are those that were kept pending and not removed; ``gone`` are
    the apps that were uninstalled, with their places. Of what was ``moved`` past us nobody will ever hear of what is ``untold``. What was ``taken_out``
    of books by hand is no money that moved, and what of that was one of the office's ``slips`` may be put back.
    """

    url: str
    chance: random.Random
    clock: TurnedClock
    town: Mapping[str, Place]
    engine: Engine
    caller: str = ""
    told: list[str] = field(default_factory=list)
    invoices: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    customers: dict[str, str] = field(default_factory=dict)
    parted: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    lines: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    untold: list[Moved] = field(default_factory=list)
    taken_out: list[Moved] = field(default_factory=list)
    slips: list[Slip] = field(default_factory=list)
    dismissed: set[Dismissed] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)
    weather: Weather = field(default_factory=Weather)
    count: int = 0
    collected_at: datetime = BEGINS_AT

    @classmethod
    def begin(cls, url: str, seed: object) -> Life:
        """Apps everywhere, some profiles that combine them, and customers. The same seed begins the same life."""
        chance, clock = random.Random(f"{seed}"), TurnedClock(BEGINS_AT)
        town = a_town(clock, chance)
        weather = Weather()
        life = cls(url, chance, clock, town, _open(url, clock, town, chance, weather), weather=weather)
        life._settle_in()
        return life

    @property
    def space(self) -> Namespace:
        return self.engine.namespace(NAMESPACE)

    @property
    def key(self) -> str:
        """A key of its own for each step."""
        return f"step-{self.count}"

    def some(self) -> InvoiceDetails:
        """One of the latest invoices."""
        return self.space.invoices.get(self.chance.choice(self.invoices[-LATEST:]))

    def place_of(self, app_id: str) -> Place | None:
        """None of the app whose work a caller does."""
        name = self.gone.get(app_id)
        return self.town[name] if name else next((each for each in self.town.values() if app_id in each.app_ids), None)

    def owner(self, reference: str) -> str:
        """The invoice that a payment's reference is about: it may name our payment, our invoice, or theirs."""
        return self.owners().get(reference, reference)

    def owners(self) -> Mapping[str, str]:
        """Our invoices by the names that payments may have them by."""
        payments = {payment.id: id for id in self.invoices for payment in self.space.invoices.get(id).payments}
        documents = {each.id: each.reference for place in self.town.values() for each in place.books.documents()}
        return {**documents, **payments}

    def note_moved(self, place: Place, reference: str, amount: Decimal) -> None:
        """Somebody moved money past us."""
        self.moved.append(Moved(place.name, reference, amount))

    def lose_what_was_told(self, place: Place) -> None:
        """What moved there until now is told by nobody any more."""
        self.untold += [each for each in self.moved if each.place == place.name and each not in self.untold]

    def take(self, step: Callable[[Life], Any]) -> None:
        """One step. What is refused for a reason is part of life; a raw error, or a store that gives up, is trouble."""
        self.count += 1
        try:
            self.told.append(f"{self.count} {step.__name__}: {step(self)}")
        except StoreError as error:
            self.troubles.append(f"step {self.count}, {step.__name__}: {error!r}")
        except BillhookError as refused:
            self.told.append(f"{self.count} {step.__name__}: refused, {refused}")
            if any(secret in str(refused) for secret in self._secrets()):
                self.troubles.append(f"step {self.count}, {step.__name__}: the refusal shows a secret: {refused}")

    def work(self, at_most: int = ROUNDS) -> None:
        """What is due now."""
        self.engine.run_until_idle(at_most=at_most)

    def crash(self, visit: int) -> str:
        """Work, and die at that visit of a fault point if it comes; then another process goes on."""
        self.reopen()
        self.weather.now = FaultPlan(visit)
        try:
            self.work()
        except Crash as crash:
            return crash.point
        finally:
            self.reopen()
        return "it came to rest before"

    def reopen(self) -> None:
        self.engine.close()
        self.weather.now = NO_FAULTS
        self.engine = _open(self.url, self.clock, self.town, self.chance, self.weather)

    def deliver(self, *, losing: float = 0.0) -> int:
        """Webhooks from everywhere; ``losing`` is how likely one is to find nobody, and comes again."""
        return sum(place.books.deliver_webhooks(partial(self._receive, place, losing)) for place in self.town.values())

    def _receive(self, place: Place, losing: float, headers: Any, body: bytes) -> int:
        if self.chance.random() < losing:
            return 503
        try:
            for app_id in place.app_ids:
                self.engine.receive_webhook(app_id, dict(headers), body)
        except StoreUnavailable:
            return 503
        except BillhookError:
            return 400
        return 200

    # The end.

    def heal(self, undo: Callable[[Life, Slip], Any]) -> None:
        """Nothing fails any more, everybody does their part, and all that is due is done."""
        self.mend()
        while self.slips:
            self.told.append(f"in the end is undone: {undo(self, self.slips.pop())}")
        for _ in range(3):
            self.rest(timedelta(days=1))
            self.clock.advance(self.engine.context.policy.orphan_after)
            self.collected_at = self.clock.now()
            self.invoices.extend(self.space.gathering.collect_due().invoice_ids)
            self._settle_doubts()
            self.space.retry_failed()
            self.rest(timedelta(hours=1))
            self._be_the_caller()
        for place in self.town.values():
            _act_as_payers(place)
        self.rest(timedelta(days=6))
        self.space.invoices.look_at_all()
        self.rest(timedelta(days=3))

    def mend(self) -> None:
        """No faults, and apps that are set up as they should be."""
        for place in self.town.values():
            place.books.clear_faults()
            for app_id in place.app_ids:
                self.space.apps.update(app_id, settings=place.connection.settings)
                self.space.apps.set_credentials(app_id, place.connection.credentials)
                self.space.apps.enable(app_id)

    def rest(self, longest: timedelta) -> None:
        self.deliver()
        work_until_quiet(self.engine, self.clock, longest)
        self.deliver()
        self.work()

    def _settle_doubts(self) -> None:
        """As a person does who looks there, and says what stands in the books."""
        for doubt in self.space.doubts.list():
            place = self.place_of(doubt.app_id)
            assert place is not None
            books = (place.books.customers(), place.books.documents(), place.books.payments())
            refunds = getattr(place.books, "refunds", tuple)()
            known = {each.reference: each.id for kind in (*books, refunds) for each in kind}
            found = known.get(doubt.document_id)
            says: dict[str, Any] = {"absent": True} if found is None else {"found": found}
            self.space.doubts.resolve(doubt.document_id, operation=doubt.operation, **says)
            self.told.append(f"in the end {doubt.operation} of {doubt.document_id} is settled: {says}")

    def _be_the_caller(self) -> None:
        """Confirm what waits for that, and approve what waits for a person."""
        for id in self.invoices:
            invoice = self.space.invoices.get(id)
            if self.place_of(invoice.apps["invoicing"]) is None and invoice.status in TO_CONFIRM:
                getattr(self.space.invoices, TO_CONFIRM[invoice.status])(id)
            if "approve" in invoice.available_actions:
                self.space.invoices.approve(id)

    # The beginning.

    def _settle_in(self) -> None:
        for place in self.town.values():
            self.install(place)
        settings = {"enable_issuing_sync_hook": True}
        self.caller = self.space.apps.install("custom_invoicing", name=CALLER, settings=settings).id
        for number in range(PROFILES):
            self.told.append(self.add_profile(self.chance.choice(PAIRS), is_default=number == 0))
        for number in range(CUSTOMERS):
            self.welcome(f"customer-{number}")

    def install(self, place: Place) -> None:
        """An app at that place; there may be others."""
        there = place.connection
        installed = self.space.apps.install(
            place.type, name=place.name, settings=there.settings, credentials=there.credentials
        )
        place.app_ids.append(installed.id)
        place.installed += 1

    def add_profile(self, pair: str, *, is_default: bool) -> str:
        """One that issues and collects at these two."""
        issues, takes = pair.split()
        ids = {CALLER: self.caller, **{place.name: place.app_id for place in self.town.values()}}
        tax = ids[self.chance.choice([issues, "sandbox"])]
        return self._profile(pair, is_default, {"tax": tax, "invoicing": ids[issues], "payment": ids[takes]})

    def replace_profile(self, before: BillingProfile, apps: Mapping[str, str]) -> None:
        """One with other apps takes the place of a profile, for whomever it served too."""
        self._profile(before.name, before.is_default, apps)
        overrides = self.space.overrides
        for override in overrides.list().items:
            if override.profile_id == before.id:
                overrides.set(override.customer_id, profile_id=self.profiles[-1], workflow=override.workflow)
        self.space.profiles.delete(before.id)
        self.profiles.remove(before.id)

    def _profile(self, name: str, is_default: bool, apps: Mapping[str, str]) -> str:
        ids = {f"{role}_app_id": app_id for role, app_id in apps.items()}
        made = self.space.profiles.create(name, is_default=is_default, supplier=a_supplier(), **ids)
        self.profiles.append(made.id)
        return f"profile {made.id} issues and is paid at {name}"

    def welcome(self, key: str) -> None:
        """A customer under that key; whoever had it before is gone."""
        if key in self.customers:
            self.parted.append(self.customers[key])
        made = self.space.customers.create(f"Customer {key} {self.count}", key=key, email="to@customer.example")
        self.customers[key] = made.id

    def _secrets(self) -> set[str]:
        return {secret for place in self.town.values() for secret in place.connection.credentials.values()}


def _open(url: str, clock: TurnedClock, town: Mapping[str, Place], chance: random.Random, faults: Faults) -> Engine:
    return Engine.open(
        url,
        upgrade=False,
        clock=clock,
        catalog=CATALOG,
        transport=SimulatorTransport({place.url: place.books for place in town.values()}),
        credential_keys=CREDENTIAL_KEYS,
        randomness=random.Random(chance.random()).randbytes,
        faults=faults,
    )


def _act_as_payers(place: Place) -> None:
    for payment in place.books.payments():
        if payment.status in {"action_required", "requires_action"}:
            place.books.finish_payment(payment.id)
