"""Drives one operation's generator against its journal. Pure but for the generator itself: no I/O, no clock, no store.

Answered steps are fed from the journal and must be what they were; the first step without an answer is sent, repeated or looked up as its
declaration allows; the outcomes at the end are checked before anybody believes them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from billhook.contract.items import Batch
from billhook.contract.operations import OperationSpec
from billhook.contract.outcomes import Rejected
from billhook.contract.requests import (
    Absent,
    Call,
    Find,
    Found,
    Reply,
    Request,
    Unknown,
)
from billhook.contract.verdict import Answered, Busy, NotExecuted, OutcomeUnknown, Throttled, Unauthorized, Verdict
from billhook.engine.effects import (
    Alone,
    Arrived,
    Doubt,
    Effect,
    Fault,
    Look,
    NotSent,
    Park,
    ParkCause,
    Release,
    Send,
    Settle,
    Settlement,
    Transmission,
    Unsendable,
)
from billhook.engine.journal import Attempt
from billhook.engine.plugin_values import PluginValues
from billhook.engine.recovery import InDoubt, LookUp, Resend, WaitUntil, next_move
from billhook.engine.sameness import difference
from billhook.engine.telling import NOT_A_PLUGINS
from billhook.errors import ContractViolation
from billhook.plugins.handle import ProviderHandle

Steps = Generator[Request | Call, Reply, Any]

SHORTEST_THROTTLE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Ended:
    """The generator returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How patience grows: the engine's policy as the driver needs it."""

    backoff: Callable[[int], timedelta]
    look_ups: int


class Driver:
    """One open operation."""

    def __init__(
        self,
        handle: ProviderHandle,
        spec: OperationSpec,
        batch: Batch[Any, Any],
        journal: list[Attempt],
        new_attempt_id: Callable[[], str],
        rhythm: Rhythm,
        tell: Callable[[BaseException], str],
    ) -> None:
        self.handle = handle
        self.spec = spec
        self.batch = batch
        self.journal = journal
        self._new_attempt_id = new_attempt_id
        self._rhythm = rhythm
        self._tell = tell
        self._longest = handle.declaration.rules(spec.capability).longest
        self._values = PluginValues(handle, spec, batch)
        self._steps: Steps | None = None
        self._checking: _Check | None = None
        self.remaining: Mapping[str, int] = {}
        """What the last answer said is left of named rate limits."""

    # Starting, and going on after a crash or a pause.

    def resume(self, now: datetime) -> Effect:
        """Run the generator from its beginning, feed it what is journalled, and say what comes next."""
        return self._guarded(lambda: self._resume(now))

    def _resume(self, now: datetime) -> Effect:
        self.close()
        self._checking = None
        steps = self._start(self.batch)
        self._steps = steps
        position = _advance(steps, None)
        for attempt in self.journal:
            if isinstance(position, Ended):
                return self._diverged(f"the journal has step {attempt.step.step!r}, the code now ends before it")
            differs = difference(attempt.step, position)
            if differs is not None:
                return self._meet_difference(attempt, position, differs, now)
            if not attempt.is_answered:
                return self._recover(attempt, now)
            assert attempt.reply is not None
            position = _advance(steps, attempt.reply)
        return self._go_to(position, now)

    def _meet_difference(self, attempt: Attempt, step: Request | Call, differs: str, now: datetime) -> Effect:
        if attempt.is_answered or attempt.ever_unknown:
            return self._diverged(differs)
        # Every send of it was refused, so nothing stands there that the new request could contradict.
        attempt.adopt(step, self._key(step, attempt.ordinal, attempt.sends + 1))
        attempt.freeze()
        return self._send(attempt, now)

    def _diverged(self, differs: str) -> Effect:
        self.close()
        return self._settle_all(Doubt(f"diverged: {differs}"))

    def close(self) -> None:
        """Let the generator go; a parked operation holds none. One that does not want to go is left where it is."""
        steps, self._steps = self._steps, None
        if steps is None or steps.gi_running:  # type: ignore[attr-defined]
            return
        with suppress(Exception, GeneratorExit, SystemExit):
            steps.close()

    # What came back.

    def take(self, attempt: Attempt, came: Transmission, now: datetime) -> Effect:
        """Go on after a step was sent."""
        effect = self._guarded(lambda: self._take(attempt, came, now))
        if isinstance(effect, Fault) and attempt.is_sending and attempt.step.effectful:
            # It was sent, and what came back could not even be classified.
            attempt.lost(effect.reason)
        return effect

    def _take(self, attempt: Attempt, came: Transmission, now: datetime) -> Effect:
        if isinstance(came, Unsendable):
            return self._give_up(attempt, came.reason)
        verdict, reply = self._verdict(attempt.step, came)
        if isinstance(verdict, Answered):
            assert reply is not None
            if attempt.unknown:
                reply = replace(reply, source="repeated")
            attempt.answered(reply)
            return self._feed(reply, now)
        return self._after_refusal(attempt, verdict, reply, now)

    def _give_up(self, attempt: Attempt, reason: str) -> Effect:
        """The step can't be sent as it is, so no weather is waited for."""
        attempt.refused(reason)
        if attempt.unknown:
            return self._settle_all(Doubt(f"an earlier send is unknown, and it can't be sent again: {reason}"))
        if len(self.batch.items) > 1:
            return self._settle_all(Alone())
        message = f"Step {attempt.step.step!r} can't be sent: {reason}. Mend the settings, the data or the plugin, then retry."
        return self._settle_all(Rejected.because("request_unsendable", message))

    def _after_refusal(self, attempt: Attempt, verdict: Verdict, reply: Reply | None, now: datetime) -> Effect:
        match verdict:
            case OutcomeUnknown(reason) if attempt.step.effectful:
                attempt.lost(reason, burnt=reply is not None and reply.status >= 500 and attempt.ever_unknown)
                if attempt.sends > 1:
                    return self._park(now + self._rhythm.backoff(attempt.sends), reason)
                return self._recover(attempt, now)
            case OutcomeUnknown(reason) | NotExecuted(reason):
                attempt.refused(reason or "not executed")
                return self._park(
                    now + self._rhythm.backoff(attempt.sends), reason or "the provider did not execute it"
                )
            case Busy(after):
                attempt.refused("busy")
                return self._park(now + after, "the provider is busy with it")
            case Throttled():
                attempt.refused("throttled")
                return self._park(throttled_until(verdict, now), "throttled", "throttled")
            case Unauthorized(reason):
                attempt.refused("unauthorized")
                return self._park(None, reason or "unauthorized", "unauthorized")
            case _:
                raise ContractViolation(f"classify returned {verdict!r}, which is no verdict.")

    def take_finding(self, attempt: Attempt, place: int, came: Transmission, now: datetime) -> Effect:
        """Go on after a look-up was sent."""
        return self._guarded(lambda: self._take_finding(attempt, place, came, now))

    def _take_finding(self, attempt: Attempt, place: int, came: Transmission, now: datetime) -> Effect:
        way = attempt.step.recover[place]
        assert isinstance(way, Find)
        if isinstance(came, Unsendable):
            return self._give_up_looking(came.reason)
        verdict, reply = self._verdict(way.request, came)
        if isinstance(verdict, Unauthorized):
            return self._park(None, verdict.reason or "unauthorized", "unauthorized")
        if isinstance(verdict, Throttled):
            return self._park(throttled_until(verdict, now), "throttled", "throttled")
        attempt.looked_up(place, None)
        if not isinstance(verdict, Answered) or reply is None:
            return self._look_again(attempt, now, "the look-up failed")
        wanted = self._checking.items if self._checking else self._all_items()
        findings = self._values.findings(way, reply, wanted)
        if self._checking is not None:
            return self._check(self._checking, attempt, way, findings, now)
        if len(self.batch.items) == 1:
            return self._take_one(attempt, place, findings[wanted[0]], now)
        return self._take_many(attempt, place, way, findings, now)

    def _give_up_looking(self, reason: str) -> Effect:
        doubt = Doubt(f"the look-up can't be sent: {reason}")
        if self._checking is None:
            return self._settle_all(doubt)
        return self._settle({**self._checking.outcomes, **dict.fromkeys(self._checking.items, doubt)})

    def withdraw(self, effect: Effect) -> None:
        """What was to be sent is kept back: it counts as not sent, and the operation parks."""
        self.close()
        if isinstance(effect, Send):
            effect.attempt.kept_back()

    # Recovery.

    def _recover(self, attempt: Attempt, now: datetime) -> Effect:
        if attempt.sends == 0 or not attempt.step.effectful:
            return self._send(attempt, now)
        move = next_move(attempt.unanswered(), attempt.step.recover, now)
        match move:
            case Resend(new_key=new_key):
                if new_key:
                    attempt.renew_key(self._key(attempt.step, attempt.ordinal, attempt.sends + 1))
                attempt.unknown = move.repeated
                return self._send(attempt, now)
            case LookUp(place):
                return Look(attempt, place)
            case WaitUntil(at):
                return self._park(at, "waiting until a look-up can tell")
            case InDoubt(reason):
                return self._settle_all(Doubt(reason))

    def _take_one(self, attempt: Attempt, place: int, finding: Found | Absent | Unknown, now: datetime) -> Effect:
        match finding:
            case Found(reply):
                found = replace(reply, source="found")
                attempt.answered(found)
                return self._feed(found, now)
            case Absent():
                attempt.looked[place] = "absent"
                return self._recover(attempt, now)
            case Unknown(reason):
                return self._look_again(attempt, now, reason or "the look-up can't say yet")

    def _take_many(
        self, attempt: Attempt, place: int, way: Find, findings: Mapping[str, Found | Absent | Unknown], now: datetime
    ) -> Effect:
        kinds = {type(finding) for finding in findings.values()}
        if Unknown in kinds:
            return self._look_again(attempt, now, "the look-up can't say yet for every item")
        if kinds == {Absent}:
            # The whole batch goes again under its own key: a request that is only late then lands on that key.
            attempt.looked[place] = "absent"
            return self._recover(attempt, now)
        absent: Settlement = (
            Release() if way.authoritative else Doubt("the look-up shows others of its batch, but not this item")
        )
        outcomes = {
            id: self._outcome_of_found(attempt, id, finding.reply) if isinstance(finding, Found) else absent
            for id, finding in findings.items()
        }
        return self._settle(outcomes)

    def _look_again(self, attempt: Attempt, now: datetime, reason: str) -> Effect:
        if attempt.look_ups < self._rhythm.look_ups:
            return self._park(now + self._rhythm.backoff(attempt.look_ups), reason)
        return self._settle_all(Doubt(f"{reason}, {attempt.look_ups} times"))

    # Steps.

    def _feed(self, reply: Reply, now: datetime) -> Effect:
        if self._steps is None:
            return self._resume(now)
        return self._go_to(_advance(self._steps, reply), now)

    def _go_to(self, position: Request | Call | Ended, now: datetime) -> Effect:
        if isinstance(position, Ended):
            return self._finish(position.value, now)
        self._values.admit(position, self.journal)
        ordinal = len(self.journal)
        attempt = Attempt(
            id=self._new_attempt_id(),
            operation_id=self.batch.operation_id,
            ordinal=ordinal,
            step=position,
            key=self._key(position, ordinal, 1),
        )
        attempt.freeze()
        self.journal.append(attempt)
        return self._send(attempt, now)

    def _send(self, attempt: Attempt, now: datetime) -> Effect:
        attempt.about_to_send(now, self._longest)
        return Send(attempt)

    def _key(self, step: Request | Call, ordinal: int, generation: int) -> str | None:
        if step.key is None:
            return None
        name = f"{self.batch.operation_id}-{ordinal}-{generation}"
        return name if len(name) <= step.key.max_length else self.batch.uuid(name).hex[: step.key.max_length]

    # The end.

    def _finish(self, value: Any, now: datetime) -> Effect:
        outcomes = self._values.outcomes(value)
        doubtful = tuple(
            item.id for item in self.batch.items if item.id not in outcomes or self._may_be_our_own(outcomes[item.id])
        )
        if not doubtful:
            return self._settle(outcomes)
        return self._begin_check(outcomes, doubtful, now)

    def _may_be_our_own(self, outcome: Settlement) -> bool:
        # A refusal after an unknown send may be the provider refusing a second copy of what it did the first time.
        if not isinstance(outcome, Rejected):
            return False
        attempt = self._effectful()
        return attempt is not None and attempt.ever_unknown and _find_place(attempt) is not None

    def _begin_check(self, outcomes: dict[str, Settlement], doubtful: tuple[str, ...], now: datetime) -> Effect:
        attempt = self._effectful()
        place = None if attempt is None else _find_place(attempt)
        if attempt is None or place is None:
            missing = {
                id: Doubt("the provider's answer does not mention this item, and it can't be looked up")
                for id in doubtful
            }
            return self._settle(outcomes | missing)
        self._checking = _Check(outcomes, doubtful)
        way = attempt.step.recover[place]
        assert isinstance(way, Find)
        assert attempt.deadline is not None
        earliest = attempt.deadline + way.after if attempt.ever_unknown else now
        if now < earliest:
            return self._park(earliest, "waiting until a look-up can tell")
        return Look(attempt, place)

    def _check(
        self,
        check: _Check,
        attempt: Attempt,
        way: Find,
        findings: Mapping[str, Found | Absent | Unknown],
        now: datetime,
    ) -> Effect:
        if any(isinstance(finding, Unknown) for finding in findings.values()):
            return self._look_again(attempt, now, "the look-up can't say yet")
        outcomes = dict(check.outcomes)
        for id, finding in findings.items():
            if isinstance(finding, Found):
                outcomes[id] = self._outcome_of_found(attempt, id, finding.reply)
            elif id not in outcomes:
                outcomes[id] = (
                    Release() if way.authoritative else Doubt("neither the answer nor the look-up mentions this item")
                )
        return self._settle(outcomes)

    def _outcome_of_found(self, attempt: Attempt, item_id: str, reply: Reply) -> Settlement:
        """Run the operation for this item alone, with the found reply in place of the lost one."""
        item = next(item for item in self.batch.items if item.id == item_id)
        steps = self._start(replace(self.batch, items=(item,)))
        known = {other.step.step: other.reply for other in self.journal if other.reply is not None}
        known[attempt.step.step] = replace(reply, source="found")
        position = _advance(steps, None)
        while not isinstance(position, Ended):
            answer = known.pop(position.step, None)
            if answer is None:
                steps.close()
                raise ContractViolation(
                    f"{self.spec.name} asks for step {position.step!r} again while reading a found item."
                )
            position = _advance(steps, answer)
        outcomes = position.value if isinstance(position.value, Mapping) else {}
        outcome = outcomes.get(item_id)
        if outcome is None:
            return Doubt("the operation says nothing of an item that the look-up found")
        return self._values.outcome(item_id, outcome)

    # Helpers.

    def changed_attempts(self) -> list[Attempt]:
        """The attempts that the store does not have as they are now."""
        return [attempt for attempt in self.journal if attempt.changed]

    def _start(self, batch: Batch[Any, Any]) -> Steps:
        returned = self.handle.start(self.spec.capability, batch)
        assert isinstance(returned, Generator)
        return returned

    def _guarded(self, act: Callable[[], Effect]) -> Effect:
        try:
            return act()
        except NOT_A_PLUGINS:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin raises, SystemExit too, is its fault and told as one
            self.close()
            return Fault(self._tell(error))

    def _park(self, until: datetime | None, reason: str, cause: ParkCause = "waiting") -> Effect:
        self.close()
        return Park(until, reason, cause)

    def _settle(self, outcomes: Mapping[str, Settlement]) -> Effect:
        self.close()
        return Settle(outcomes, self.leftovers())

    def _settle_all(self, outcome: Settlement) -> Effect:
        return self._settle({item.id: outcome for item in self.batch.items})

    def leftovers(self) -> dict[str, dict[str, str]]:
        """What the answered steps made at the provider, by item and step, as far as they identify it."""
        found: dict[str, dict[str, str]] = {}
        for attempt in self.journal:
            for item_id, remote_id in self._values.remote_ids(attempt).items():
                found.setdefault(item_id, {})[attempt.step.step] = remote_id
        return found

    def _verdict(self, step: Request | Call, came: Transmission) -> tuple[Verdict, Reply | None]:
        match came:
            case Arrived(reply):
                verdict = self.handle.classify(step, reply)
                self.remaining = verdict.remaining if isinstance(verdict, Answered) else {}
                return verdict, reply
            case NotSent(reason):
                return NotExecuted(reason), None
            case _:
                return OutcomeUnknown(came.reason), None

    def _all_items(self) -> tuple[str, ...]:
        # A batch makes one request that changes something, so an unknown outcome concerns every item.
        return tuple(item.id for item in self.batch.items)

    def _effectful(self) -> Attempt | None:
        return next((attempt for attempt in reversed(self.journal) if attempt.step.effectful), None)


@dataclass(frozen=True, slots=True)
class _Check:
    """Outcomes that are believed only after a look-up of some items."""

    outcomes: Mapping[str, Settlement]
    items: tuple[str, ...]


def _find_place(attempt: Attempt) -> int | None:
    return next((place for place, way in enumerate(attempt.step.recover) if isinstance(way, Find)), None)


def _advance(steps: Steps, reply: Reply | None) -> Request | Call | Ended:
    try:
        position = next(steps) if reply is None else steps.send(reply)
    except StopIteration as stop:
        return Ended(stop.value)
    if not isinstance(position, Request | Call):
        raise ContractViolation(f"An operation yielded {type(position).__name__}. Yield a Request or a Call.")
    return position


def throttled_until(verdict: Throttled, now: datetime) -> datetime:
    """When to try again after being throttled; a minute where the provider does not say.

    Never at once, though its clock may be behind ours and its word be of the past.
    """
    told = verdict.until or now + (verdict.after if verdict.after is not None else timedelta(minutes=1))
    return max(told, now + SHORTEST_THROTTLE)
