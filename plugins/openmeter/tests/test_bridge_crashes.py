"""Wherever the bridge dies, and whichever answer is lost: no second document, no missed callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

import httpx
import pytest
from stand_in import OpenMeterStandIn, a_line

from billhook.testing.crash import Crashes, Run
from billhook_openmeter import UpstreamError

if TYPE_CHECKING:
    from conftest import Between

CHARGED, SENT = "01J00000000000000000000001", "01J00000000000000000000002"
LINES = {CHARGED: "01JANE0000000000000000000A", SENT: "01JANE0000000000000000000B"}
LIVES = 5


def story(between: Between) -> None:
    """Two invoices: one is charged, the other is edited, approved and sent. Told again it goes on where it was."""
    upstream = between.upstream
    if not upstream.invoices:
        upstream.create(
            [a_line("Seats", "100.00", id=LINES[CHARGED])], id=CHARGED, collection_method="charge_automatically"
        )
        upstream.create([a_line("Usage", "40.00", id=LINES[SENT])], id=SENT, auto_advance=False)
    between.settle()
    if upstream.invoices[SENT].state == "draft.manual_approval_needed" and total_of(upstream, SENT) == Decimal("40.00"):
        upstream.edit(SENT, [a_line("Usage", "44.00", id=LINES[SENT])])
        between.settle()
    if upstream.invoices[SENT].state == "draft.manual_approval_needed":
        upstream.approve(SENT)
        between.settle()


def total_of(upstream: OpenMeterStandIn, id: str) -> Decimal:
    return Decimal(upstream.shown(upstream.invoices[id])["totals"]["total"])


def problems_upstream(between: Between) -> list[str]:
    found = []
    for id, state in ((CHARGED, "paid"), (SENT, "payment_processing.pending")):
        stored, here = between.upstream.invoices[id], between.here(id).invoice
        if stored.state != state:
            found.append(f"{id} is {stored.state} upstream and {here.status} here")
        if stored.number != here.number or stored.external_ids.get("invoicing") != here.external_ids.get("invoicing"):
            found.append(f"{id} is {stored.number}, {stored.external_ids} upstream and {here.number} here")
    totals = sorted(document.total for document in between.books.ledger.documents())
    return found if totals == [Decimal("44.00"), Decimal("100.00")] else [*found, f"the books hold {totals}"]


@pytest.fixture
def crashes(between_with: Callable[..., Between]) -> Crashes:
    return Crashes(lambda: between_with(happenings=story), downtime=timedelta(seconds=3))


def check(runs: Iterator[Run]) -> int:
    checked = 0
    for run in runs:
        with run.scenario.open():
            assert not [*run.problems, *problems_upstream(run.scenario)], run
        checked += 1
    return checked


def test_a_death_at_a_random_point_of_the_engine_changes_nothing(crashes):
    assert check(crashes.sampled(3)) == 3
    assert check(crashes.sampled(2, deaths=2)) == 2


@pytest.mark.long
def test_a_death_at_any_point_of_the_engine_changes_nothing(crashes):
    assert check(crashes.singles()) > 100


def first_requests(between: Between) -> int:
    """How many requests the story takes when nothing goes wrong."""
    with between.open():
        story(between)
    return len(between.upstream.calls)


def tell_with_losses(between: Between) -> None:
    """The story in as many lives as it takes: an answer that does not come ends a life."""
    for _ in range(LIVES):
        with between.open():
            try:
                story(between)
            except UpstreamError:
                between.clock.advance(timedelta(seconds=3))
                continue
            return
    raise AssertionError("it never comes to its end")


def nth(number: int) -> Callable[[httpx.Request], bool]:
    seen = count(1)
    return lambda _request: next(seen) == number


def lose_one(between_with: Callable[..., Between], loss: str, requests: range, **upstream: bool) -> None:
    for number in requests:
        between = between_with(upstream=OpenMeterStandIn(**upstream))
        setattr(between.upstream, loss, nth(number))
        tell_with_losses(between)
        with between.open() as engine:
            assert not [*between.problems(engine), *problems_upstream(between)], f"{loss} at request {number}"


@pytest.mark.parametrize(
    "loss, answers_with_invoice",
    [
        pytest.param("unreachable", False, marks=pytest.mark.long),
        pytest.param("lose_answer", False, marks=pytest.mark.long),
        ("lose_answer", True),
    ],
)
def test_a_request_upstream_that_gets_lost_changes_nothing(between_with, loss, answers_with_invoice):
    requests = first_requests(between_with())
    assert requests > 20
    lose_one(between_with, loss, range(3, requests, 8), answers_with_invoice=answers_with_invoice)


@pytest.mark.long
@pytest.mark.parametrize("loss", ["unreachable", "lose_answer"])
@pytest.mark.parametrize("answers_with_invoice", [False, True], ids=["204", "200 with the invoice"])
def test_whichever_request_upstream_gets_lost_changes_nothing(between_with, loss, answers_with_invoice):
    requests = first_requests(between_with())
    lose_one(between_with, loss, range(1, requests + 1), answers_with_invoice=answers_with_invoice)


@pytest.mark.long
@pytest.mark.parametrize("loss", ["unreachable", "lose_answer"])
def test_any_two_requests_upstream_may_get_lost(between_with, loss):
    requests = first_requests(between_with())
    for first in range(1, requests + 1):
        for gap in (1, 2, 5):
            between = between_with()
            hits = {first, first + gap}
            seen = count(1)
            setattr(between.upstream, loss, lambda _request, seen=seen, hits=hits: next(seen) in hits)
            tell_with_losses(between)
            with between.open() as engine:
                assert not [*between.problems(engine), *problems_upstream(between)], f"{loss} at {sorted(hits)}"
