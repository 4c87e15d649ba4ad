"""The apps that one worker holds: claimed, opened, worked on for a turn, and given back with what is known of their budgets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from billhook.engine import leases
from billhook.engine.beyond_providers import beyond
from billhook.engine.budget import Budget, read_budget
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.leases import Lease
from billhook.engine.open_operation import HeldApp, read_open
from billhook.engine.telling import told
from billhook.engine.work import EVERYTHING
from billhook.errors import StoreError

POLL = timedelta(seconds=1)
"""How often an idle worker looks for work that another process asked for."""
BUDGETS_KEPT = 1_000
"""Beyond so many, budgets that apps were given back with are looked through for those that matter no more."""


class HeldApps:
    """What a worker holds. Iterating gives it in the order in which it was claimed."""

    def __init__(self, context: Context, credentials: Credentials, owner: str) -> None:
        self._context = context
        self._credentials = credentials
        self._owner = owner
        self._held: dict[str, HeldApp] = {}
        self._budgets_before: dict[str, Budget] = {}
        self._next_claim: datetime | None = None

    def __iter__(self) -> Iterator[HeldApp]:
        return iter(self._held.values())

    def get(self, app_id: str) -> HeldApp | None:
        """The app, if it is held."""
        return self._held.get(app_id)

    def still_holds(self, held: HeldApp) -> bool:
        """Whether it is this holding that counts: an app that was lost and taken again is held anew."""
        return self._held.get(held.app.id) is held

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return sum(held.in_flight for held in self._held.values())

    # Taking and giving back.

    def claim(self, now: datetime) -> bool:
        """Take apps that have something due, as far as there is room. Returns whether there were any."""
        free = self._context.policy.apps_per_worker - len(self._held)
        if free <= 0 or (self._next_claim is not None and now < self._next_claim):
            return False
        context, lifetime = self._context, self._context.policy.lease
        liveness = context.database.liveness
        taken, next_due = context.database.write(
            lambda tx: (leases.claim(tx, self._owner, liveness, now, lifetime, free), leases.next_free(tx, now))
        )
        self._next_claim = min(next_due or now + POLL, now + POLL)
        for lease in taken:
            self._hold(lease, now)
        return bool(taken)

    def _hold(self, lease: Lease, now: datetime) -> None:
        try:
            self._open(lease, now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - one app that can't be opened must not stop the others
            self.set_aside(lease, now, error)

    def _open(self, lease: Lease, now: datetime) -> None:
        with self._context.database.read() as tx:
            app = self._context.apps.get(tx, lease.app_id)
            held = HeldApp(app, lease, read_budget(tx, app), None, None, now)
            if app.id in self._budgets_before:
                held.budget.remember(self._budgets_before.pop(app.id))
            if app.credential_id is not None:
                credential = self._credentials.load(tx, app.credential_id)
                held.take_credentials(credential, self._context.policy)
            held.operations = {operation.id: operation for operation in read_open(self._context, tx, held)}
        self._held[app.id] = held

    def set_aside(self, lease: Lease, now: datetime, error: Exception) -> None:
        """Leave an app alone for a while: its provider is gone, or its data can't be read by it."""
        self._held.pop(lease.app_id, None)
        fields = {"app": lease.app_id, "reason": told(error)}
        self._context.telemetry.log(logging.ERROR, "An app can't be worked on; it is tried again later.", fields)
        again = now + self._context.policy.longest_backoff
        self._context.database.write(lambda tx: leases.release(tx, lease, now, not_before=again))

    def lose(self, app_ids: Iterable[str]) -> None:
        """Somebody else holds these now."""
        for app_id in app_ids:
            held = self._held.pop(app_id, None)
            if held is not None:
                held.close()

    def release_idle(self, now: datetime) -> bool:
        """Give back the apps for which nothing can be done now. Returns whether there were any."""
        idle = [held for held in self._held.values() if self._is_idle(held, now)]
        for held in idle:
            self._let_go(held, now)
        return bool(idle)

    def give_back(self, now: datetime) -> None:
        """Let every app go. What is in flight must have landed."""
        for held in list(self._held.values()):
            self._let_go(held, now)

    def _let_go(self, held: HeldApp, now: datetime) -> None:
        held.close()
        del self._held[held.app.id]
        self._keep_budget(held, now)
        # Another version of its provider may be there by then.
        retried = dict.fromkeys(beyond(held.app), now + self._context.policy.longest_backoff)
        shut, at_latest = retried | held.shut(now), held.goes_on_at(now)
        self._context.database.write(
            lambda tx: leases.release(
                tx, held.lease, now, shut=shut, unasked_from=held.unasked_from, at_latest=at_latest
            )
        )
        self._next_claim = None

    def _keep_budget(self, held: HeldApp, now: datetime) -> None:
        # An app whose budget is spent is let go until it opens: by then it still matters how late its last calls arrived.
        if len(self._budgets_before) >= BUDGETS_KEPT:
            self._budgets_before = {id: kept for id, kept in self._budgets_before.items() if kept.has_memory(now)}
        if held.budget.has_memory(now):
            self._budgets_before[held.app.id] = held.budget

    # Looking for work.

    def look_again(self) -> None:
        """There may be work anywhere."""
        self._next_claim = None
        for held in self._held.values():
            held.look_again(EVERYTHING)

    def mark_wanted(self, wanted: Iterable[tuple[str, str]]) -> None:
        """There is work of these operations at these apps; whoever holds one that is not held here is woken."""
        is_elsewhere = False
        for app_id, operation in wanted:
            held = self._held.get(app_id)
            if held is None:
                is_elsewhere = True
            else:
                held.look_again(operation)
        if is_elsewhere:
            self._context.wakeups.wake()

    # Turns.

    def usable(self, now: datetime) -> list[HeldApp]:
        """The apps for which something may be sent now."""
        return [held for held in self._held.values() if self._is_usable(held, now)]

    def is_over(self, held: HeldApp, now: datetime) -> bool:
        """Its turn is over: nothing new begins, and it is given back when what is in flight has landed."""
        return now - held.began_at >= self._context.policy.slice

    def go_on(self, now: datetime) -> None:
        """Begin another turn at once where nobody waits for a hand: to be given back and taken again costs what might be sent meanwhile."""
        if len(self._held) >= self._context.policy.apps_per_worker:
            return
        over = [held for held in self._held.values() if held.was_answered and self.is_over(held, now)]
        if not over:
            return
        with self._context.database.read() as tx:
            for held in over:
                if held.app.status == "ready" and self._context.apps.is_unchanged(tx, held.app):
                    held.begin_turn(now)

    def _is_idle(self, held: HeldApp, now: datetime) -> bool:
        if held.in_flight or held.should_renew(now):
            return False
        if self._is_kept_back(held, now) or self.is_over(held, now):
            return True
        waiting = any(operation.due is not None and operation.due <= now for operation in held.operations.values())
        return not waiting and held.found_nothing(now)

    def _is_usable(self, held: HeldApp, now: datetime) -> bool:
        return not self._is_kept_back(held, now) and not self.is_over(held, now)

    def _is_kept_back(self, held: HeldApp, now: datetime) -> bool:
        """Whether its provider, its credentials or its circuit let nothing through now."""
        return held.is_refused or held.lease.blocked_until(now) is not None or not held.can_sign(now)
