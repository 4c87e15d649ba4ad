from __future__ import annotations

import threading
from datetime import timedelta

import httpx


def test_the_same_key_and_body_replay_the_stored_answer(shop):
    first, again = shop.create(shop.item(), key="k1"), shop.create(shop.item(), key="k1")
    assert first.content == again.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert [call.verdict for call in shop.sandbox.calls()[-2:]] == ["answered", "replayed"]
    assert len(shop.sandbox.documents()) == 1


def test_the_same_key_with_another_body_is_refused(shop):
    shop.create(shop.item("A"), key="k1")
    other = shop.create(shop.item("B"), key="k1")
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_error")
    assert [document.reference for document in shop.sandbox.documents()] == ["A"]


def test_a_key_is_forgotten_when_its_window_is_over(shop, clock):
    shop.create(shop.item(), key="k1")
    clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    shop.create(shop.item(), key="k1")
    assert len(shop.sandbox.documents()) == 1
    clock.advance(timedelta(seconds=1))
    shop.create(shop.item(), key="k1")
    assert len(shop.sandbox.duplicates()) == 1


def test_a_refused_request_leaves_its_key_free(shop):
    refused = shop.http.post("/v1/invoices", json={"status": "sold"}, headers={"Idempotency-Key": "k1"})
    assert refused.status_code == 422
    assert shop.create(shop.item(), key="k1").status_code == 200


def test_many_threads_with_one_key_make_one_invoice(shop):
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(shop.create(shop.item(), key="k1"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len(shop.sandbox.documents()) == 1
