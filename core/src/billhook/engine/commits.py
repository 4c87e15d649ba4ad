"""Commits a worker's rounds: as a whole, or, where that fails, in parts, so that one app's trouble stays its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from billhook.engine.budget import is_shared
from billhook.engine.context import Context
from billhook.engine.effects import Fault
from billhook.engine.held_apps import HeldApps
from billhook.engine.open_operation import HeldApp
from billhook.engine.round import Round, RoundResult
from billhook.errors import StaleWrite, StoreError

STALE_RETRIES = 20

FollowUp = Callable[[Round, RoundResult], None]
"""What the worker does once a round is stored: sends what it committed to."""


class Commits:
    """One group commit after the other. StoreError ends the rounds; any other error is told and found by app, then by operation."""

    def __init__(self, context: Context, apps: HeldApps, follow_up: FollowUp) -> None:
        self._context = context
        self._apps = apps
        self._follow_up = follow_up

    def commit(self, work: Round) -> None:
        """Store the round and follow it up."""
        try:
            self._commit(work, tuple(self._apps))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - found by app below, so that one app's trouble stays its own
            self._commit_apart(work, error)

    def _commit(self, work: Round, held: Sequence[HeldApp]) -> None:
        work.leases = [one.lease for one in self._renewed(work, held)]
        work.windows = [window for one in held for window in one.budget.dirty() if not is_shared(window)]
        self._context.faults.reach("round.before")
        result = self._write(work)
        self._context.faults.reach("round.after")
        self._context.telemetry.committed()
        for window in work.windows:
            window.is_dirty = False
        self._apps.lose(result.lost)
        self._apps.mark_wanted(result.wanted)
        self._follow_up(work, result)

    def _renewed(self, work: Round, held: Iterable[HeldApp]) -> Iterator[HeldApp]:
        """The apps to be kept: a call that never returns must not keep its app for ever, so one whose turn is over has to show an answer."""
        concerned = {step.operation.held.app.id for step in work.steps} | {timer.app_id for timer in work.timers.works}
        return (one for one in held if one.app.id in concerned or not self._apps.is_over(one, work.now))

    def _write(self, work: Round) -> RoundResult:
        for _ in range(STALE_RETRIES):
            try:
                return self._context.database.write_once(work)
            except StaleWrite:
                work.looks_first = True
        return self._context.database.write_once(work)

    def _commit_apart(self, work: Round, error: Exception) -> None:
        """Commit each app's part by itself, and what fails there operation by operation: each trouble stays where it is."""
        # Whose error it is comes out below; told here, it could not be kept free of everybody's secrets.
        fields = {"reason": type(error).__name__}
        self._context.telemetry.log(logging.ERROR, "A round could not be committed as a whole.", fields)
        for app_id, part in work.by_app().items():
            held = self._apps.get(app_id)
            if held is not None and not self._is_committed(part, held):
                self._commit_singly(part, held, work.now)

    def _commit_singly(self, part: Round, held: HeldApp, now: datetime) -> None:
        for single in part.singly():
            if self._is_committed(single, held):
                continue
            # What was answered is kept, and the operation runs again later: a fault of its own.
            for step in single.steps:
                step.effect = Fault("what it made could not be stored")
            if not single.steps or not self._is_committed(single, held):
                self._apps.set_aside(held.lease, now, StoreError("its fault could not be stored either"))
                return

    def _is_committed(self, part: Round, held: HeldApp) -> bool:
        try:
            self._commit(part, [held])
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - told, and tried in smaller parts
            fields = {"app": held.app.id, "reason": held.told(error)}
            self._context.telemetry.log(logging.ERROR, "Part of a round could not be committed.", fields)
            return False
        return True
