"""The simulator by itself: what it refuses, what it keeps, and what the vendor's own client makes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from billhook.contract import Capability
from billhook.testing.simulator import SimRequest
from billhook_gocardless.simulator import simulator
from billhook_gocardless.simulator.rules import GoCardlessRules

HEADERS = {
    "Authorization": "Bearer gocardless-token",
    "GoCardless-Version": "2015-07-06",
    "Content-Type": "application/json",
}


@pytest.fixture
def ask(books):
    """Put a request to GoCardless in-process."""

    def send(method, path, body=None, **headers):
        sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return books.handle(SimRequest.from_url(method, path, sent.items(), content))

    return send


@pytest.fixture
def mandate(ask, books):
    ask("POST", "/customers", {"customers": {"company_name": "Ada Ltd"}})
    return books.mandates()[0].id


def payment(mandate, **changes):
    return {"payments": {"amount": 765, "currency": "GBP", "links": {"mandate": mandate}, **changes}}


def reasons(reply):
    return [error.get("reason") or error["field"] for error in reply.json()["error"]["errors"]]


@pytest.mark.parametrize(
    "changes, fields",
    [
        ({"amount": 7.65}, ["amount"]),
        ({"amount": "765"}, ["amount"]),
        ({"amount": True}, ["amount"]),
        ({"amount": 0}, ["amount"]),
        ({"amount": None}, ["amount"]),
        ({"currency": "JPY"}, ["currency"]),
        ({"currency": "EUR"}, ["currency"]),
        ({"customer": "CU1"}, ["customer"]),
        ({"metadata": {str(number): "x" for number in range(4)}}, ["metadata"]),
        ({"metadata": {"k" * 51: "x"}}, ["metadata"]),
        ({"metadata": {"k": "x" * 501}}, ["metadata"]),
        ({"metadata": {"k": 1}}, ["metadata"]),
        ({"links": {"mandate": "MD1", "customer": "CU1"}}, ["links"]),
        ({"links": {"mandate": "MD999999"}}, ["links.mandate"]),
        ({"amount": -1, "currency": "JPY", "colour": "red"}, ["colour", "amount", "currency"]),
    ],
)
def test_a_payment_that_the_real_one_would_not_take_is_refused_with_every_fault(ask, mandate, changes, fields):
    refused = ask("POST", "/payments", payment(mandate, **changes))
    assert (refused.status, reasons(refused)) == (422, fields)
    assert ask("GET", "/payments").json()["payments"] == []


@pytest.mark.parametrize(
    "body, headers, status, reason",
    [
        (b"{", {}, 400, "bad_request"),
        ({"customers": {}}, {}, 400, "invalid_document_structure"),
        ([], {}, 400, "invalid_document_structure"),
        ({}, {"Authorization": "Bearer stolen"}, 401, "access_token_not_found"),
        ({}, {"Content_Type": "text/plain"}, 415, "invalid_content_type"),
        ({}, {"Idempotency_Key": "k" * 129}, 400, "idempotency_key_too_long"),
    ],
)
def test_a_request_of_the_wrong_form_is_refused(ask, body, headers, status, reason):
    refused = ask("POST", "/payments", body, **headers)
    assert (refused.status, reasons(refused)) == (status, [reason])


def test_every_request_must_name_the_version_of_the_api(books):
    headers = (("Authorization", "Bearer gocardless-token"),)
    refused = books.handle(SimRequest("GET", "/payments", (), headers))
    assert reasons(refused) == ["missing_version_header"]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "colour=red", "created_at[gte]=yesterday"])
def test_a_filter_that_does_not_exist_is_refused_and_never_ignored(ask, query):
    assert reasons(ask("GET", f"/payments?{query}")) == ["invalid_filters"]


@pytest.mark.parametrize("path", ["/payments/PM999999", "/invoices", "/customers/CU999999"])
def test_what_is_not_there_is_not_found(ask, path):
    assert ask("GET", path).status == 404


def test_a_used_key_is_refused_with_the_id_of_what_it_made_whatever_is_sent(ask, mandate):
    made = ask("POST", "/payments", payment(mandate), Idempotency_Key="k").json()["payments"]
    for body in (payment(mandate), payment(mandate, amount=1), {"payments": {}}):
        refused = ask("POST", "/payments", body, Idempotency_Key="k")
        assert (refused.status, reasons(refused)) == (409, ["idempotent_creation_conflict"])
        assert refused.json()["error"]["errors"][0]["links"] == {"conflicting_resource_id": made["id"]}
    assert len(ask("GET", "/payments").json()["payments"]) == 1


def test_a_key_whose_request_was_refused_is_free(ask, mandate):
    assert ask("POST", "/payments", payment(mandate, amount=-1), Idempotency_Key="k").status == 422
    assert ask("POST", "/payments", payment(mandate), Idempotency_Key="k").status == 201


def test_a_key_is_forgotten_after_its_window(ask, mandate, clock):
    ask("POST", "/payments", payment(mandate), Idempotency_Key="k")
    clock.advance(timedelta(days=31))
    assert ask("POST", "/payments", payment(mandate), Idempotency_Key="k").status == 201


@pytest.mark.parametrize("rules", [GoCardlessRules(key_checked_first=False)])
def test_where_the_body_is_judged_first_judging_makes_nothing(ask, mandate, books):
    ask("POST", "/payments", payment(mandate), Idempotency_Key="k")
    assert ask("POST", "/payments", payment(mandate), Idempotency_Key="k").status == 409
    assert ask("POST", "/payments", payment(mandate, amount=-1), Idempotency_Key="k").status == 422
    assert len(books.payments()) == 1


def test_a_list_is_read_page_by_page_newest_first(ask, mandate):
    made = [ask("POST", "/payments", payment(mandate)).json()["payments"]["id"] for _ in range(5)]
    read, after = [], ""
    while after is not None:
        page = ask("GET", f"/payments?mandate={mandate}&limit=2" + (f"&after={after}" if after else "")).json()
        read += [each["id"] for each in page["payments"]]
        after = page["meta"]["cursors"]["after"]
    assert read == made[::-1]


def test_a_list_can_be_bounded_by_time_status_and_customer(ask, mandate, clock, books):
    ask("POST", "/payments", payment(mandate))
    clock.advance(timedelta(days=1))
    ask("POST", "/payments", payment(mandate))
    since = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    count = {
        query: len(ask("GET", f"/payments?{query}").json()["payments"])
        for query in (
            f"created_at[gte]={since}",
            f"created_at[lte]={since}",
            "status=submitted",
            "customer=CU000001",
            "customer=CU9",
        )
    }
    assert list(count.values()) == [1, 2, 1, 2, 0]


@pytest.mark.parametrize(
    "path",
    ["/payments/{payment}/actions/cancel", "/payments/{payment}/actions/retry", "/mandates/{mandate}/actions/cancel"],
)
def test_what_the_state_does_not_allow_is_refused(ask, mandate, books, path):
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    books.run_scenario("payment_submitted", made)
    ask("POST", f"/mandates/{mandate}/actions/cancel")
    assert ask("POST", path.format(payment=made, mandate=mandate)).json()["error"]["type"] == "invalid_state"
    assert [each.status for each in books.payments()] == ["submitted"]


def test_a_payment_is_retried_three_times_at_most(ask, mandate, books):
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    for _ in range(3):
        books.run_scenario("payment_failed", made)
        assert ask("POST", f"/payments/{made}/actions/retry").status == 200
    books.run_scenario("payment_failed", made)
    assert reasons(ask("POST", f"/payments/{made}/actions/retry")) == ["retry_failed"]


def test_a_scenario_is_run_over_the_vendor_s_own_endpoint(ask, mandate, books):
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    body = {"data": {"links": {"resource": made}}}
    assert ask("POST", "/scenario_simulators/payment_charged_back/actions/run", body).status == 200
    assert books.payments()[0].status == "charged_back"
    assert reasons(ask("POST", "/scenario_simulators/payment_failed/actions/run", body)) == ["scenario_failed"]
    assert ask("POST", "/scenario_simulators/payment_loved/actions/run", body).status == 404


@pytest.mark.parametrize("scenario", ["mandate_activated", "mandate_failed", "mandate_expired"])
def test_a_mandate_moves_and_takes_unsubmitted_payments_along_when_it_ends(ask, books, scenario):
    ask("POST", "/customers", {"customers": {"company_name": "Ada Ltd"}})
    signed = books.sign_mandate("CU000001", "bacs", "pending_submission")
    ask("POST", "/payments", payment(signed))
    books.run_scenario(scenario, signed)
    ends = scenario != "mandate_activated"
    assert books.payments()[0].status == ("cancelled" if ends else "pending_submission")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"total_amount_confirmation": 99}, "total_amount_confirmation_invalid"),
        ({"amount": 766, "total_amount_confirmation": 766}, "available_refund_amount_insufficient"),
        ({"total_amount_confirmation": None}, "total_amount_confirmation"),
        ({"links": {"payment": "PM999999"}}, "links.payment"),
    ],
)
def test_a_refund_that_the_real_one_would_not_make_is_refused(ask, mandate, books, changes, reason):
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    books.run_scenario("payment_confirmed", made)
    body = {"refunds": {"amount": 100, "total_amount_confirmation": 100, "links": {"payment": made}, **changes}}
    assert reasons(ask("POST", "/refunds", body)) == [reason]


def test_a_payment_has_25_refunds_at_most(ask, mandate, books):
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    books.run_scenario("payment_confirmed", made)
    for number in range(1, 27):
        body = {"refunds": {"amount": 1, "total_amount_confirmation": number, "links": {"payment": made}}}
        reply = ask("POST", "/refunds", body)
    assert reasons(reply) == ["number_of_refunds_exceeded"]
    assert books.totals() == {"GBP": Decimal("7.40")}


def test_an_unnamed_customer_is_refused(ask):
    assert reasons(ask("POST", "/customers", {"customers": {"email": "a@b.example"}})) == ["company_name"]
    assert ask("POST", "/customers", {"customers": {"given_name": "Ada", "family_name": "Lovelace"}}).status == 201


def test_the_books_outlive_the_simulator_and_time_goes_on_in_them(tmp_path, clock):
    first = simulator(tmp_path / "gocardless.db", clock=clock)
    sent = tuple(HEADERS.items())
    first.handle(SimRequest("POST", "/customers", (), sent, b'{"customers":{"company_name":"Ada Ltd"}}'))
    body = json.dumps(payment(first.mandates()[0].id)).encode()
    first.handle(SimRequest("POST", "/payments", (), sent, body))
    first.close()
    clock.advance(timedelta(days=10))
    second = simulator(tmp_path / "gocardless.db", clock=clock)
    assert [each.status for each in second.payments()] == ["paid_out"]
    assert second.totals() == {"GBP": Decimal("7.65")}
    assert second.documents() == ()
    told = [event["action"] for event in json.loads(second.pending_webhooks()[0][1])["events"]]
    assert told == ["created", "created", "created", "submitted", "confirmed", "paid_out"]
    second.close()


def test_two_payments_with_one_reference_are_seen_as_a_duplicate_unless_one_moved_no_money(ask, mandate, books):
    for _ in range(2):
        ask("POST", "/payments", payment(mandate, metadata={"our_payment": "P1"}))
    first, second = (each.id for each in books.payments())
    assert [each.ids for each in books.duplicates()] == [(first, second)]
    books.run_scenario("payment_failed", first)
    assert books.duplicates() == ()


def test_a_person_can_look_at_the_books_and_nothing_on_the_page_is_markup(books, ask, mandate):
    ask("POST", "/payments", payment(mandate, metadata={"our_payment": "<script>"}, amount=123456789))
    with books.serve() as served:
        page = httpx.get(f"{served.url}/-/", trust_env=False)
        written = httpx.post(f"{served.url}/-/", trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert "1234567.89" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text
    assert written.status_code == 401


def test_the_simulator_shares_no_code_with_the_provider():
    import billhook_gocardless.simulator as simulated

    folder = Path(simulated.__file__).parent
    for module in folder.glob("*.py"):
        for line in module.read_text(encoding="utf-8").splitlines():
            if line.startswith(("from billhook_gocardless", "import billhook_gocardless")):
                assert line.startswith("from billhook_gocardless.simulator"), f"{module.name}: {line}"


# The vendor's own client, where it is installed.


@pytest.fixture
def vendor(books):
    client = pytest.importorskip("gocardless_pro", reason="the vendor's client is not installed")
    with books.serve() as served:
        yield client.Client(access_token="gocardless-token", base_url=served.url)


def test_the_vendor_s_client_finds_here_what_it_knows(vendor, books):
    customer = vendor.customers.create(params={"company_name": "Ada Ltd", "metadata": {"our_customer": "C1"}})
    listed = vendor.mandates.all(params={"customer": customer.id, "status": "active", "limit": 1})
    (mandate,) = (each for each in listed if each.scheme == "bacs")
    params = {"amount": 765, "currency": "GBP", "links": {"mandate": mandate.id}}
    made = vendor.payments.create(params=params, headers={"Idempotency-Key": "once"})
    again = vendor.payments.create(params=params, headers={"Idempotency-Key": "once"})
    assert (again.id, len(books.payments())) == (made.id, 1)
    vendor.scenario_simulators.run("payment_paid_out", params={"links": {"resource": made.id}})
    assert vendor.payments.get(made.id).status == "paid_out"
    refund = vendor.refunds.create(
        params={"amount": 100, "total_amount_confirmation": 100, "links": {"payment": made.id}}
    )
    assert refund.links.payment == made.id
    actions = [event.action for event in vendor.events.all(params={"payment": made.id})]
    assert actions == ["paid_out", "confirmed", "submitted", "created"]
    assert vendor._api_client.rate_limit.limit == 1000


def test_the_vendor_s_client_understands_what_is_refused_here(vendor, books):
    from gocardless_pro import errors

    with pytest.raises(errors.ValidationFailedError, match="amount must be a whole number"):
        vendor.payments.create(params={"amount": 0, "currency": "GBP", "links": {"mandate": "MD1"}})
    customer = vendor.customers.create(params={"company_name": "Ada Ltd"})
    mandate = next(iter(vendor.mandates.all(params={"customer": customer.id})))
    vendor.mandates.cancel(mandate.id)
    with pytest.raises(errors.InvalidStateError, match="not active"):
        vendor.payments.create(params={"amount": 1, "currency": "EUR", "links": {"mandate": mandate.id}})
    vendor._api_client.access_token = "stolen"
    with pytest.raises(errors.AuthenticationError):
        vendor.creditors.list()


def test_the_vendor_s_client_verifies_the_webhooks_from_here(vendor, books):
    from gocardless_pro import webhooks
    from gocardless_pro.errors import InvalidSignatureError

    vendor.customers.create(params={"company_name": "Ada Ltd"})
    ((headers, body),) = books.pending_webhooks()
    signature = dict(headers)["Webhook-Signature"]
    events = webhooks.parse(body, "gocardless-webhook-secret", signature)
    assert [event.resource_type for event in events] == ["mandates", "mandates"]
    with pytest.raises(InvalidSignatureError):
        webhooks.parse(body, "another", signature)


def test_the_vendor_s_client_encodes_a_payment_as_the_provider_does(vendor, counter):
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item())
    sent = json.loads(run.sent[-1].body)["payments"]
    again = vendor.payments.create(params=sent)
    ours, theirs = ({**vendor.payments.get(id).attributes, "id": ""} for id in (run.outcome.external_id, again.id))
    assert ours == theirs


def test_what_is_to_be_refused_is_refused_in_the_vendors_shape_and_leaves_no_trace(ask, books, mandate):
    books.refuse("ours-1")
    refused = ask("POST", "/payments", payment(mandate, metadata={"billhook_payment": "ours-1"}))
    assert (refused.status, refused.json()["error"]["type"], reasons(refused)) == (
        422,
        "validation_failed",
        ["metadata"],
    )
    assert books.payments() == ()
    made = ask("POST", "/payments", payment(mandate)).json()["payments"]["id"]
    books.refuse(made)
    refused = ask("POST", f"/payments/{made}/actions/cancel")
    assert (refused.json()["error"]["type"], reasons(refused)) == ("invalid_state", ["cancellation_failed"])


def test_a_debit_that_is_to_come_back_fails_when_it_would_be_confirmed(ask, books, clock, mandate):
    ask("POST", "/payments", payment(mandate, metadata={"billhook_payment": "ours-1"}))
    books.decline("ours-1")
    clock.advance(timedelta(days=30))
    assert [each.status for each in books.payments()] == ["failed"]
