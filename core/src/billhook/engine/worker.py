"""The worker: holds apps, prepares operations, commits, sends, and settles what comes back, one group commit after the other."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from billhook.engine import circuit, leases
from billhook.engine.borrowing import borrow, return_places
from billhook.engine.budget import Purpose
from billhook.engine.commits import Commits
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.effects import Fault, Look, Lost, Park, Send, Settle, Transmission, requested
from billhook.engine.fresh_credentials import FreshCredentials
from billhook.engine.held_apps import HeldApps
from billhook.engine.leaving_room import share_left
from billhook.engine.number_plan import NumberPlan
from billhook.engine.numbers import Numbers
from billhook.engine.open_operation import HeldApp, OpenOperation
from billhook.engine.prepare import Preparer, by_urgency, due_timers
from billhook.engine.renewal import RenewalLanded, Renewals
from billhook.engine.round import Commands, Round, RoundResult, Step, is_dissolved
from billhook.engine.sending import Landed, Landing, Sender, Senders, Sending
from billhook.engine.settle import Settler
from billhook.engine.usage import UsageSnapshots
from billhook.engine.work import ADVANCE
from billhook.store.transaction import Transaction


class Worker:
    """Works in the thread that calls ``tick``. One worker, one thread; several workers may share a database."""

    def __init__(
        self,
        context: Context,
        settler: Settler,
        numbers: Numbers,
        credentials: Credentials,
        renewals: Renewals,
        senders: Senders[Landing],
        sender: Sender,
        apply_commands: Commands,
        usage: UsageSnapshots,
        owner: str,
    ) -> None:
        self._context = context
        self._settler = settler
        self._numbers = numbers
        self._senders = senders
        self._sender = sender
        self._apply_commands = apply_commands
        self._usage = usage
        self.owner = owner
        self._apps = HeldApps(context, credentials, owner)
        self._fresh_credentials = FreshCredentials(context, credentials, renewals, senders, self._apps)
        self._commits = Commits(context, self._apps, self._follow_up)
        self._seen_wakeups = -1
        self._now_seconds: float = 0

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return self._apps.in_flight

    def tick(self, wait_seconds: float | None = None) -> bool:
        """One round. Returns whether anything was done. Waits up to that long for an answer when some are in flight."""
        landed = self._senders.landed(wait_seconds if self.in_flight else None)
        now = self._now()
        self._notice_wakeups()
        claimed = self._apps.claim(now)
        work = self._round(now)
        self._take_in(landed, work, now)
        self._apps.go_on(now)
        self._fresh_credentials.ask_for_due(now)
        self._resume(work, now)
        self._prepare(work, now)
        self._commit(work, now)
        released = self._apps.release_idle(now)
        return bool(landed or claimed or released or not work.is_empty)

    def drain(self, wait_seconds: float) -> None:
        """Take in what lands and store it; begin nothing new."""
        landed = self._senders.landed(wait_seconds)
        now = self._now()
        work = self._round(now)
        self._take_in(landed, work, now)
        for step in work.steps:
            if isinstance(step.effect, Send | Look):
                step.operation.driver.withdraw(step.effect)
                step.effect = Park(now, "the worker is stopping")
        self._commit(work, now)

    def next_due(self) -> datetime | None:
        """When something is due next that this worker may do."""
        with self._context.database.read() as tx:
            return leases.next_due_of_any(tx, self.owner, unasked=True)

    def give_back(self) -> None:
        """Let every app go. What is in flight must have landed."""
        self._apps.give_back(self._context.clock.now())

    def close(self) -> None:
        """Let go of threads."""
        self._senders.close()

    def _now(self) -> datetime:
        # Deadlines count from the same instant on both clocks.
        self._now_seconds = self._context.clock.monotonic()
        return self._context.clock.now()

    def _notice_wakeups(self) -> None:
        count = self._context.wakeups.count
        if count != self._seen_wakeups:
            self._seen_wakeups = count
            self._apps.look_again()

    def _round(self, now: datetime) -> Round:
        return Round(self._context, self._settler, self._apply_commands, now)

    # What came back.

    def _take_in(self, landed: Iterable[Landing], work: Round, now: datetime) -> None:
        answers = list(landed)
        for answer in answers:
            if isinstance(answer.came, BaseException):
                raise answer.came
            if isinstance(answer, RenewalLanded):
                self._fresh_credentials.take(answer.held, answer.came, now)
            else:
                self._take(answer, answer.came, work, now)
        self._return_places(_ended(answers))

    def _take(self, answer: Landed, came: Transmission, work: Round, now: datetime) -> None:
        sending, operation = answer.sending, answer.sending.operation
        self._context.faults.reach("reply.received")
        operation.in_flight = False
        if sending.place is None:
            effect = operation.driver.take(sending.attempt, came, now)
        else:
            effect = operation.driver.take_finding(sending.attempt, sending.place, came, now)
        operation.held.was_answered = True
        operation.held.budget.landed(sending.purpose, sending.counted_at, answer.trip)
        operation.held.budget.observe(operation.driver.remaining, now)
        circuit.observe(self._context, operation.held.lease, came, now)
        work.steps.append(Step(operation, effect, (sending.attempt, came)))

    def _return_places(self, ended: Iterable[Sending]) -> None:
        """What has ended makes place for others."""
        returned = [(places, sending.ends_at) for sending in ended for places in sending.operation.held.budget.places]
        if not returned:
            return
        for places, ends_at in returned:
            places.gave_back(ends_at)
        self._context.database.write(lambda tx: return_places(tx, returned))

    # What goes on.

    def _resume(self, work: Round, now: datetime) -> None:
        stepped = {step.operation.id for step in work.steps}
        for held in self._apps.usable(now):
            for operation in held.operations.values():
                due = operation.due is not None and operation.due <= now
                if due and not operation.in_flight and operation.id not in stepped:
                    work.steps.append(Step(operation, operation.driver.resume(now)))

    def _prepare(self, work: Round, now: datetime) -> None:
        usable = self._apps.usable(now)
        if not usable:
            return
        preparer = Preparer(self._context, NumberPlan(self._numbers), now)
        prepared: list[OpenOperation] = []
        with self._context.database.read() as tx:
            for held in usable:
                self._collect_timers(tx, held, work, now)
                prepared.extend(preparer.prepare(tx, held))
        for operation in by_urgency(prepared):
            effect = Settle(operation.refused) if operation.refused else operation.driver.resume(now)
            work.steps.append(Step(operation, effect))
        asked = self._usage.ask([timer.subject_id for timer in work.timers.works])
        work.timers.quantities, work.timers.unanswered = asked

    def _collect_timers(self, tx: Transaction, held: HeldApp, work: Round, now: datetime) -> None:
        if ADVANCE in held.empty:
            return
        timers = due_timers(tx, held, now, self._context.policy.largest_round)
        if not timers:
            held.empty.add(ADVANCE)
        work.timers.works.extend(timers)

    # Committing and sending.

    def _commit(self, work: Round, now: datetime) -> None:
        self._withhold(work, now)
        if not work.is_empty:
            self._commits.commit(work)

    def _withhold(self, work: Round, now: datetime) -> None:
        """Keep back what the budgets do not allow now; count what they do."""
        kept: list[Step] = []
        for step in work.steps:
            if not isinstance(step.effect, Send | Look):
                kept.append(step)
                continue
            operation, budget = step.operation, step.operation.held.budget
            purpose = Purpose(operation.spec.capability, requested(step.effect).step)
            if operation.is_new and purpose.step is not None:
                operation.held.first_steps[operation.spec.name] = purpose.step
            if self._may_spend(operation, purpose, now):
                budget.spend(purpose, now)
                kept.append(step)
            elif not operation.is_new:
                opens_at = budget.opens_at(purpose, now)
                operation.driver.withdraw(step.effect)
                kept.append(Step(operation, Park(opens_at, "the rate budget is spent"), step.came))
        work.steps = kept

    def _may_spend(self, operation: OpenOperation, purpose: Purpose, now: datetime) -> bool:
        budget, leaves = operation.held.budget, None
        if operation.is_new:
            leaves = share_left(operation.works.values(), self._context.policy.first_look, now)
        if budget.room(purpose, now, 1, leaves) <= 0:
            return False
        shared = budget.shared(purpose)
        if not shared and not budget.places:
            return True
        ends_at = now + operation.longest
        told = self._context.database.write(lambda tx: borrow(tx, shared, budget.places, ends_at, now))
        told.tell(shared, budget.places, ends_at, now)
        return told.is_granted

    def _follow_up(self, work: Round, result: RoundResult) -> None:
        """Do what was committed to. What became stale, or belongs to an app that was lost, is left."""
        unsent: list[Sending] = []
        for step in work.steps:
            is_stale = step.operation.id in result.stale
            if is_stale:
                step.operation.held.operations.pop(step.operation.id, None)
                step.operation.driver.close()
            if not is_stale and self._apps.still_holds(step.operation.held):
                self._follow(step, work.now)
            elif isinstance(step.effect, Send | Look):
                unsent.append(self._sending(step.operation, step.effect, work.now))
        self._return_places(unsent)

    def _follow(self, step: Step, now: datetime) -> None:
        operation, held = step.operation, step.operation.held
        for attempt in operation.driver.changed_attempts():
            attempt.stored, attempt.changed, attempt.adopted = True, False, False
        operation.is_new = False
        match step.effect:
            case Send() | Look():
                self._dispatch(operation, self._sending(operation, step.effect, now))
            case Park():
                self._park(operation, step.effect, now)
            case Fault() if not is_dissolved(step):
                operation.due = operation.next_try(self._context.policy, now)
                operation.faults += 1
                held.operations[operation.id] = operation
                self._log_fault(operation, step.effect)
            case Settle() | Fault():
                held.operations.pop(operation.id, None)
                self._count_settled(step)

    def _sending(self, operation: OpenOperation, effect: Send | Look, now: datetime) -> Sending:
        place = effect.place if isinstance(effect, Look) else None
        return Sending(operation, effect.attempt, place, self._now_seconds, now)

    def _dispatch(self, operation: OpenOperation, sending: Sending) -> None:
        operation.held.operations[operation.id] = operation
        operation.in_flight = True
        operation.sent_with = operation.held.credentials_version
        operation.held.budget.sent(sending.purpose, sending.counted_at)
        operation.due = None
        self._senders.submit(self._sender.task(sending))

    def _park(self, operation: OpenOperation, park: Park, now: datetime) -> None:
        held = operation.held
        operation.due = park.until
        held.operations[operation.id] = operation
        if park.cause == "throttled":
            held.lease.throttled_until = park.until
        if park.cause == "unauthorized":
            self._fresh_credentials.after_refusal(operation, now)

    def _log_fault(self, operation: OpenOperation, fault: Fault) -> None:
        fields = {
            "app": operation.held.app.id,
            "operation": operation.spec.name,
            "operation_id": operation.id,
            "reason": fault.reason,
        }
        self._context.telemetry.log(logging.ERROR, "A provider's operation failed. It will run again.", fields)

    def _count_settled(self, step: Step) -> None:
        if not isinstance(step.effect, Settle):
            return
        counts = Counter(type(outcome).__name__.lower() for outcome in step.effect.outcomes.values())
        for name, count in counts.items():
            self._context.telemetry.settled(step.operation.held.app.type, step.operation.spec.name, name, count)


def _ended(landed: Iterable[Landing]) -> list[Sending]:
    """What certainly runs no more. Of what was lost nobody knows, so it counts on until the provider must have stopped."""
    return [answer.sending for answer in landed if isinstance(answer, Landed) and not isinstance(answer.came, Lost)]
