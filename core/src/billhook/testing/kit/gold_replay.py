"""Gold: an operation asks the same whenever and wherever it runs again, and keeps nothing between two runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from billhook.clock import TurnedClock
from billhook.contract import Call, Capability, ConnectionItem, CustomerItem, CustomerLink, Provider, Request
from billhook.contract.operations import OPERATIONS
from billhook.engine.journal import dump_step
from billhook.engine.rehearsal import rehearse
from billhook.errors import ProviderLoadError
from billhook.plugins import ProviderHandle
from billhook.testing.builders import an_id
from billhook.testing.desk import Desk, told_in
from billhook.testing.kit.bench import BEGINS_AT, URL, Bench
from billhook.testing.kit.bronze import run_in_a_process
from billhook.testing.kit.check import Check, Failed, Passed, Place, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.gold_recovery import problem_at, strikes_of, struck
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import Scene
from billhook.testing.kit.strikes import books_differ, standing
from billhook.testing.kit.trying import tried
from billhook.testing.transport import SimulatorTransport

SEEDS = ("0", "0", "1", "2")
"""The first twice: what differs even then is told by the check of restarts."""
_SCRIPT = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from importlib.metadata import EntryPoint
from billhook.testing.kit.gold_replay import fingerprints
provider = EntryPoint("rehearsed", sys.argv[1], "billhook.providers").load()
print(json.dumps(fingerprints(provider, json.loads(sys.argv[3]), sys.argv[4])))
"""


def a_restart_goes_on_where_it_stopped(examination: Examination) -> Verdict:
    """An engine that dies before or after any request goes on with the same requests, asked by a fresh provider."""
    count = 0
    for scene, played in examination.sound():
        for name in ("dies_before", "dies_after"):
            for number, _ in enumerate(played.worked.calls, start=1):
                place = Place(scene.name, name, number)
                if not examination.wants(place):
                    continue
                problem = _after_a_death(examination, scene, name, number)
                if problem is not None:
                    return Failed("the operation goes on as if nothing had happened", f"{place}: {problem}", place)
                count += 1
    return Passed(count, "restart")


def _after_a_death(examination: Examination, scene: Scene, name: str, number: int) -> str | None:
    strike = strikes_of(examination, scene)[name]
    played = struck(examination, scene, strike, number)
    if played.has_diverged:
        return played.worked.doubts[0]
    call = examination.alone(scene).worked.calls[number - 1]
    if call.request.effectful and not call.request.recover:
        return None
    return problem_at(examination, scene, strike, number)


def an_upgrade_that_changes_nothing_goes_on(examination: Examination) -> Verdict:
    """A new release of the provider that sends the same goes on where the old one died."""
    count = 0
    for scene, played in examination.sound():
        strikes = strikes_of(examination, scene)
        for number, _ in enumerate(played.worked.calls, start=1):
            place = Place(scene.name, "upgraded", number)
            if not examination.wants(place) or struck(examination, scene, strikes["dies_after"], number).has_diverged:
                continue
            upgraded = struck(examination, scene, strikes["upgraded"], number)
            if upgraded.has_diverged:
                return Failed(
                    "what is sent does not tell of the release", f"{place}: {upgraded.worked.doubts[0]}", place
                )
            count += 1
    return Passed(count, "upgrade")


def asks_the_same_under_every_hash_seed(examination: Examination) -> Verdict:
    """What is sent does not depend on the order of a set, which is another one in every process."""
    with examination.bench() as bench:
        settings = bench.settings.model_dump_json()
    try:
        told = [_fingerprints(examination, settings, seed) for seed in SEEDS]
    except ProviderLoadError as error:
        return Failed("the requests are the same in every process", str(error))
    steady = [name for name in told[0] if told[0][name] == told[1].get(name)]
    differing = sorted(name for name in steady if len({each.get(name) for each in told}) > 1)
    if differing:
        return Failed(
            "the requests are the same in every process", f"those of {', '.join(differing)} differ by hash seed"
        )
    return Passed(len(told[0]), "operation")


def _fingerprints(examination: Examination, settings: str, seed: str) -> Mapping[str, str]:
    subject = examination.subject
    found: Mapping[str, str] = json.loads(run_in_a_process(_SCRIPT, subject.target, seed, settings, subject.currency))
    return found


class _Rehearsing(Desk):
    """A desk at which nothing is sent: its customers are made up."""

    def _brought(self, item: CustomerItem) -> CustomerLink:
        return CustomerLink(item.id, f"there-{item.id}")


def fingerprints(provider: type[Provider[Any]], settings: Mapping[str, Any], currency: str) -> dict[str, str]:
    """What each operation would send for three items, and how it would recover, by operation: driven by samples alone."""
    handle = ProviderHandle(provider)
    desk = _Rehearsing(
        handle,
        SimulatorTransport({}),
        settings=handle.settings(settings),
        clock=TurnedClock(BEGINS_AT),
        currency=currency,
    )
    found = {}
    for capability, spec in OPERATIONS.items():
        rules = provider.declaration.rules(capability)
        if provider.declaration.can(capability) and not rules.local and not spec.secret:
            items = [_item(desk, capability, number) for number in range(1, min(rules.batch, 3) + 1)]
            rehearsal = rehearse(handle, capability, desk.batch(*items))
            steps: list[Request | Call] = [*rehearsal.requests, *([rehearsal.call] if rehearsal.call else [])]
            text = b"\n".join(part for step in steps for part in (dump_step(step), told_in(step)))
            found[str(capability)] = hashlib.sha256(text).hexdigest()
    return found


def _item(desk: Desk, capability: Capability, number: int) -> Any:
    return _ITEMS[OPERATIONS[capability].item.__name__](desk, number)


def _an_invoice(desk: Desk, number: int) -> Any:
    return desk.invoice_item(number, external_id=f"there-{number}", number=f"INV-{number}")


_ITEMS: Mapping[str, Callable[[Desk, int], Any]] = {
    "CustomerItem": lambda desk, number: desk.customer_item(number),
    "InvoiceItem": _an_invoice,
    "CreditNoteItem": lambda desk, number: desk.credit_item(number, applies_to=f"there-{number}"),
    "PaymentItem": lambda desk, number: desk.payment_item(_an_invoice(desk, number), 500 + number),
    "RefundItem": lambda desk, number: desk.refund_item(f"there-{number}", number=700 + number),
    "ConnectionItem": lambda _desk, number: ConnectionItem(an_id(number)),
}


# Side by side.


def two_operations_do_not_meet(examination: Examination) -> Verdict:
    """An operation that is begun, and goes on after another one was done, asks and ends as it does alone."""
    attempts = (partial(_interleaved, examination, scene) for scene, _ in examination.sound())
    return tried("an operation knows of no other", "operation", attempts)


def _interleaved(examination: Examination, scene: Scene) -> str | None:
    with examination.bench() as bench:
        items = scene.prepare(bench)
        batch = bench.batch(*items)
        steps: Any = bench.handle.start(scene.capability, batch)
        request = next(steps, None)
        other: Any = bench.handle.start(scene.capability, bench.batch(*_renamed(items)))
        next(other, None)
        sent = 0
        while request is not None:
            sent += 1
            try:
                request = steps.send(bench.send(request, f"{batch.operation_id}-{sent}"))
            except StopIteration as end:
                return _same_end(examination, scene, end.value)
        other.close()
    return None


def _renamed(items: tuple[Any, ...]) -> list[Any]:
    """The same under other ids, as another operation would have them."""
    return [replace(item, id=an_id(9_000 + number)) for number, item in enumerate(items)]


def _same_end(examination: Examination, scene: Scene, outcomes: Any) -> str | None:
    expected = examination.alone(scene).worked.outcomes
    if not isinstance(outcomes, Mapping) or outcomes.keys() != expected.keys():
        return f"{scene.name} ends for {list(outcomes)} instead of {list(expected)}"
    for id, outcome in expected.items():
        if type(outcomes[id]) is not type(outcome):
            return f"{scene.name} ends with {outcomes[id]}, and alone with {outcome}"
    return None


def two_apps_do_not_meet(examination: Examination) -> Verdict:
    """Two apps of the same provider, worked in turn, each have their own in their books."""
    attempts = (partial(_in_turn, examination, scene) for scene, _ in examination.sound())
    return tried("what one app does shows at that app alone", "operation", attempts)


def _in_turn(examination: Examination, scene: Scene) -> str | None:
    subject, seed = examination.subject, examination.seed
    with Bench(subject, seed=seed) as one, Bench(subject, seed=seed, url=f"{URL}:8080") as other:
        for bench in (one, other):
            bench.work(scene.capability, *scene.prepare(bench))
        for bench in (one, other):
            bench.rest()
            problem = books_differ(standing(bench.books), examination.alone(scene).books)
            if problem is not None:
                return f"{scene.name} at {'one app' if bench is one else 'the other app'}: {problem}"
    return None


def _check(rule: Rule, run: Callable[[Examination], Verdict]) -> Check:
    return Check(run.__name__, Tier.GOLD, rule, (run.__doc__ or "").splitlines()[0], run)


CHECKS: tuple[Check, ...] = (
    _check(Rule.REPLAY, a_restart_goes_on_where_it_stopped),
    _check(Rule.REPLAY, an_upgrade_that_changes_nothing_goes_on),
    _check(Rule.REPLAY, asks_the_same_under_every_hash_seed),
    _check(Rule.PARKING, two_operations_do_not_meet),
    _check(Rule.PARKING, two_apps_do_not_meet),
)
