"""Providers that read one refusal of their system wrongly, which a silver check must find, and only that check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from broken.parts import declared, each_result, ending

from billhook.contract import (
    Capability,
    DocumentResult,
    Done,
    OperationRules,
    PaymentResult,
    PaymentStatus,
    Pending,
    RefundResult,
    RefundStatus,
    Rejected,
    RemovalResult,
    hookimpl,
)
from billhook.testing.sandbox.provider import SandboxProvider


def instead(change: Callable[[Any, Rejected], Any]) -> Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]:
    """Another outcome of each item that was refused."""

    def changed(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
        items = {item.id: item for item in batch.items}
        return {
            id: change(items[id], outcome) if isinstance(outcome, Rejected) else outcome
            for id, outcome in outcomes.items()
        }

    return changed


def as_issued(item: Any, refused: Rejected) -> Done[DocumentResult]:
    return Done(DocumentResult(item.external_id))


def alone(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    return instead(as_issued)(batch, outcomes) if len(batch.items) == 1 else outcomes


def beside_others(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    return instead(as_issued)(batch, outcomes) if len(batch.items) > 1 else outcomes


class Unhearing(SandboxProvider):
    """Rule REFUSALS: it looks whether there was an answer, and not what it says: a refused document counts as issued."""

    issue = ending("issue", alone)


class Swallowing(SandboxProvider):
    """Rule REFUSALS: it reads the status of the whole request, and the refusal of one item in it is swallowed."""

    issue = ending("issue", beside_others)


def hoped_for(item: Any, result: PaymentResult) -> PaymentResult:
    if result.status is not PaymentStatus.FAILED:
        return result
    return replace(result, status=PaymentStatus.SUCCEEDED, amount=item.amount)


class Hopeful(SandboxProvider):
    """Rule REFUSALS: a charge that was made counts as paid, also where it failed."""

    collect_payment = ending("collect_payment", each_result(hoped_for))


class HopefulAfterwards(SandboxProvider):
    """A charge that failed it takes for paid when it looks at it."""

    check_payment = ending("check_payment", each_result(hoped_for))


class Waiting(SandboxProvider):
    """It asks again for ever what is refused."""

    send = ending("send", instead(lambda item, refused: Pending("not yet", check_after=timedelta(minutes=1))))


def in_a_queue(item: Any, refused: Rejected) -> Pending:
    return Pending("it is in a queue", item.external_id, check_after=timedelta(seconds=5))


class LostInTheQueue(SandboxProvider):
    """What is refused after it was taken it finds as a draft, and takes for issued."""

    issue = ending("issue", instead(in_a_queue))


def refused_by_the_queue(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        id: Rejected.because("refused", "The queue refused it.") if outcome.result.status == "draft" else outcome
        for id, outcome in outcomes.items()
    }


class RefusedLater(LostInTheQueue):
    """No mistake: what is refused after it was taken is told as refused by `fetch`."""

    fetch = ending("fetch", refused_by_the_queue)


class Mute(SandboxProvider):
    """It does not say why something was refused."""

    void = ending("void", instead(lambda item, refused: Rejected(())))


class Unvoided(SandboxProvider):
    """A void that is refused it takes for one that was not needed."""

    void = ending("void", instead(lambda item, refused: Done(RemovalResult(item.external_id))))


class Paying(SandboxProvider):
    """A charge that is refused it takes for paid."""

    collect_payment = ending(
        "collect_payment",
        instead(lambda item, refused: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, "pay_0"))),
    )


class Canceling(SandboxProvider):
    """A cancellation that is refused it takes for one that was done."""

    cancel_payment = ending(
        "cancel_payment", instead(lambda item, refused: Done(PaymentResult(PaymentStatus.CANCELED, Decimal(0))))
    )


class Refunding(SandboxProvider):
    """A refund that is refused it takes for money that was given back."""

    refund = ending(
        "refund", instead(lambda item, refused: Done(RefundResult(RefundStatus.SUCCEEDED, item.amount, "ref_0")))
    )


class Nameless(SandboxProvider):
    """What is refused under our reference it sends again under another one."""

    @hookimpl
    def sync_customer(self, batch: Any) -> Any:
        outcomes = yield from SandboxProvider.sync_customer(self, batch)
        if not any(isinstance(outcome, Rejected) for outcome in outcomes.values()):
            return outcomes
        renamed = {f"{item.id[:-1]}X": item for item in batch.items}
        others = tuple(replace(item, id=id, external_id=None) for id, item in renamed.items())
        steps = SandboxProvider.sync_customer(self, replace(batch, items=others))
        reply = yield replace(next(steps), step="again")
        try:
            steps.send(reply)
        except StopIteration as end:
            return {renamed[id].id: outcome for id, outcome in end.value.items()}


def all_alike(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    refused = next((outcome for outcome in outcomes.values() if isinstance(outcome, Rejected)), None)
    return outcomes if refused is None else dict.fromkeys(outcomes, refused)


class Blaming(SandboxProvider):
    """Of a batch of which one is refused it tells all as refused, though the others are done."""

    sync_draft = ending("sync_draft", all_alike)


def by_text(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Places sorted as texts: the tenth comes before the second."""
    ids = list(outcomes)
    places = sorted(map(str, range(len(ids))))
    return {id: outcomes[ids[int(place)]] for id, place in zip(ids, places, strict=True)}


class ByText(SandboxProvider):
    """It pairs answers with items by their place, which it sorts as a text."""

    sync_customer = ending("sync_customer", by_text)


class Overfull(SandboxProvider):
    """It declares more items in a batch than the system takes."""

    declaration = declared(
        operations={
            **SandboxProvider.declaration.operations,
            Capability.SYNC_DRAFT: OperationRules(batch=60, atomic=False),
        }
    )


FURTHER: Sequence[tuple[str, type[SandboxProvider], str]] = (
    ("a_refusal_is_told", Waiting, "send is still pending when send was asked 40 times: pending: not yet"),
    ("a_refusal_is_told", LostInTheQueue, "issue of what is refused there comes to Done"),
    ("a_refusal_is_told", Mute, "void of what is refused there comes to a refusal that does not say why"),
    ("a_refusal_is_told", Unvoided, "void of what is refused there comes to Done"),
    ("a_refusal_is_told", Paying, "collect_payment of what is refused there comes to a payment that is succeeded"),
    ("a_refusal_is_told", Canceling, "cancel_payment of what is refused there comes to a payment that is canceled"),
    ("a_refusal_is_told", Refunding, "refund of what is refused there comes to a refund that is succeeded"),
    ("a_refusal_is_told", Nameless, "comes to Done, and the books have customers too much"),
    ("a_failed_charge_is_told", HopefulAfterwards, "looked at again, a charge that failed is succeeded"),
    ("a_refused_item_is_its_own", Blaming, "the other one comes to a refusal"),
    ("each_item_has_its_own_outcome", ByText, "sync_customer says"),
    (
        "each_item_has_its_own_outcome",
        Overfull,
        "of 60 of sync_draft in one request, which it declares to take, one comes to",
    ),
)
"""Checks that find more than one mistake: the check, the provider with another of them, and what is told of it."""

BROKEN: Mapping[str, type[SandboxProvider]] = {
    "a_refusal_is_told": Unhearing,
    "a_refused_item_is_its_own": Swallowing,
    "a_failed_charge_is_told": Hopeful,
}
