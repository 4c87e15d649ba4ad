"""Silver: what the system refuses is told as refused, and a charge that fails is told as failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from billhook.contract import (
    Capability,
    Done,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Pending,
    RefundResult,
    RefundStatus,
    Rejected,
)
from billhook.engine.effects import Doubt
from billhook.engine.settle import check_of
from billhook.testing.desk import in_words
from billhook.testing.kit.bench import LONG_ENOUGH, MOST_LOOKS, Bench
from billhook.testing.kit.check import Check, Exempt, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import ONE_AT_A_TIME, Scene, several_of, to_be_paid
from billhook.testing.kit.strikes import Books, books_differ, standing
from billhook.testing.kit.subject import Declining, Refusing
from billhook.testing.kit.trying import Refused, tried

C = Capability
NOTHING_REFUSES = (
    "its simulator has no `refuse(name)`, from which on what is asked about the thing of that name would be refused"
)
NOTHING_DECLINES = "its simulator has no `decline(name)`, from which on a charge under that name would come to nothing"
CAME_TO_NOTHING = frozenset({PaymentStatus.FAILED, PaymentStatus.CANCELED, PaymentStatus.UNCOLLECTIBLE})
CAME = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED})


def a_refusal_is_told(examination: Examination) -> Verdict:
    """What the system refuses comes to a refusal that says why, and nothing of it stands there."""
    if not _offers(examination, Refusing):
        return Exempt(NOTHING_REFUSES)
    attempts = (partial(_refused, examination, scene) for scene in _changing(examination))
    return tried("it is told as refused, and says why", "operation", attempts)


def _offers(examination: Examination, offer: type[Any]) -> bool:
    with examination.bench() as bench:
        return isinstance(bench.books, offer)


def _changing(examination: Examination) -> Iterator[Scene]:
    """The scenes that ask for a change."""
    for scene, played in examination.sound():
        if any(call.request.effectful for call in played.worked.calls):
            yield scene


def _refused(examination: Examination, scene: Scene) -> str | None:
    with examination.bench() as bench:
        items = scene.prepare(bench)
        before = standing(bench.books)
        _each_name(bench.books.refuse, items)  # type: ignore[attr-defined]  # only who is Refusing gets here
        outcomes, after = _ended(bench, scene.capability, items)
    changed = books_differ(after, before)
    untold = next(filter(None, (_untold(scene.capability, outcome) for outcome in outcomes.values())), None)
    if untold is None:
        return f"{scene.name} is refused, and {changed}" if changed else None
    told = f"{scene.name} of what is refused there comes to {untold}"
    return f"{told}, and {changed}: is it that its simulator does not refuse it?" if changed else told


def _each_name(tell: Callable[[str], None], items: Iterable[Any]) -> None:
    """Every name under which the system may know what these are about."""
    for item in items:
        known = (item.id, *(getattr(item, name, None) for name in _IDS))
        for name in filter(None, known):
            tell(name)


_ALL_OR_ONE = ". Where the system does all or nothing, declare atomic=True; where it does not, let its simulator refuse that one alone"
_IDS = ("external_id", "payment_external_id", "invoice_external_id")


def _ended(bench: Bench, capability: Capability, items: Sequence[Any]) -> tuple[dict[str, Any], Books]:
    """How they ended, however long it took, and what the books have then."""
    begun = bench.work(capability, *items).outcomes
    outcomes = {item.id: bench.end_of(capability, item, begun[item.id]) for item in items}
    bench.rest()
    return outcomes, standing(bench.books)


def _untold(capability: Capability, outcome: Any) -> str | None:
    """What a refusal was taken for; None where it is told as one."""
    match outcome:
        case Rejected(issues=issues):
            told = any(issue.message.strip() for issue in issues)
            return None if told else "a refusal that does not say why"
        case Doubt(reason=reason):
            return f"a doubt: {reason}"
        case Done(result=PaymentResult(status=status)):
            return f"a payment that is {status}" if status in _CLAIMS.get(capability, _NOT_FAILED) else None
        case Done(result=RefundResult(status=status)):
            return f"a refund that is {status}" if status is not RefundStatus.FAILED else None
        case Done():
            return "Done"
    return in_words(outcome)


_NOT_FAILED = frozenset(PaymentStatus) - CAME_TO_NOTHING
# A payment of which something was refused stands as it stood, and telling so is true.
_CLAIMS = {
    C.CAPTURE_PAYMENT: frozenset({PaymentStatus.SUCCEEDED}),
    C.CANCEL_PAYMENT: frozenset({PaymentStatus.CANCELED}),
}


def a_refused_item_is_its_own(examination: Examination) -> Verdict:
    """Of two in one request of which one is refused, that one is told as refused, and the other is done, once."""
    if not _offers(examination, Refusing):
        return Exempt(NOTHING_REFUSES)
    rules = examination.subject.declaration.rules
    batched = [scene for scene in _changing(examination) if rules(scene.capability).batch > 1]
    if not batched:
        return Exempt(ONE_AT_A_TIME)
    attempts = (partial(_one_refused, examination, scene, place) for scene in batched for place in (0, 1))
    return tried("only the refused one is refused", "item", attempts)


def _one_refused(examination: Examination, scene: Scene, place: int) -> str | None:
    with examination.bench() as bench:
        items = several_of(scene, bench)
        if len(items) < 2:
            raise Refused(f"there is no second item of {scene.name}")
        refused, other = items[place], items[1 - place]
        before = standing(bench.books)
        _each_name(bench.books.refuse, [refused])  # type: ignore[attr-defined]  # only who is Refusing gets here
        outcomes, after = _ended(bench, scene.capability, items)
    untold = _untold(scene.capability, outcomes[refused.id])
    if untold is not None:
        return f"{scene.name} of two of which one is refused: that one comes to {untold}"
    if isinstance(outcomes[other.id], Done):
        expected = _alone(examination, scene, 1 - place)
    elif isinstance(outcomes[other.id], Rejected) and examination.subject.declaration.rules(scene.capability).atomic:
        expected = before
    else:
        told = in_words(outcomes[other.id])
        return f"{scene.name} of two of which one is refused: the other one comes to {told}{_ALL_OR_ONE}"
    changed = books_differ(after, expected)
    return f"{scene.name} of two of which one is refused: {changed}" if changed else None


def _alone(examination: Examination, scene: Scene, place: int) -> Books:
    """What the books have where only that one was asked for."""
    with examination.bench() as bench:
        return _ended(bench, scene.capability, [several_of(scene, bench)[place]])[1]


def a_failed_charge_is_told(examination: Examination) -> Verdict:
    """A charge that comes to nothing never counts as paid, however often it is looked at."""
    if not _offers(examination, Declining):
        return Exempt(NOTHING_DECLINES)
    return tried("a charge that fails is told as failed", "payment", [partial(_declined, examination)])


def _declined(examination: Examination) -> str | None:
    with examination.bench() as bench:
        item = to_be_paid(bench)
        _each_name(bench.books.decline, [item])  # type: ignore[attr-defined]  # only who is Declining gets here
        item, outcome = _last(bench, item)
        problem = _taken_for(outcome)
        if problem is not None or not bench.can(C.CHECK_PAYMENT) or item.external_id is None:
            return problem
        bench.rest()
        again = _taken_for(bench.run(C.CHECK_PAYMENT, item).outcome)
    return f"looked at again, {again}" if again else None


def _last(bench: Bench, item: PaymentItem) -> tuple[PaymentItem, Any]:
    """The payment as it is known when it has ended, and how."""
    look = check_of(bench.handle.declaration, C.COLLECT_PAYMENT)
    outcome = bench.run(C.COLLECT_PAYMENT, item).outcome
    for _ in range(MOST_LOOKS):
        known = outcome.result.external_id if isinstance(outcome, Done) else outcome.external_id
        item = replace(item, external_id=known or item.external_id)
        if not _goes_on(outcome):
            break
        bench.let_the_payer_act(outcome)
        bench.turned.advance(getattr(outcome, "check_after", None) or 12 * LONG_ENOUGH)
        outcome = bench.run(look, item).outcome
    return item, outcome


def _goes_on(outcome: Any) -> bool:
    ended = CAME | CAME_TO_NOTHING
    return isinstance(outcome, Pending) or (isinstance(outcome, Done) and outcome.result.status not in ended)


def _taken_for(outcome: Any) -> str | None:
    """What a charge that failed was taken for; None where it is told as failed."""
    if isinstance(outcome, Rejected) or (isinstance(outcome, Done) and outcome.result.status in CAME_TO_NOTHING):
        return None
    told = f"is {outcome.result.status}" if isinstance(outcome, Done) else f"comes to {in_words(outcome)}"
    return f"a charge that failed {told}"


def _check(run: Callable[[Examination], Verdict], *needs: Capability) -> Check:
    return Check(run.__name__, Tier.SILVER, Rule.REFUSALS, (run.__doc__ or "").splitlines()[0], run, needs)


CHECKS: tuple[Check, ...] = (
    _check(a_refusal_is_told),
    _check(a_refused_item_is_its_own),
    _check(a_failed_charge_is_told, C.COLLECT_PAYMENT),
)
