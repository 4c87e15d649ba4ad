"""The worker: holds apps, prepares operations, commits, sends, and settles what comes back, one group commit after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from billhook.engine import leases
from billhook.engine.app_status import become_unauthorized
from billhook.engine.borrowing import borrow, return_places
from billhook.engine.budget import Budget, Purpose, is_shared, read_budget
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.effects import Arrived, Fault, Look, Lost, Park, Send, Settle, Transmission, Unsendable, requested
from billhook.engine.leases import Lease
from billhook.engine.number_plan import NumberPlan
from billhook.engine.numbers import Numbers
from billhook.engine.open_operation import HeldApp, OpenOperation, read_open
from billhook.engine.prepare import Preparer, by_urgency, due_timers
from billhook.engine.renewal import Postponed, Refused, Renewal, RenewalLanded, Renewals, Renewed
from billhook.engine.round import Commands, Round, RoundResult, Step, is_dissolved
from billhook.engine.sending import Landed, Landing, Sender, Senders, Sending
from billhook.engine.settle import Settler
from billhook.engine.telling import told
from billhook.engine.usage import UsageSnapshots
from billhook.engine.work import ADVANCE, EVERYTHING
from billhook.errors import StaleWrite, StoreError
from billhook.store.transaction import Transaction

POLL = timedelta(seconds=1)
"""How often an idle worker looks for work that another process asked for."""
STALE_RETRIES = 20
BUDGETS_KEPT = 1_000
"""Beyond so many, budgets that apps were given back with are looked through for those that matter no more."""


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
        self._credentials = credentials
        self._renewals = renewals
        self._senders = senders
        self._sender = sender
        self._apply_commands = apply_commands
        self._usage = usage
        self.owner = owner
        self._held: dict[str, HeldApp] = {}
        self._budgets_before: dict[str, Budget] = {}
        self._next_claim: datetime | None = None
        self._seen_wakeups = -1
        self._now_seconds: float = 0

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return sum(held.in_flight for held in self._held.values())

    def tick(self, wait_seconds: float | None = None) -> bool:
        """One round. Returns whether anything was done. Waits up to that long for an answer when some are in flight."""
        landed = self._senders.landed(wait_seconds if self.in_flight else None)
        now = self._now()
        self._notice_wakeups()
        claimed = self._claim(now)
        work = Round(self._context, self._settler, self._apply_commands, now)
        for answer in landed:
            self._take_in(answer, work, now)
        self._return_places(_ended(landed))
        self._go_on(now)
        self._renew_due(now)
        self._resume(work, now)
        self._prepare(work, now)
        self._commit(work, now)
        released = self._release_idle(now)
        return bool(landed or claimed or released or not work.is_empty)

    def _now(self) -> datetime:
        # Deadlines count from the same instant on both clocks.
        self._now_seconds = self._context.clock.monotonic()
        return self._context.clock.now()

    def drain(self, wait_seconds: float) -> None:
        """Take in what lands and store it; begin nothing new."""
        landed = self._senders.landed(wait_seconds)
        now = self._now()
        work = Round(self._context, self._settler, self._apply_commands, now)
        for answer in landed:
            self._take_in(answer, work, now)
        self._return_places(_ended(landed))
        for step in work.steps:
            if isinstance(step.effect, Send | Look):
                step.operation.driver.withdraw(step.effect)
        work.steps = [
            Step(step.operation, Park(now, "the worker is stopping"), step.came)
            if isinstance(step.effect, Send | Look)
            else step
            for step in work.steps
        ]
        self._commit(work, now)

    # Holding apps.

    def _notice_wakeups(self) -> None:
        count = self._context.wakeups.count
        if count == self._seen_wakeups:
            return
        self._seen_wakeups = count
        self._next_claim = None
        for held in self._held.values():
            held.look_again(EVERYTHING)

    def _claim(self, now: datetime) -> bool:
        free = self._context.policy.apps_per_worker - len(self._held)
        if free <= 0 or (self._next_claim is not None and now < self._next_claim):
            return False
        context, lifetime = self._context, self._context.policy.lease
        liveness = context.database.liveness
        taken, next_due = context.database.write(
            lambda tx: (leases.claim(tx, self.owner, liveness, now, lifetime, free), leases.next_free(tx, now))
        )
        self._next_claim = min(next_due or now + POLL, now + POLL)
        for lease in taken:
            self._hold(lease, now)
        return bool(taken)

    def _hold(self, lease: Lease, now: datetime) -> None:
        try:
            self._open_app(lease, now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one app that can't be opened must not stop the others
            self._set_aside(lease, now, error)

    def _set_aside(self, lease: Lease, now: datetime, error: Exception) -> None:
        """Leave an app alone for a while: its provider is gone, or its data can't be read by it."""
        fields = {"app": lease.app_id, "reason": told(error)}
        self._context.telemetry.log(logging.ERROR, "An app can't be worked on; it is tried again later.", fields)
        again = now + self._context.policy.longest_backoff
        self._context.database.write(lambda tx: leases.release(tx, lease, now, again))

    def _open_app(self, lease: Lease, now: datetime) -> None:
        with self._context.database.read() as tx:
            app = self._context.apps.get(tx, lease.app_id)
            held = HeldApp(app, lease, read_budget(tx, app), None, None, now)
            if app.id in self._budgets_before:
                held.budget.remember(self._budgets_before.pop(app.id))
            self._load_credentials(tx, held)
            held.operations = {operation.id: operation for operation in read_open(self._context, tx, held)}
        self._held[app.id] = held

    def _load_credentials(self, tx: Transaction, held: HeldApp) -> None:
        if held.app.credential_id is None:
            return
        credential = self._credentials.load(tx, held.app.credential_id)
        held.take_credentials(credential, self._context.policy.renew_before)

    def _release_idle(self, now: datetime) -> bool:
        idle = [held for held in self._held.values() if self._is_idle(held, now)]
        for held in idle:
            self._let_go(held, now)
        return bool(idle)

    def _is_idle(self, held: HeldApp, now: datetime) -> bool:
        if held.in_flight or held.should_renew(now):
            return False
        if held.is_refused or held.lease.blocked_until(now) is not None or not held.can_sign(now):
            return True
        over = self._is_over(held, now)
        waiting = any(operation.due is not None and operation.due <= now for operation in held.operations.values())
        return over or (not waiting and held.found_nothing(now))

    def _go_on(self, now: datetime) -> None:
        """Begin another turn at once where nobody waits for a hand: to be given back and taken again costs what might be sent meanwhile."""
        if len(self._held) >= self._context.policy.apps_per_worker:
            return
        over = [held for held in self._held.values() if held.was_answered and self._is_over(held, now)]
        if not over:
            return
        with self._context.database.read() as tx:
            for held in over:
                if held.app.status == "ready" and self._context.apps.is_unchanged(tx, held.app):
                    held.begin_turn(now)

    def _is_over(self, held: HeldApp, now: datetime) -> bool:
        """Its turn is over: nothing new begins, and it is given back when what is in flight has landed."""
        return now - held.began_at >= self._context.policy.slice

    def _is_usable(self, held: HeldApp, now: datetime) -> bool:
        if held.is_refused or not held.can_sign(now):
            return False
        return held.lease.blocked_until(now) is None and not self._is_over(held, now)

    def _let_go(self, held: HeldApp, now: datetime) -> None:
        for operation in held.operations.values():
            operation.driver.close()
        del self._held[held.app.id]
        self._keep_budget(held, now)
        # Parked for want of credentials, its operations are due at no time of their own.
        again = now if held.is_refused else held.goes_on_at if held.can_sign(now) else held.renew_at
        self._context.database.write(lambda tx: leases.release(tx, held.lease, now, held.budget_opens_at(now), again))
        self._next_claim = None

    def _keep_budget(self, held: HeldApp, now: datetime) -> None:
        # An app whose budget is spent is let go until it opens: by then it still matters how late its last calls arrived.
        if len(self._budgets_before) >= BUDGETS_KEPT:
            self._budgets_before = {id: kept for id, kept in self._budgets_before.items() if kept.has_memory(now)}
        if held.budget.has_memory(now):
            self._budgets_before[held.app.id] = held.budget

    def next_due(self) -> datetime | None:
        """When something is due next that this worker may do."""
        with self._context.database.read() as tx:
            return leases.next_due_of_any(tx, self.owner)

    def give_back(self) -> None:
        """Let every app go. What is in flight must have landed."""
        now = self._context.clock.now()
        for held in list(self._held.values()):
            self._let_go(held, now)

    def close(self) -> None:
        """Let go of threads."""
        self._senders.close()

    # What came back.

    def _take_in(self, answer: Landing, work: Round, now: datetime) -> None:
        if isinstance(answer.came, BaseException):
            raise answer.came
        if isinstance(answer, RenewalLanded):
            self._take_renewal(answer.held, answer.came, now)
        else:
            self._take(answer, answer.came, work, now)

    def _take(self, answer: Landed, came: Transmission, work: Round, now: datetime) -> None:
        sending, operation = answer.sending, answer.sending.operation
        self._context.faults.reach("reply.received")
        operation.in_flight = False
        if sending.place is None:
            effect = operation.driver.take(sending.attempt, came, now)
        else:
            effect = operation.driver.take_finding(sending.attempt, sending.place, came, now)
        operation.held.was_answered = True
        operation.held.budget.landed(sending.purpose, sending.counted_at, now)
        operation.held.budget.observe(operation.driver.remaining, now)
        self._observe(operation.held, came, now)
        work.steps.append(Step(operation, effect, (sending.attempt, came)))

    def _return_places(self, ended: Iterable[Sending]) -> None:
        """What has ended makes place for others."""
        returned = [(places, sending.ends_at) for sending in ended for places in sending.operation.held.budget.places]
        if not returned:
            return
        for places, ends_at in returned:
            places.gave_back(ends_at)
        self._context.database.write(lambda tx: return_places(tx, returned))

    def _observe(self, held: HeldApp, came: Transmission, now: datetime) -> None:
        if isinstance(came, Unsendable):
            return
        lease = held.lease
        usable = isinstance(came, Arrived) and came.reply.status < 500
        if usable:
            lease.failures, lease.circuit_until = 0, None
        else:
            self._count_failure(held, now)

    def _count_failure(self, held: HeldApp, now: datetime) -> None:
        lease, policy = held.lease, self._context.policy
        lease.failures += 1
        if lease.failures >= policy.circuit_failures:
            pause = min(
                policy.first_backoff * 2 ** min(lease.failures - policy.circuit_failures + 2, 16),
                policy.longest_backoff,
            )
            lease.circuit_until = now + pause
            self._context.telemetry.log(
                logging.WARNING, "The circuit of an app opened.", {"app": held.app.id, "failures": lease.failures}
            )

    # What goes on.

    def _resume(self, work: Round, now: datetime) -> None:
        stepped = {step.operation.id for step in work.steps}
        for held in self._held.values():
            if not self._is_usable(held, now):
                continue
            for operation in held.operations.values():
                due = operation.due is not None and operation.due <= now
                if due and not operation.in_flight and operation.id not in stepped:
                    work.steps.append(Step(operation, operation.driver.resume(now)))

    def _prepare(self, work: Round, now: datetime) -> None:
        usable = [held for held in self._held.values() if self._is_usable(held, now)]
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
        if work.is_empty:
            return
        try:
            self._commit_together(work, list(self._held.values()), now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - found by app below, so that one app's trouble stays its own
            self._commit_apart(work, now, error)

    def _commit_together(self, work: Round, held: Sequence[HeldApp], now: datetime) -> None:
        work.leases = [one.lease for one in self._renewed(work, held)]
        work.windows = [window for one in held for window in one.budget.dirty() if not is_shared(window)]
        self._context.faults.reach("round.before")
        result = self._write(work)
        self._context.faults.reach("round.after")
        self._context.telemetry.committed()
        for window in work.windows:
            window.is_dirty = False
        self._drop_lost(result.lost)
        self._mark_wanted(result)
        unsent: list[Sending] = []
        for step in work.steps:
            is_stale = step.operation.id in result.stale
            if is_stale:
                step.operation.held.operations.pop(step.operation.id, None)
                step.operation.driver.close()
            if not is_stale and self._holds(step.operation.held):
                self._follow(step, now)
            elif isinstance(step.effect, Send | Look):
                unsent.append(self._sending(step.operation, step.effect, now))
        self._return_places(unsent)

    def _renewed(self, work: Round, held: Sequence[HeldApp]) -> Iterator[HeldApp]:
        """The apps to be kept: a call that never returns must not keep its app for ever, so one whose turn is over has to show an answer."""
        concerned = {step.operation.held.app.id for step in work.steps} | {timer.app_id for timer in work.timers.works}
        return (one for one in held if one.app.id in concerned or not self._is_over(one, work.now))

    def _commit_apart(self, work: Round, now: datetime, error: Exception) -> None:
        """Commit each app's part by itself, and what fails there operation by operation: each trouble stays where it is."""
        # Whose error it is comes out below; told here, it could not be kept free of everybody's secrets.
        fields = {"reason": type(error).__name__}
        self._context.telemetry.log(logging.ERROR, "A round could not be committed as a whole.", fields)
        for app_id, part in work.by_app().items():
            held = self._held.get(app_id)
            if held is not None and not self._is_committed(part, held, now):
                self._commit_singly(part, held, now)

    def _commit_singly(self, part: Round, held: HeldApp, now: datetime) -> None:
        for single in part.singly():
            if self._is_committed(single, held, now):
                continue
            # What was answered is kept, and the operation runs again later: a fault of its own.
            for step in single.steps:
                step.effect = Fault("what it made could not be stored")
            if not single.steps or not self._is_committed(single, held, now):
                self._held.pop(held.app.id, None)
                self._set_aside(held.lease, now, StoreError("its fault could not be stored either"))
                return

    def _is_committed(self, part: Round, held: HeldApp, now: datetime) -> bool:
        try:
            self._commit_together(part, [held], now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - told, and tried in smaller parts
            fields = {"app": held.app.id, "reason": held.told(error)}
            self._context.telemetry.log(logging.ERROR, "Part of a round could not be committed.", fields)
            return False
        return True

    def _write(self, work: Round) -> RoundResult:
        for _ in range(STALE_RETRIES):
            try:
                return self._context.database.write(work)
            except StaleWrite:
                work.looks_first = True
        return self._context.database.write(work)

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
        budget = operation.held.budget
        if budget.room(purpose, now, 1) <= 0:
            return False
        shared = budget.shared(purpose)
        if not shared and not budget.places:
            return True
        ends_at = now + operation.longest
        told = self._context.database.write(lambda tx: borrow(tx, shared, budget.places, ends_at, now))
        told.tell(shared, budget.places, ends_at, now)
        return told.is_granted

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
            self._reauthorize(operation, now)

    def _reauthorize(self, operation: OpenOperation, now: datetime) -> None:
        """Use newer credentials where there are some, else renew them once, else hold all the app's work."""
        held, used = operation.held, operation.sent_with
        operation.due = now
        if held.credentials_version != used or held.is_renewing or held.is_refused:
            return
        if held.refreshed_version == used or not held.app.can_renew:
            self._refuse(held)
        else:
            self._expire(held, now)

    def _expire(self, held: HeldApp, now: datetime) -> None:
        held.usable_until = held.renew_at = now
        credential_id, version = held.app.credential_id, held.credentials_version
        if credential_id is not None and version is not None:
            self._context.database.write(lambda tx: self._credentials.expire(tx, credential_id, version))

    def _refuse(self, held: HeldApp) -> None:
        """Newer credentials that somebody set meanwhile are not to be blamed for what these did."""
        held.is_refused = True
        self._context.database.write(lambda tx: self._hold_unless_replaced(tx, held))

    def _hold_unless_replaced(self, tx: Transaction, held: HeldApp) -> None:
        known = self._credentials.version(tx, held.app.credential_id) if held.app.credential_id else None
        if known == held.credentials_version:
            become_unauthorized(self._context, tx, held.app.id)

    # New credentials.

    def _renew_due(self, now: datetime) -> None:
        # Once for all that share them; the others find the new ones afterwards.
        under_way = {held.app.credential_id for held in self._held.values() if held.is_renewing}
        for held in self._held.values():
            if held.should_renew(now) and held.app.credential_id not in under_way:
                held.is_renewing = True
                under_way.add(held.app.credential_id)
                self._senders.submit(self._renewals.task(held, held.credentials_version or 0))

    def _take_renewal(self, held: HeldApp, renewal: Renewal, now: datetime) -> None:
        held.is_renewing = False
        match renewal:
            case Renewed(credential):
                held.take_credentials(credential, self._context.policy.renew_before)
                held.refreshed_version = credential.version
            case Refused():
                self._refuse_all(held)
            case Postponed(after, _, failed):
                held.renew_at = now + max(after, self._patience(held, now) if failed else after)

    def _refuse_all(self, refused: HeldApp) -> None:
        for held in self._held.values():
            if held.app.credential_id == refused.app.credential_id:
                held.is_refused = True

    def _patience(self, held: HeldApp, now: datetime) -> timedelta:
        """How long to wait after a renewal failed: no hurry while the credentials are good."""
        policy = self._context.policy
        if held.usable_until is not None and held.usable_until > now:
            return max((held.usable_until - now) / 4, policy.first_backoff)
        self._count_failure(held, now)
        doublings = min(held.lease.failures - 1, 16)
        return min(policy.first_backoff * int(2**doublings), policy.longest_backoff)

    def _holds(self, held: HeldApp) -> bool:
        # An app that was lost and taken again is held anew; what the earlier holding still had in flight is no longer ours.
        return self._held.get(held.app.id) is held

    def _drop_lost(self, lost: Iterable[str]) -> None:
        for app_id in lost:
            held = self._held.pop(app_id, None)
            if held is not None:
                for operation in held.operations.values():
                    operation.driver.close()

    def _mark_wanted(self, result: RoundResult) -> None:
        for app_id, operation in result.wanted:
            held = self._held.get(app_id)
            if held is not None:
                held.look_again(operation)
        if any(app_id not in self._held for app_id, _ in result.wanted):
            self._context.wakeups.wake()

    def _log_fault(self, operation: OpenOperation, fault: Fault) -> None:
        fields = {
            "app": operation.held.app.id,
            "operation": operation.spec.name,
            "operation_id": operation.id,
            "reason": fault.reason,
        }
        self._context.telemetry.log(logging.ERROR, "A provider's operation failed. It will run again.", fields)

    def _count_settled(self, step: Step) -> None:
        if isinstance(step.effect, Settle):
            counts: dict[str, int] = {}
            for outcome in step.effect.outcomes.values():
                name = type(outcome).__name__.lower()
                counts[name] = counts.get(name, 0) + 1
            for name, count in counts.items():
                self._context.telemetry.settled(step.operation.held.app.type, step.operation.spec.name, name, count)


def _ended(landed: Iterable[Landing]) -> list[Sending]:
    """What certainly runs no more. Of what was lost nobody knows, so it counts on until the provider must have stopped."""
    return [answer.sending for answer in landed if isinstance(answer, Landed) and not isinstance(answer.came, Lost)]
