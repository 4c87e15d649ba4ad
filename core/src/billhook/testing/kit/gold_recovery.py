"""Gold: whatever becomes of a request, the thing is done once, and its outcome is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from billhook.contract import Capability, Severity
from billhook.testing.kit.bench import NOTHING_AUTHORIZES, Bench, Blow, Worked
from billhook.testing.kit.check import Check, Exempt, Failed, Passed, Place, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import ONE_AT_A_TIME, Scene, several_of
from billhook.testing.kit.strikes import Books, Played, another_ones, books_differ, difference, standing
from billhook.testing.kit.trying import Refused, tried

MARGIN = timedelta(days=2)
"""How much longer than any key is honoured the engine is dead."""
LONGEST_KEYS = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Strike:
    """A named blow. ``simpler`` names the strikes that must be survived at the same request before this one says anything new, and
    ``way_out`` what usually mends it."""

    name: str
    blow: Blow
    simpler: tuple[str, ...] = ()
    only_effects: bool = True
    way_out: str = ""


def _strike(
    name: str, fault: str | None = None, *simpler: str, everywhere: bool = False, way_out: str = "", **blow: Any
) -> Strike:
    return Strike(name, Blow(at=1, fault=fault, **blow), simpler, not everywhere, way_out)


_LOST = ("lost_response", "slow")
_LOOK_LATER = ". Where nothing there keeps a late request from being done beside the second, say with Find(after=...) how late it may come"
_ALWAYS: tuple[Strike, ...] = (
    _strike("lost_response", "lost_response"),
    _strike("lost_twice", "lost_response", *_LOST, then="lost_response"),
    _strike("5xx_before", "5xx_before", *_LOST, everywhere=True),
    _strike("5xx_after_commit", "5xx_after_commit", *_LOST, everywhere=True),
    _strike("garbage", "garbage", *_LOST, everywhere=True),
    _strike("truncated", "truncated", *_LOST, everywhere=True),
    _strike("stored_500", "stored_500", *_LOST, "5xx_before", "5xx_after_commit"),
    _strike("stored_500_applied", "stored_500", *_LOST, "5xx_after_commit", params={"applied": True}),
    _strike("late", "late", *_LOST, params={"seconds": 60}, way_out=_LOOK_LATER),
    _strike("throttle", "throttle", everywhere=True),
    _strike("refuse", "refuse", everywhere=True),
    _strike("token_expired", "token_expired", everywhere=True),
    _strike("dies_before", None, *_LOST, dies="before"),
    _strike("dies_after", None, *_LOST, dies="after"),
    _strike("upgraded", None, *_LOST, "dies_after", dies="after", upgrade=True),
    _strike("short_page", "partial_page", everywhere=True),
)


def strikes_of(examination: Examination, scene: Scene) -> dict[str, Strike]:
    """The strikes on a scene: those with a time of their own are cut to what the provider declares."""
    declaration = examination.subject.declaration
    longest = declaration.rules(scene.capability).longest
    window = declaration.keys.window if declaration.keys else timedelta(days=1)
    later = max(window, timedelta(days=1)) + MARGIN
    timed = (
        _strike("slow", "slow", params={"seconds": longest.total_seconds() + 30}),
        _strike("dies_for_long", None, *_LOST, "dies_after", "stored_500", dies="after", downtime=later),
        _strike("dies_for_long_short_page", None, "dies_for_long", dies="after", downtime=later, then="partial_page"),
    )
    return {strike.name: strike for strike in (*_ALWAYS, *timed)}


def struck(examination: Examination, scene: Scene, strike: Strike, at: int) -> Played:
    """The scene with that strike at that request; played once."""
    return examination.struck(scene, strike.name, replace(strike.blow, at=at))


def problem_at(examination: Examination, scene: Scene, strike: Strike, at: int) -> str | None:
    """What the strike changed there. None where it changed nothing, or where a simpler strike tells it already."""
    alone, played = examination.alone(scene), struck(examination, scene, strike, at)
    problem = None if played.has_diverged else difference(played, alone)
    if problem is None:
        return None
    known = strikes_of(examination, scene)
    told = (struck(examination, scene, known[name], at) for name in strike.simpler)
    return None if any(each.has_diverged or difference(each, alone) for each in told) else problem


def survives(*names: str) -> Callable[[Examination], Verdict]:
    """A check that strikes every request of every scene with these."""

    def run(examination: Examination) -> Verdict:
        count = 0
        for scene, played in examination.sound():
            for strike in map(strikes_of(examination, scene).__getitem__, names):
                for place in _places(examination, scene, played, strike):
                    problem = problem_at(examination, scene, strike, place.step)
                    if problem is not None:
                        return Failed("it ends as it would have without", f"{place}: {problem}{strike.way_out}", place)
                    count += 1
        return Passed(count, "strike") if count else Exempt("it makes no request that could be struck like this")

    return run


def _places(examination: Examination, scene: Scene, played: Played, strike: Strike) -> Iterator[Place]:
    for number, call in enumerate(played.worked.calls, start=1):
        if strike.only_effects and not (call.request.effectful and call.request.recover):
            continue
        place = Place(scene.name, strike.name, number)
        if examination.wants(place):
            yield place


def every_operation_can_be_struck(examination: Examination) -> Verdict:
    """Each operation comes to a good end where nothing goes wrong: what does not could not be struck."""
    for operation, reason in examination.unstruck.items():
        if reason == NOTHING_AUTHORIZES:
            return Failed("a scene of every operation", f"there is none of {operation}: {reason}", unproven=True)
    attempts = (partial(_comes_to_an_end, examination, scene) for scene in examination.scenes)
    return tried("it comes to a good end where nothing goes wrong", "scene", attempts)


def _comes_to_an_end(examination: Examination, scene: Scene) -> str | None:
    played = examination.alone(scene)
    wrong = (played.problem, *played.worked.doubts, *played.worked.refusals)
    told = next((f"{scene.name} comes to: {each}" for each in wrong if each), None)
    if told is None or not scene.of_elsewhere:
        return told
    _raise_where_it_is_said_before(examination, scene)
    return f"{told.rstrip('.')}. {_OF_ELSEWHERE}"


_OF_ELSEWHERE = (
    "Its invoice lives elsewhere, so `invoice_external_id` is None. Collect it, or refuse it in `validate_invoice`, "
    "which is asked of such an invoice without lines"
)


def _raise_where_it_is_said_before(examination: Examination, scene: Scene) -> None:
    """A provider that collects only for its own invoices is honest where its `validate_invoice` says so of one without lines."""
    if not examination.subject.can(Capability.VALIDATE_INVOICE):
        return
    with examination.bench() as bench:
        (item, *_) = scene.prepare(bench)
        issues = bench.handle.validate_invoice(item.invoice, (), bench.settings)
    for issue in issues:
        if issue.severity is Severity.CRITICAL:
            raise Refused(issue.message)


def every_effect_says_how_it_is_learnt(examination: Examination) -> Verdict:
    """Each request that changes something declares a way to learn its outcome."""
    effects = [
        (scene, call.request)
        for scene, played in examination.sound()
        for call in played.worked.calls
        if call.request.effectful
    ]
    for scene, request in effects:
        if not request.recover:
            return Failed(
                "a Repeat or a Find on each request that changes something",
                f"step {request.step!r} of {scene.name} has neither: when its answer is lost, a person has to look",
            )
    return Passed(len(effects), "request") if effects else Exempt("it changes nothing outside")


# Leftovers.


def starts_from_what_was_left_behind(examination: Examination) -> Verdict:
    """An operation that is begun anew starts from what an unfinished one left behind, and makes no second."""
    attempts = (
        partial(_left_behind, examination, scene, number)
        for scene, played in examination.sound()
        for number in range(1, sum(call.request.effectful for call in played.worked.calls) + 1)
    )
    return tried("what stands there already is taken", "unfinished operation", attempts)


def _left_behind(examination: Examination, scene: Scene, effects: int) -> str | None:
    with examination.bench() as bench:
        items = scene.prepare(bench)
        left, is_finished = _abandoned(bench, scene, items, effects)
        if is_finished and not left:
            return None
        begun_anew = [replace(item, leftovers={**item.leftovers, **left.get(item.id, {})}) for item in items]
        refusals = bench.work(scene.capability, *begun_anew).refusals
        bench.rest()
        problem = books_differ(standing(bench.books), examination.alone(scene).books) or "; ".join(refusals)
    return f"{scene.name}, begun anew after {effects} of its requests: {problem}" if problem else None


def _abandoned(
    bench: Bench, scene: Scene, items: tuple[Any, ...], effects: int
) -> tuple[dict[str, dict[str, str]], bool]:
    """Send so many requests that change something, and stop. What they left behind, and whether the operation was at its end."""
    batch = bench.batch(*items)
    steps: Any = bench.handle.start(scene.capability, batch)
    left: dict[str, dict[str, str]] = {}
    request, number = next(steps), 0
    while True:
        number += 1
        reply = bench.send(request, f"{batch.operation_id}-{number}")
        if request.identify is not None and reply.status < 300:
            found = bench.handle.registered_function(request.identify.name)(reply, **request.identify.args)
            for item_id, remote in found.items():
                left.setdefault(item_id, {})[request.step] = remote
        effects -= request.effectful
        try:
            request = steps.send(reply)
        except StopIteration:
            return left, True
        if not effects:
            steps.close()
            return left, False


# Batches.


@dataclass(slots=True)
class _Batches:
    """Two items of one operation, undisturbed and disturbed."""

    examination: Examination
    scene: Scene
    blow: Blow | None = None
    first_was_done: bool = False
    worked: Worked = field(default_factory=Worked)
    mixed_up: str | None = None

    def play(self) -> Books:
        """What stands in the books afterwards."""
        with self.examination.bench() as bench:
            items = several_of(self.scene, bench)
            if self.first_was_done:
                bench.work(self.scene.capability, items[0])
            self.worked = bench.work(self.scene.capability, *items, blow=self.blow)
            self.worked.ended = bench.to_the_end(self.scene.capability, items, self.worked.outcomes)
            bench.rest()
            self.mixed_up = another_ones(bench.books, self.worked.at_the_end)
            return standing(bench.books)


def of_a_batch_only_the_rest_is_done_again(examination: Examination) -> Verdict:
    """Of several in one request that was lost, or partly done, each is done once."""
    rules = examination.subject.declaration.rules
    batched = [scene for scene, _ in examination.sound() if rules(scene.capability).batch > 1]
    if not batched:
        return Exempt(ONE_AT_A_TIME)
    attempts = (
        partial(_batch, examination, scene, blow, first_was_done)
        for scene in batched
        if scene.name in TWOS and _changes_something(examination, scene)
        for blow, first_was_done in ((Blow(1, "lost_response"), False), (Blow(1, dies="before"), True))
    )
    return tried("each item is done once", "batch", attempts)


TWOS: Mapping[str, Capability] = {
    name: Capability(name) for name in ("sync_customer", "sync_draft", "issue", "credit", "record_payment")
}


def _changes_something(examination: Examination, scene: Scene) -> bool:
    return any(call.request.effectful for call in examination.alone(scene).worked.calls)


def _batch(examination: Examination, scene: Scene, blow: Blow, first_was_done: bool) -> str | None:
    alone = _Batches(examination, scene)
    books = alone.play()
    at = next(number for number, call in enumerate(alone.worked.calls, 1) if call.request.effectful)
    disturbed = _Batches(examination, scene, replace(blow, at=at), first_was_done)
    problem, doubts = books_differ(disturbed.play(), books), disturbed.worked.doubts
    if any(doubt.startswith("diverged") for doubt in doubts):
        return None
    if problem is None and disturbed.mixed_up:
        return f"{scene.name}, looked up, says {disturbed.mixed_up}"
    return problem or (f"{scene.name} ended in doubt: {doubts[0]}" if doubts else None)


def _check(name: str, rule: Rule, promise: str, run: Callable[[Examination], Verdict], *needs: Capability) -> Check:
    return Check(name, Tier.GOLD, rule, promise, run, needs)


def _documented(rule: Rule, run: Callable[[Examination], Verdict]) -> Check:
    return _check(run.__name__, rule, (run.__doc__ or "").splitlines()[0], run)


CHECKS: tuple[Check, ...] = (
    _documented(Rule.LOAD, every_operation_can_be_struck),
    _documented(Rule.RECOVERY, every_effect_says_how_it_is_learnt),
    _check(
        "a_lost_answer_is_recovered",
        Rule.KEYS,
        "A request whose answer is lost, once or twice, is done once.",
        survives("lost_response", "slow", "lost_twice"),
    ),
    _check(
        "an_error_is_no_answer",
        Rule.CLASSIFY,
        "A server error, a body cut in half and a page of HTML are not believed.",
        survives("5xx_before", "5xx_after_commit", "garbage", "truncated"),
    ),
    _check(
        "a_kept_error_is_got_over",
        Rule.RECOVERY,
        "An error that the provider keeps under the key is got over by looking.",
        survives("stored_500", "stored_500_applied"),
    ),
    _check(
        "a_late_request_does_no_harm",
        Rule.LATE,
        "A request that arrives a minute after it was given up is done once.",
        survives("late"),
    ),
    _check(
        "a_refusal_for_now_is_waited_out",
        Rule.CLASSIFY,
        "After a 429, and where there is no connection, the same request goes again.",
        survives("throttle", "refuse"),
    ),
    _check(
        "an_expired_token_is_no_answer",
        Rule.CLASSIFY,
        "After a 401 in the middle the same request goes again.",
        survives("token_expired"),
    ),
    _check(
        "a_short_page_is_not_the_whole",
        Rule.RECOVERY,
        "A list that goes on is read on, and proves no absence.",
        survives("short_page", "dies_for_long_short_page"),
    ),
    _check(
        "keys_are_believed_as_long_as_they_hold",
        Rule.KEYS,
        "After the keys ran out nothing is repeated that could be done twice.",
        survives("dies_for_long"),
    ),
    _documented(Rule.LEFTOVERS, starts_from_what_was_left_behind),
    _documented(Rule.BATCHES, of_a_batch_only_the_rest_is_done_again),
)
