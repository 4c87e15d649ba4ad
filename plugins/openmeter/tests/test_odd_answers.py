"""OpenMeter is slow, busy, broken or behind something that answers in its place: nothing is lost, and it is left alone as it asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import TYPE_CHECKING

import httpx
import pytest
from stand_in import a_line

from billhook.clock import TurnedClock
from billhook_openmeter import OpenMeter, UpstreamError, client
from billhook_openmeter.client import LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    from conftest import Between

Answer = Callable[[httpx.Request], httpx.Response]
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
HTML = {"content-type": "text/html"}


def a_submitted(between: Between, number: int = 1) -> str:
    return between.upstream.create([a_line("Seats", "100.00", id=f"01JANE{number:020d}")])


def answered_once(between: Between, method: str, answer: Answer) -> None:
    """The next request of that method is answered so."""
    usual, struck = between.upstream._answer, []

    def answers(request: httpx.Request) -> httpx.Response:
        if request.method != method or struck:
            return usual(request)
        struck.append(request)
        return answer(request)

    between.upstream._answer = answers


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda _request: httpx.Response(502, content=PAGE, headers=HTML),
        lambda _request: httpx.Response(302, headers={"location": "https://login.example"}),
        lambda _request: httpx.Response(500),
    ],
    ids=["a gateway's page", "a redirect", "nothing"],
)
def test_an_answer_that_says_nothing_about_the_invoice_is_asked_for_again(between, method, answer):
    id = a_submitted(between)
    answered_once(between, method, answer)
    with pytest.raises(UpstreamError, match="OpenMeter answered"):
        between.settle()
    between.settle()
    assert between.upstream.state(id) == "payment_processing.pending"
    assert len(between.books.ledger.documents()) == 1


@pytest.mark.parametrize("content", [b'{"id": "01J000', PAGE, b"[]", b""], ids=["cut off", "a page", "a list", "empty"])
def test_an_invoice_that_cant_be_read_is_named_and_changes_nothing(between, content):
    id = a_submitted(between)
    answered_once(between, "GET", lambda _request: httpx.Response(200, content=content))
    assert "can't be read" in between.bridge.visit(id).stuck
    between.settle()
    assert between.upstream.state(id) == "payment_processing.pending"


def test_a_list_that_cant_be_read_ends_the_sweep(between):
    a_submitted(between)
    answered_once(between, "GET", lambda _request: httpx.Response(200, content=PAGE))
    with pytest.raises(UpstreamError, match="can't be read"):
        list(between.bridge.ids_to_visit())


def test_a_conflict_at_a_callback_is_named_and_tried_again_by_the_next_sweep(between):
    id = a_submitted(between)
    answered_once(between, "POST", lambda _request: httpx.Response(409, json={"detail": "somebody else has it"}))
    between.bridge.visit(id)
    between.engine.run_until_idle()
    between.engine.run_until_idle()
    assert "OpenMeter refuses tell_draft: somebody else has it" in between.bridge.visit(id).stuck
    between.settle()
    assert between.bridge.visit(id).stuck is None
    assert between.upstream.state(id) == "payment_processing.pending"


NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "told, seconds",
    [
        ("7", 7),
        (format_datetime(NOW + timedelta(minutes=30), usegmt=True), 1800),
        ("86400", LONGEST_WAIT_SECONDS),
    ],
    ids=["in seconds", "until a moment", "for too long"],
)
def test_how_long_openmeter_asks_to_be_left_alone_is_told(between, told, seconds):
    between.upstream.busy = lambda _request: told
    client, clock = between.upstream.client(), TurnedClock(NOW)
    upstream = OpenMeter("http://openmeter.test", between.upstream.token, client=client, clock=clock)
    with pytest.raises(UpstreamError, match="429: too many requests") as raised:
        list(upstream.invoice_ids(["draft.syncing"]))
    assert raised.value.wait_seconds == seconds


def test_no_request_at_all_is_sent_before_that_time_is_over(between):
    clock, sent = TurnedClock(NOW), count()
    between.upstream.busy = lambda _request: "7" if next(sent) == 0 else None
    upstream = OpenMeter("http://openmeter.test", between.upstream.token, client=between.upstream.client(), clock=clock)
    with pytest.raises(UpstreamError, match="429"):
        list(upstream.invoice_ids(["draft.syncing"]))
    clock.advance(timedelta(seconds=6))
    with pytest.raises(UpstreamError, match="asks to be left alone"):
        upstream.customer("01JCVST0MER00000000000000A")
    assert next(sent) == 1
    clock.advance(timedelta(seconds=1))
    assert list(upstream.invoice_ids(["draft.syncing"])) == []


@pytest.mark.parametrize("told", ["soon", "-3", "nan", "", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_time_that_is_over_or_cant_be_read_is_none(between, told):
    between.upstream.busy = lambda _request: told
    with pytest.raises(UpstreamError) as raised:
        list(between.bridge.ids_to_visit())
    assert raised.value.wait_seconds is None


def test_invoices_that_move_on_while_the_pages_are_read_are_found_by_the_next_sweep(between, monkeypatch):
    monkeypatch.setattr(client, "PAGE_SIZE", 2)
    ids = [a_submitted(between, number) for number in range(1, 8)]
    for _ in range(6):
        for id in between.bridge.ids_to_visit():  # each visit moves one out of what is listed
            between.bridge.visit(id)
            between.engine.run_until_idle()
    assert {between.upstream.state(id) for id in ids} == {"payment_processing.pending"}
    assert len(between.books.ledger.documents()) == len(ids)


def test_a_count_that_is_never_reached_ends_with_the_first_empty_page(between):
    a_submitted(between)
    usual, asked = between.upstream._list, count(1)

    def miscounted(request: httpx.Request) -> httpx.Response:
        assert next(asked) < 20
        return httpx.Response(200, json={**usual(request).json(), "totalCount": 10_000})

    between.upstream._list = miscounted
    assert len(list(between.bridge.ids_to_visit())) == 1
