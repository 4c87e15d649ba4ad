"""Strikes: a scene played with one blow at one request, and compared with the same scene left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billhook.contract import Done, PaymentResult, PaymentStatus, Pending
from billhook.testing.desk import NotDone
from billhook.testing.kit.bench import Bench, Blow, Stuck, Worked
from billhook.testing.kit.scenes import Scene
from billhook.testing.kit.subject import Refunding, SimulatorProtocol, Subject
from billhook.testing.kit.telling import told_with_place

Books = Counter[tuple[Any, ...]]

_ENDS = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELED, PaymentStatus.UNCOLLECTIBLE})


@dataclass(frozen=True, slots=True)
class Played:
    """How a scene ended. ``problem``: why it did not come to its end. ``books``: what stands at the provider afterwards, and ``ids``
    under which ids."""

    scene: Scene
    worked: Worked
    books: Books
    problem: str | None = None
    ids: frozenset[str] = frozenset()

    @property
    def has_diverged(self) -> bool:
        """A replay asked something else: told by the check of replays, and nowhere else."""
        return any(reason.startswith("diverged") for reason in self.worked.doubts)

    @property
    def is_sound(self) -> bool:
        """It came to its end, and nothing was refused or left in doubt."""
        return self.problem is None and not self.worked.doubts and not self.worked.refusals


def play(subject: Subject, scene: Scene, seed: int, blow: Blow | None = None) -> Played:
    """Play a scene on a fresh bench, and let everything come to rest."""
    with Bench(subject, seed=seed) as bench:
        try:
            items = scene.prepare(bench)
            worked = bench.work(scene.capability, *items, blow=blow)
            worked.ended = bench.to_the_end(scene.capability, items, worked.outcomes)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is what is reported
            return Played(scene, Worked(), Counter(), _told(error))
        bench.rest()
        return Played(scene, worked, standing(bench.books), ids=_ids(bench.books))


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, Stuck | NotDone) else told_with_place(error)


def standing(books: SimulatorProtocol) -> Books:
    """What counts of the books: documents, payments, refunds and customers by our references, and how often each is there."""
    found: Books = Counter({("customers",): len(books.customers())})
    found.update(_documents(books))
    found.update(("payment", payment.reference, payment.amount) for payment in books.payments())
    if isinstance(books, Refunding):
        found.update(("refund", refund.reference, refund.amount) for refund in books.refunds())
    found.update(("twice", each.kind, each.reference) for each in books.duplicates())
    return found


def _ids(books: SimulatorProtocol) -> frozenset[str]:
    things: list[Any] = [*books.documents(), *books.payments()]
    things += books.refunds() if isinstance(books, Refunding) else ()
    return frozenset(str(each.id) for each in things)


def _documents(books: SimulatorProtocol) -> Iterator[tuple[Any, ...]]:
    for each in books.documents():
        yield (each.kind, each.reference, each.currency, each.total, "issued" if each.is_issued else "not issued")


def difference(struck: Played, alone: Played) -> str | None:
    """What a blow changed, in one sentence; None when it changed nothing."""
    if struck.problem is not None:
        return struck.problem
    for doubt in struck.worked.doubts:
        return f"it ended in doubt: {doubt}"
    if struck.worked.refusals and not alone.worked.refusals:
        return f"it was refused: {'; '.join(struck.worked.refusals)}"
    return (
        books_differ(struck.books, alone.books) or _of_outcomes(struck.worked, alone.worked) or _of_ids(struck, alone)
    )


def books_differ(found: Books, expected: Books) -> str | None:
    """What the books have too much or too little, in one sentence."""
    more, less = found - expected, expected - found
    if more:
        return f"the books have {_shown(more)} too much" + (f", and lack {_shown(less)}" if less else "")
    return f"the books lack {_shown(less)}" if less else None


def another_ones(books: SimulatorProtocol, outcomes: Mapping[str, Any]) -> str | None:
    """An outcome that names another id than that under which the books have its item; None where there is none."""
    things: tuple[Any, ...] = (*books.documents(), *books.customers())
    known = {each.reference: each.id for each in things if hasattr(each, "reference") and hasattr(each, "id")}
    for id, outcome in outcomes.items():
        told = getattr(getattr(outcome, "result", None), "external_id", None)
        if id in known and told not in {None, known[id]}:
            return f"{told} of {id}, which is {known[id]} in the books"
    return None


def _shown(books: Books) -> str:
    return ", ".join(" ".join(map(str, each)) + (f" x{count}" if count > 1 else "") for each, count in books.items())


def _of_ids(struck: Played, alone: Played) -> str | None:
    """An outcome that names what nobody knows there, where without the blow it names what stands there."""
    for id, outcome in alone.worked.outcomes.items():
        before, after = _named(outcome), _named(struck.worked.outcomes.get(id))
        if before in alone.ids and after is not None and after not in struck.ids:
            return f"the outcome names {after}, under which nothing stands there; without it {before}, which does"
    return None


def _named(outcome: Any) -> str | None:
    """The remote id that an outcome tells."""
    told = outcome.result if isinstance(outcome, Done) else outcome
    named: str | None = getattr(told, "external_id", None)
    return named


def _of_outcomes(found: Worked, expected: Worked) -> str | None:
    for id, outcome in expected.at_the_end.items():
        after = found.at_the_end.get(id)
        # Time passes while a blow is got over, and what was pending may be done by then.
        if isinstance(outcome, Pending) or isinstance(after, Pending):
            continue
        if _figures(outcome) != _figures(after):
            return f"the outcome says {_figures(after)}, and without it {_figures(outcome)}"
        ends = _end(outcome), _end(after)
        if None not in ends and ends[0] is not ends[1]:
            return f"the outcome says {ends[1]}, and without it {ends[0]}"
    return None


def _end(outcome: Any) -> PaymentStatus | None:
    """How a payment ended, where it did."""
    result = outcome.result if isinstance(outcome, Done) else None
    return result.status if isinstance(result, PaymentResult) and result.status in _ENDS else None


def _figures(outcome: Any) -> dict[str, Any]:
    """What of an outcome must not depend on how it was learnt."""
    if not isinstance(outcome, Done):
        return {"kind": type(outcome).__name__}
    totals = getattr(outcome.result, "totals", None)
    told: dict[str, Any] = {
        "number": getattr(outcome.result, "number", None),
        "total": getattr(totals, "total", None),
        "tax": getattr(totals, "tax", None),
        "amount": getattr(outcome.result, "amount", None),
        "found": getattr(outcome.result, "found", None),
    }
    return {name: _plain(value) for name, value in told.items() if value is not None}


def _plain(value: Any) -> Any:
    return value.normalize() if isinstance(value, Decimal) else value
