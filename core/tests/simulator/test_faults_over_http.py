from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from billhook.errors import InvalidInput
from billhook.testing.simulator import FAULTS, ConnectionRefused, SimRequest

BROKEN = "broken connection"
UNREADABLE = "unreadable body"

# What the client sees at once, and whether the invoice is in the books.
TOLD = {
    "refuse": (BROKEN, False),
    "throttle": (429, False),
    "5xx_before": (503, False),
    "5xx_after_commit": (500, True),
    "stored_500": (500, False),
    "lost_response": (BROKEN, True),
    "late": (BROKEN, False),
    "garbage": (UNREADABLE, True),
    "truncated": (UNREADABLE, True),
    "token_expired": (401, False),
}
ELSEWHERE = {"slow", "partial_page", "clock_skew", "duplicate_delivery", "reordered_delivery"}


def what_is_seen(send) -> int | str:
    try:
        answer = send()
    except httpx.TransportError:
        return BROKEN
    try:
        answer.json()
    except ValueError:
        return UNREADABLE
    return answer.status_code


def test_every_kind_of_fault_has_its_test():
    assert set(FAULTS) == set(TOLD) | ELSEWHERE


@pytest.mark.parametrize("kind", TOLD)
def test_what_the_client_sees_and_what_the_books_hold(shop, kind):
    seen, applied = TOLD[kind]
    shop.sandbox.fault(kind, matching="POST /v1/invoices")
    assert what_is_seen(lambda: shop.create(shop.item())) == seen
    assert len(shop.sandbox.documents()) == applied
    assert shop.sandbox.calls()[-1].verdict == kind


@pytest.mark.parametrize("kind", [kind for kind in TOLD if kind not in {"stored_500", "late"}])
def test_sending_again_under_the_same_key_makes_one_invoice_whatever_went_wrong_first(shop, kind):
    shop.sandbox.fault(kind, matching="POST /v1/invoices")
    what_is_seen(lambda: shop.create(shop.item(), key="k1"))
    again = shop.create(shop.item(), key="k1")
    assert again.json()["items"][0]["ok"]
    assert len(shop.sandbox.documents()) == 1


@pytest.mark.parametrize("kind", ["lost_response", "5xx_after_commit", "garbage", "truncated"])
def test_sending_again_without_a_key_makes_a_duplicate_that_can_be_seen(shop, kind):
    shop.sandbox.fault(kind, matching="POST /v1/invoices")
    what_is_seen(lambda: shop.create(shop.item("INV-7")))
    shop.create(shop.item("INV-7"))
    (duplicate,) = shop.sandbox.duplicates()
    assert (duplicate.kind, duplicate.reference, len(duplicate.ids)) == ("invoice", "INV-7", 2)


@pytest.mark.parametrize("applied", [False, True])
def test_a_stored_500_is_replayed_until_its_window_is_over(shop, clock, applied):
    shop.sandbox.fault("stored_500", matching="POST /v1/invoices", applied=applied)
    assert [shop.create(shop.item(), key="burnt").status_code for _ in range(3)] == [500, 500, 500]
    assert len(shop.sandbox.documents()) == applied
    clock.advance(timedelta(hours=24))
    assert shop.create(shop.item(), key="burnt").status_code == 200


def test_a_late_request_lands_when_its_time_comes(shop, clock):
    shop.sandbox.fault("late", matching="POST /v1/invoices", seconds=60)
    with pytest.raises(httpx.TransportError):
        shop.create(shop.item())
    clock.advance(timedelta(seconds=59))
    assert shop.sandbox.documents() == ()
    clock.advance(timedelta(seconds=1))
    assert [document.reference for document in shop.sandbox.documents()] == ["INV"]


def test_a_late_request_with_a_key_lands_on_the_answer_of_its_repetition(shop, clock):
    shop.sandbox.fault("late", matching="POST /v1/invoices", seconds=60)
    with pytest.raises(httpx.TransportError):
        shop.create(shop.item(), key="k1")
    assert shop.create(shop.item(), key="k1").status_code == 200
    clock.advance(timedelta(seconds=61))
    assert len(shop.sandbox.documents()) == 1


def test_a_late_request_without_a_key_lands_beside_its_repetition(shop, clock):
    shop.sandbox.fault("late", matching="POST /v1/invoices", seconds=60)
    with pytest.raises(httpx.TransportError):
        shop.create(shop.item())
    shop.create(shop.item())
    clock.advance(timedelta(seconds=61))
    assert [duplicate.reference for duplicate in shop.sandbox.duplicates()] == ["INV"]


def test_a_slow_answer_times_out_though_the_invoice_is_booked_and_its_key_stays_in_flight(shop, clock):
    shop.sandbox.fault("slow", matching="POST /v1/invoices", seconds=3600)
    body = {"items": [shop.item()]}
    with pytest.raises(httpx.ReadTimeout):
        shop.http.post("/v1/invoices", json=body, headers={"Idempotency-Key": "k1"}, timeout=0.5)
    in_flight = shop.http.post("/v1/invoices", json=body, headers={"Idempotency-Key": "k1"})
    assert (in_flight.status_code, in_flight.json()["error"]["code"]) == (409, "request_in_flight")
    clock.advance(timedelta(hours=1))
    answered = shop.http.post("/v1/invoices", json=body, headers={"Idempotency-Key": "k1"})
    assert answered.headers["Idempotent-Replayed"] == "true"
    assert len(shop.sandbox.documents()) == 1


def test_a_slow_answer_says_in_process_how_late_it_is(sandbox, ask):
    sandbox.fault("slow", seconds=12)
    assert ask("GET", "/v1/account").after_seconds == 12
    assert ask("GET", "/v1/account").after_seconds == 0


def test_a_partial_page_says_that_there_is_more_and_the_rest_can_be_had(shop):
    shop.create(*(shop.item(f"INV-{n}") for n in range(5)))
    shop.sandbox.fault("partial_page", matching="GET /v1/invoices", missing=2)
    first = shop.http.get("/v1/invoices").json()
    rest = shop.http.get("/v1/invoices", params={"cursor": first["next_cursor"]}).json()
    assert (len(first["items"]), first["has_more"]) == (3, True)
    assert ([item["reference"] for item in rest["items"]], rest["has_more"]) == (["INV-3", "INV-4"], False)


def test_a_partial_page_of_one_item_shows_none_and_says_that_there_is_more(shop):
    shop.create(shop.item("INV-0"))
    shop.sandbox.fault("partial_page", matching="GET /v1/invoices")
    first = shop.http.get("/v1/invoices?reference=INV-0").json()
    assert (first["items"], first["has_more"]) == ([], True)
    rest = shop.http.get("/v1/invoices", params={"reference": "INV-0", "cursor": first["next_cursor"]}).json()
    assert len(rest["items"]) == 1


def test_a_skewed_clock_shows_in_the_date_header(shop, clock):
    shop.sandbox.fault("clock_skew", seconds=-7200)
    wrong, right = shop.http.get("/v1/account"), shop.http.get("/v1/account")
    assert parsedate_to_datetime(wrong.headers["Date"]) == clock.now() - timedelta(hours=2)
    assert parsedate_to_datetime(right.headers["Date"]) == clock.now()


def test_a_throttled_client_is_told_when_to_come_back(shop):
    shop.sandbox.fault("throttle", after_seconds=17)
    assert shop.http.get("/v1/account").headers["Retry-After"] == "17"


def test_a_fault_strikes_the_named_call_and_the_named_number_of_times(shop):
    armed = shop.sandbox.fault("5xx_before", at_call=2, matching="GET /v1/account", times=2)
    statuses = [shop.http.get("/v1/account").status_code for _ in range(5)]
    assert statuses == [200, 503, 503, 200, 200]
    assert armed.struck == 2


def test_a_fault_can_last_until_it_is_cleared(shop):
    shop.sandbox.fault("token_expired", times=None)
    assert {shop.http.get("/v1/account").status_code for _ in range(4)} == {401}
    shop.sandbox.clear_faults()
    assert shop.http.get("/v1/account").status_code == 200


def test_in_process_a_refused_connection_is_told_from_a_lost_answer(sandbox):
    sandbox.fault("refuse")
    with pytest.raises(ConnectionRefused):
        sandbox.handle(SimRequest("GET", "/v1/account"))


def test_an_unknown_fault_names_those_that_exist(sandbox):
    with pytest.raises(InvalidInput, match="lost_response"):
        sandbox.fault("lost")


def test_a_parameter_that_a_fault_does_not_take_is_refused(sandbox):
    with pytest.raises(InvalidInput, match="takes seconds"):
        sandbox.fault("slow", minutes=3)
