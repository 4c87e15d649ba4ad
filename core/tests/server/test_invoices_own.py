"""What a caller of our own paths can do where an invoice stops: see why, and take the way out that is told, with calls alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from engine_kit import Shop, a_provider, lost_after, lost_before, plain_draft
from sandbox_shop import SandboxShop, open_sandbox_shop
from server_kit import ELSEWHERE, Served, serving

Serve = Callable[..., Served]
OWN = "/api/billhook/v1"
TARGET = "openmeter.io/sandbox/target-payment-status"
LINE = {"name": "Work", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}


@pytest.fixture
def at_the_sandbox(a_shop: Callable[..., Shop]) -> Iterator[tuple[Served, SandboxShop]]:
    """A server whose apps are all one sandbox."""
    with ExitStack() as stack:
        scene = open_sandbox_shop(a_shop)
        yield stack.enter_context(serving(scene.shop)), scene


def standing(served: Served, id: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("GET", f"{OWN}/invoices/{id}", expect=200, **options).json()
    return answer


def shown_v1(served: Served, id: str) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("GET", f"/api/v1/billing/invoices/{id}", expect=200).json()
    return answer


# Submitting.


def test_a_draft_that_is_posted_twice_under_its_key_is_one_invoice(served):
    draft = {"key": "2026-11/jane", "customer_key": "jane", "currency": "EUR", "lines": [LINE]}
    first, again = (served.call("POST", f"{OWN}/invoices", json=draft, expect=201).json() for _ in range(2))
    assert (first["id"], first["key"], first["total"]) == (again["id"], "2026-11/jane", "10.00")
    other = {**draft, "currency": "USD"}
    assert served.problem("POST", f"{OWN}/invoices", 409, json=other)["extensions"]["code"] == "key_reused"
    assert served.ns.invoices.list().total_count == 1


@pytest.mark.parametrize("amount", [10.1, True, "NaN", "1e400", None])
def test_amounts_of_a_draft_are_exact_texts(served, amount):
    body = {"customer_key": "jane", "currency": "EUR", "lines": [{**LINE, "price": {"type": "unit", "amount": amount}}]}
    problem = served.problem(
        "POST", f"{OWN}/invoices", 400, content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert problem["extensions"]["path"].endswith("/price/amount")
    assert served.ns.invoices.list().total_count == 0


# How it stands.


def test_another_namespace_sees_and_changes_nothing(served):
    id = served.shop.submit()
    for method, path, body in (
        ("GET", f"/invoices/{id}", None),
        ("PATCH", f"/invoices/{id}", {"description": "x"}),
        ("POST", f"/invoices/{id}/payments", {"key": "p", "amount": "1"}),
        ("POST", f"/invoices/{id}/payment/capture", {}),
        ("POST", f"/invoices/{id}/payment/cancel", None),
        ("POST", f"/doubts/{id}/resolve", {"answer": "absent"}),
        ("GET", f"/credit-notes/{id}", None),
        ("GET", f"/invoices/{id}/credit-notes", None),
        ("GET", f"/invoices/{id}/refunds", None),
        ("POST", "/refunds", {"payment_id": id, "amount": "1", "key": "r"}),
    ):
        served.problem(method, OWN + path, 404, json=body, role=ELSEWHERE)


def test_reading_is_enough_to_see_and_not_to_act(served):
    id = served.shop.submit()
    assert standing(served, id, role="read")["status"] == served.shop.status(id)
    served.problem("POST", f"{OWN}/invoices/{id}/payments", 403, json={"key": "p", "amount": "1"}, role="read")
    served.problem("POST", f"{OWN}/doubts/{id}/resolve", 403, json={"answer": "absent"}, role="read")


def test_why_a_payment_failed_is_told_and_where_the_payer_acts(at_the_sandbox):
    served, scene = at_the_sandbox
    failed, asked = (scene.shop.submit(metadata={TARGET: target}) for target in ("failed", "action_required"))
    scene.shop.run()
    (refused,) = standing(served, failed)["payments"]
    (waiting,) = standing(served, asked)["payments"]
    told = [scene.shop.get(id).payments[0] for id in (failed, asked)]
    assert told[0].message
    assert told[1].action_url
    assert (refused["status"], refused["message"]) == ("failed", told[0].message)
    assert (waiting["status"], waiting["action_url"]) == ("action_required", told[1].action_url)


# Changing what OpenMeter's update has no word for.


def test_an_invoice_that_enforces_tax_is_freed_by_the_call_that_its_issue_names(served):
    served.ns.profiles.amend(served.ns.profiles.default().id, workflow={"tax_enforced": True})
    id = served.shop.submit()
    (issue,) = shown_v1(served, id)["validationIssues"]
    assert [each["message"] for each in standing(served, id)["issues"]] == [issue["message"]]
    _, _, call = issue["message"].partition("not enforce tax: ")
    method, path, _, said = call.split(" ", 3)
    body = json.loads(said)
    assert (method, path, body) == ("PATCH", f"{OWN}/invoices/{id}", {"workflow": {"tax_enforced": False}})
    kept = served.shop.get(id).invoice.content.workflow
    assert served.call(method, path, json=body, expect=200).json()["issues"] == []
    after = served.shop.get(id).invoice.content.workflow
    assert (after, served.shop.status(id)) == (
        kept.model_copy(update={"tax_enforced": False}),
        "payment_processing.pending",
    )


def test_a_change_that_clashes_says_where(served):
    served.ns.profiles.amend(served.ns.profiles.default().id, workflow={"auto_advance": False, "tax_enforced": True})
    id = served.shop.submit()
    wanted = {"workflow": {"tax_enabled": False}}
    problem = served.problem("PATCH", f"{OWN}/invoices/{id}", 400, json=wanted)
    assert (problem["extensions"]["code"], problem["extensions"]["path"]) == ("tax_enforced_while_off", "/workflow")


# Money.


def test_money_that_came_another_way_is_told_once_by_its_key(at_the_sandbox):
    served, scene = at_the_sandbox
    id = scene.shop.submit(metadata={TARGET: "failed"})
    scene.shop.run()
    status = f"/api/v1/apps/custom-invoicing/{id}/payment/status"
    told = served.problem("POST", status, 400, json={"trigger": "paid"})
    assert told["detail"].endswith(f"is told with POST {OWN}/invoices/{id}/payments")
    came = {"key": "bank-1", "amount": "10.00", "method": "bank transfer", "received_at": "2026-01-02T03:04:05Z"}
    for _ in range(2):
        shown = served.call("POST", f"{OWN}/invoices/{id}/payments", json=came, expect=201).json()
    assert (shown["status"], shown["amount_paid"], shown["amount_due"]) == ("paid", "10.00", "0.00")
    other = {**came, "amount": "5"}
    assert (
        served.problem("POST", f"{OWN}/invoices/{id}/payments", 409, json=other)["extensions"]["code"] == "key_reused"
    )


def test_money_that_was_noted_by_mistake_is_taken_back_and_what_was_collected_is_given_back(at_the_sandbox):
    served, scene = at_the_sandbox
    noted, collected = scene.shop.submit(metadata={TARGET: "failed"}), scene.shop.submit()
    scene.shop.run()
    came = {"key": "bank-1", "amount": "4"}
    shown = served.call("POST", f"{OWN}/invoices/{noted}/payments", json=came, expect=201).json()
    (wrong,) = (each for each in shown["payments"] if each.get("key") == "bank-1")
    why = {"reason": "It was for another invoice."}
    for _ in range(2):
        path = f"{OWN}/invoices/{noted}/payments/{wrong['id']}/take-back"
        shown = served.call("POST", path, json=why, expect=200).json()
    assert (shown["amount_paid"], shown["amount_due"]) == ("0", "10.00")
    (taken,) = standing(served, collected)["payments"]
    path = f"{OWN}/invoices/{collected}/payments/{taken['id']}/take-back"
    told = served.problem("POST", path, 400, json=why)
    assert f'POST {OWN}/refunds with "payment_id": "{taken["id"]}"' in told["detail"]
    assert told["detail"].endswith(f"POST {OWN}/invoices/{collected}/payment/cancel")


def test_a_warning_that_a_person_has_dealt_with_ends(at_the_sandbox):
    served, scene = at_the_sandbox
    id = scene.shop.submit()
    scene.shop.run()
    (payment,) = standing(served, id)["payments"]
    noted = {"payment_id": payment["id"], "amount": "2.50", "key": "r-1", "paid_elsewhere": True}
    served.call("POST", f"{OWN}/refunds", json=noted, expect=201)
    (issue,) = standing(served, id)["issues"]
    path, why = (
        f"{OWN}/invoices/{id}/validation-issues/{issue['code']}/dismiss",
        {"reason": "Entered there."},
    )
    assert served.problem("POST", path, 400, json={})
    for _ in range(2):
        assert served.call("POST", path, json=why, expect=200).json()["issues"] == []
    assert served.problem("POST", path.replace(issue["code"], "odd"), 400, json=why)["extensions"]["path"] == "/code"


def test_why_many_stand_still_is_told_once_with_the_way_out(at_the_sandbox):
    served, scene = at_the_sandbox
    declined = {scene.shop.submit(metadata={TARGET: "failed"}) for _ in range(2)}
    scene.shop.run()
    told = served.call("GET", f"{OWN}/causes/invoices", expect=200).json()
    (cause,) = told["data"]
    assert (cause["code"], cause["documents"], cause["example"] in declined) == ("card_declined", 2, True)
    assert f"POST /api/v1/billing/invoices/{cause['example']}/retry" in cause["way_out"]
    assert served.call("GET", f"{OWN}/causes/credit-notes", expect=200).json() == {"data": [], "held": []}
    scene.shop.submit()
    scene.shop.ns.apps.disable(scene.app_id)
    (held,) = served.call("GET", f"{OWN}/causes/invoices", expect=200).json()["held"]
    assert (held["documents"], held["app_id"]) == (1, scene.app_id)
    assert f"PATCH {OWN}/apps/{scene.app_id}" in held["reason"]


def test_an_invoice_is_looked_at_in_its_books_when_somebody_asks(at_the_sandbox):
    served, scene = at_the_sandbox
    id, draft = scene.shop.submit(), scene.shop.submit(workflow={"auto_advance": False})
    scene.shop.run()
    assert served.call("POST", f"{OWN}/invoices/{id}/look", expect=200).json()["id"] == id
    asked = len(scene.sandbox.calls())
    scene.shop.run()
    assert [call.path for call in scene.sandbox.calls()[asked:]] == ["/v1/invoices"]
    told = served.problem("POST", f"{OWN}/invoices/{draft}/look", 400)
    assert told["extensions"]["code"] == "invoice_action_not_available"


def test_an_authorized_payment_is_captured_or_canceled(at_the_sandbox):
    served, scene = at_the_sandbox
    taken, canceled = (scene.shop.submit(metadata={TARGET: "authorized"}) for _ in range(2))
    scene.shop.run()
    assert served.call("POST", f"{OWN}/invoices/{taken}/payment/capture", expect=200).json()["id"] == taken
    served.call("POST", f"{OWN}/invoices/{canceled}/payment/cancel", expect=200)
    scene.shop.run()
    assert (scene.shop.status(taken), standing(served, canceled)["payments"][0]["status"]) == ("paid", "canceled")


def test_what_is_owed_back_is_credited_and_given_back(at_the_sandbox):
    served, scene = at_the_sandbox
    id = scene.shop.submit()
    scene.shop.run()
    (payment,) = standing(served, id)["payments"]
    wanted = {"payment_id": payment["id"], "amount": "2.50", "key": "r-1", "reason": "goodwill"}
    first, again = (served.call("POST", f"{OWN}/refunds", json=wanted, expect=201).json() for _ in range(2))
    note = {"type": "credit_note", "key": "c-1", "customer_key": "jane", "currency": "EUR", "lines": [LINE]}
    credited = served.call("POST", f"{OWN}/credit-notes", json=note, expect=201).json()
    scene.shop.run()
    assert first["id"] == again["id"]
    assert served.call("GET", f"{OWN}/refunds/{first['id']}", expect=200).json()["status"] == "succeeded"
    assert served.call("GET", f"{OWN}/credit-notes/{credited['id']}", expect=200).json()["status"] == "issued"
    listed = served.call("GET", f"{OWN}/credit-notes?status=issued&pageSize=1", expect=200).json()
    assert [each["id"] for each in listed["data"]] == [credited["id"]]
    assert listed["meta"] == {"page": {"number": 1, "size": 1, "total": 1}}
    assert served.call("GET", f"{OWN}/credit-notes?page=2", expect=200).json()["data"] == []
    assert standing(served, id)["amount_refunded"] == "2.50"


def test_what_was_credited_and_given_back_of_an_invoice_is_listed(at_the_sandbox):
    served, scene = at_the_sandbox
    id, other = scene.shop.submit(), scene.shop.submit(metadata={TARGET: "failed"})
    scene.shop.run()
    (payment,) = standing(served, id)["payments"]
    back = {"payment_id": payment["id"], "amount": "2.50"}
    refunds = [
        served.call("POST", f"{OWN}/refunds", json={**back, **more}, expect=201).json()["id"]
        for more in ({"key": "r-1"}, {"key": "r-2", "paid_elsewhere": True})
    ]
    note = {"type": "credit_note", "customer_key": "jane", "currency": "EUR", "credited_invoice_id": other}
    cents = {"price": {"type": "unit", "amount": "0.50"}}
    notes = [
        served.call("POST", f"{OWN}/credit-notes", json={**note, "key": key, "lines": [{**LINE, **cents}]}, expect=201)
        for key in ("c-1", "c-2")
    ]
    scene.shop.run()
    for _ in range(2):
        put = served.call("POST", f"{OWN}/credit-notes/{notes[0].json()['id']}/allocate", expect=200).json()
        assert put["amount_credited"] == "0.50"
    given_back = served.call("GET", f"{OWN}/invoices/{id}/refunds", role="read", expect=200).json()["data"]
    assert [(each["id"], each["key"], each["origin"], each["amount"]) for each in given_back] == [
        (refunds[0], "r-1", "requested", "2.50"),
        (refunds[1], "r-2", "recorded", "2.50"),
    ]
    credited = served.call("GET", f"{OWN}/invoices/{other}/credit-notes", role="read", expect=200).json()["data"]
    assert [(each["id"], each["amount_credited"]) for each in credited] == [
        (each.json()["id"], "0.50") for each in reversed(notes)
    ]
    newest = served.call("GET", f"{OWN}/invoices/{other}/credit-notes?pageSize=1", expect=200).json()["data"]
    assert newest == credited[:1]
    for of_nothing in (f"/invoices/{other}/refunds", f"/invoices/{id}/credit-notes"):
        assert served.call("GET", OWN + of_nothing, expect=200).json()["data"] == []
    assert (
        served.problem("GET", f"{OWN}/invoices/{other}/credit-notes?pageSize=0", 400)["extensions"]["path"]
        == "/pageSize"
    )


def test_what_was_paid_back_another_way_is_noted(at_the_sandbox):
    served, scene = at_the_sandbox
    id = scene.shop.submit(metadata={TARGET: "failed"})
    scene.shop.run()
    came = {"key": "bank-1", "amount": "12"}
    shown = served.call("POST", f"{OWN}/invoices/{id}/payments", json=came, expect=201).json()
    (overpaid,) = (each for each in shown["payments"] if each.get("key") == "bank-1")
    wanted = {"payment_id": overpaid["id"], "amount": "2", "key": "back-1"}
    told = served.problem("POST", f"{OWN}/refunds", 400, json=wanted)
    assert told["detail"].endswith(
        f'POST {OWN}/refunds with "payment_id": "{overpaid["id"]}", an "amount" and "paid_elsewhere": true'
    )
    for _ in range(2):
        noted = served.call("POST", f"{OWN}/refunds", json={**wanted, "paid_elsewhere": True}, expect=201).json()
    assert (noted["status"], noted["origin"], noted["amount"]) == ("succeeded", "recorded", "2")
    shown = standing(served, id)
    assert (shown["status"], shown["amount_paid"], shown["amount_refunded"]) == ("paid", "12", "2")
    more = {**wanted, "amount": "10.01", "key": "back-2", "paid_elsewhere": True}
    assert served.problem("POST", f"{OWN}/refunds", 400, json=more)["extensions"]["path"] == "/amount"
    why = {"reason": "It was never sent."}
    taken = served.call("POST", f"{OWN}/refunds/{noted['id']}/take-back", json=why, expect=200).json()
    assert (taken["status"], taken["message"], standing(served, id)["amount_refunded"]) == (
        "canceled",
        why["reason"],
        "0",
    )


def test_an_amount_that_can_not_be_is_told_at_its_place(at_the_sandbox):
    served, scene = at_the_sandbox
    paid, authorized = scene.shop.submit(), scene.shop.submit(metadata={TARGET: "authorized"})
    scene.shop.run()
    (payment,) = standing(served, paid)["payments"]
    for path, body in (
        (f"/invoices/{paid}/payments", {"key": "p", "amount": "0"}),
        (f"/invoices/{authorized}/payment/capture", {"amount": "10.01"}),
        ("/refunds", {"payment_id": payment["id"], "amount": "10.01", "key": "r"}),
    ):
        told = served.problem("POST", OWN + path, 400, json=body)["extensions"]
        assert told["path"] == "/amount", told


# Doubts.


@pytest.fixture
def in_doubt(serve: Serve) -> Callable[..., tuple[Served, str]]:
    """A server with one invoice of which nobody knows whether its draft stands at the provider."""

    def start(behaviour: Any = lost_after) -> tuple[Served, str]:
        served = serve(a_provider(sync_draft=plain_draft))
        id = served.shop.submit()
        served.shop.wire.plan(behaviour)
        served.shop.run()
        return served, id

    return start


def test_a_doubt_is_settled_by_the_call_that_its_issue_names(in_doubt):
    served, id = in_doubt(lost_before)
    assert standing(served, id)["in_doubt"]
    (issue,) = shown_v1(served, id)["validationIssues"]
    assert issue["message"].endswith(f"say what you found: POST {OWN}/doubts/{id}/resolve.")
    (doubt,) = served.call("GET", f"{OWN}/doubts", role="read", expect=200).json()["data"]
    (step,) = doubt["steps"]
    assert (doubt["document_id"], step["method"], step["sends"], bool(step["key"])) == (id, "POST", 1, True)
    said = {"answer": "absent", "by": "Ann", "note": "looked"}
    served.call("POST", f"{OWN}/doubts/{id}/resolve", json=said, expect=204)
    served.shop.run()
    assert (standing(served, id).get("in_doubt"), served.shop.books.references) == (None, [id])
    served.problem("POST", f"{OWN}/doubts/{id}/resolve", 404, json=said)


@pytest.mark.parametrize(
    "said, path",
    [
        ({"answer": "found"}, "/external_id"),
        ({"answer": "absent", "external_id": "x"}, "/external_id"),
        ({"answer": "perhaps"}, "/answer"),
        ({}, "/answer"),
    ],
)
def test_an_answer_to_a_doubt_that_is_none_is_refused_at_its_place(in_doubt, said, path):
    served, id = in_doubt()
    problem = served.problem("POST", f"{OWN}/doubts/{id}/resolve", 400, json=said)
    assert problem["extensions"]["path"] == path
    assert served.shop.get(id).in_doubt


def test_a_deletion_that_has_to_wait_is_shown_as_such(in_doubt):
    served, id = in_doubt()
    served.call("DELETE", f"/api/v1/billing/invoices/{id}", expect=204)
    assert (shown_v1(served, id)["status"], standing(served, id)["pending_command"]) == ("draft", "delete")


# Apps that do nothing.


def test_an_invoice_that_waits_for_a_disabled_app_names_the_call_that_lets_it_work(at_the_sandbox):
    served, scene = at_the_sandbox
    place = f"{OWN}/apps/{scene.app_id}"
    served.call("PATCH", place, json={"enabled": False}, expect=200)
    id = scene.shop.submit()
    scene.shop.run()
    wanted = f'Sandbox is disabled. Let it work again: PATCH {place} with {{"enabled": true}}'
    assert standing(served, id)["waiting_for"] == wanted
    served.call("PATCH", place, json={"enabled": True}, expect=200)
    scene.shop.run()
    assert (scene.shop.status(id), standing(served, id).get("waiting_for")) == ("paid", None)


def test_an_invoice_that_waits_for_credentials_leads_to_them(at_the_sandbox):
    served, scene = at_the_sandbox
    place = f"{OWN}/apps/{scene.app_id}"
    served.call("PUT", f"{place}/credentials", json={"credentials": {"token": "expired"}}, expect=200)
    id = scene.shop.submit()
    scene.shop.run()
    assert standing(served, id)["waiting_for"] == f"Sandbox is unauthorized. See why: POST {place}/check"
    assert served.problem("POST", f"{place}/check", 400)["detail"].endswith("Check its credentials.")
    served.call("PUT", f"{place}/credentials", json={"credentials": {"token": "sandbox-token"}}, expect=200)
    scene.shop.run()
    assert scene.shop.status(id) == "paid"
