"""The simulator by itself: it knows Stripe's rules, keeps books that outlive it, and has nothing of the plugin in it."""

from __future__ import annotations

import ast
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from stripe_kit import HEADERS, call

import billhook_stripe
from billhook.clock import TurnedClock
from billhook_stripe.simulator import simulator
from billhook_stripe.simulator.desk import Refused
from billhook_stripe.simulator.forms import decoded_body, nested
from billhook_stripe.simulator.ledger import Ledger
from billhook_stripe.simulator.rules import StripeRules

SOURCE = Path(billhook_stripe.__file__).parent


def a_customer(books, **params):
    form = "&".join(f"{name}={value}" for name, value in {"name": "Ada", **params}.items())
    return call(books, "POST", "/v1/customers", form).json()["id"]


def an_invoice(books, customer, amount=1000, **params):
    form = "".join(f"&{name}={value}" for name, value in params.items())
    id = call(books, "POST", "/v1/invoices", f"customer={customer}&currency=eur&auto_advance=false{form}").json()["id"]
    call(books, "POST", f"/v1/invoices/{id}/add_lines", f"lines[0][amount]={amount}&lines[0][description]=Work")
    return id


def finalized(books, customer, amount=1000):
    id = an_invoice(books, customer, amount)
    return call(books, "POST", f"/v1/invoices/{id}/finalize", "auto_advance=false").json()


def of_simulator(tree: ast.AST) -> set[str]:
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {name for name in named if name.startswith("billhook_stripe")}


def test_simulator_and_plugin_share_no_code():
    for path in SOURCE.rglob("*.py"):
        names = of_simulator(ast.parse(path.read_text()))
        inside = path.parent.name == "simulator"
        strangers = {name for name in names if name.startswith("billhook_stripe.simulator") is not inside}
        assert not strangers, f"{path.name} imports {strangers}"


def test_a_wrong_key_is_let_in_nowhere(books):
    reply = call(books, "GET", "/v1/account", headers=(("Authorization", "Bearer sk_other"),))
    assert (reply.status, reply.json()["error"]["type"]) == (401, "invalid_request_error")


def test_another_version_is_not_answered(books):
    reply = call(books, "GET", "/v1/account", headers=(*HEADERS[:1], ("Stripe-Version", "2023-08-16")))
    assert (reply.status, "2023-08-16" in reply.json()["error"]["message"]) == (400, True)


def test_what_is_not_there_is_missing(books):
    for url in ("/v1/invoices/in_none", "/v1/nothing", "/v1/customers/cus_none"):
        assert call(books, "GET", url).status == 404


class TestLimits:
    @pytest.fixture
    def rules(self):
        return StripeRules()

    def test_an_endpoint_takes_25_calls_a_second_and_the_account_100(self, books, clock):
        replies = [call(books, "GET", "/v1/invoices") for _ in range(26)]
        assert [reply.status for reply in replies] == [200] * 25 + [429]
        refused = replies[-1]
        assert refused.header("Stripe-Rate-Limited-Reason") == "endpoint-rate"
        assert refused.json()["error"]["code"] == "rate_limit"
        others = [
            call(books, "GET", f"/v1/{name}")
            for name in ("refunds", "customers", "credit_notes", "events")
            for _ in range(25)
        ]
        assert [reply.status for reply in others] == [200] * 75 + [429] * 25
        assert others[-1].header("Stripe-Rate-Limited-Reason") == "global-rate"
        clock.advance(timedelta(seconds=1))
        assert call(books, "GET", "/v1/invoices").status == 200

    def test_what_is_refused_is_not_kept_under_its_key(self, books, clock):
        for _ in range(25):
            call(books, "POST", "/v1/customers", "name=Ada")
        assert call(books, "POST", "/v1/customers", "name=Eve", key="k").status == 429
        clock.advance(timedelta(seconds=1))
        assert call(books, "POST", "/v1/customers", "name=Eve", key="k").status == 200


def test_a_key_stands_for_one_request_and_its_answer(books, clock):
    first = call(books, "POST", "/v1/customers", "name=Ada", key="k")
    again = call(books, "POST", "/v1/customers", "name=Ada", key="k")
    other = call(books, "POST", "/v1/customers", "name=Eve", key="k")
    assert (again.body, again.header("Idempotent-Replayed")) == (first.body, "true")
    assert (other.status, other.json()["error"]["type"]) == (400, "idempotency_error")
    clock.advance(timedelta(hours=25))
    assert call(books, "POST", "/v1/customers", "name=Ada", key="k").body != first.body


def test_a_decline_is_kept_under_its_key_and_a_refusal_is_not(books):
    customer = a_customer(books, payment_method="pm_card_chargeDeclined")
    id = finalized(books, customer)["id"]
    first = call(books, "POST", f"/v1/invoices/{id}/pay", key="k")
    again = call(books, "POST", f"/v1/invoices/{id}/pay", key="k")
    assert (first.status, again.status, again.header("Idempotent-Replayed")) == (402, 402, "true")
    draft = an_invoice(books, customer)
    refused = [call(books, "POST", f"/v1/invoices/{draft}/pay", key="p") for _ in range(2)]
    assert [(reply.status, reply.header("Idempotent-Replayed")) for reply in refused] == [(400, None)] * 2


def test_an_invoice_moves_only_as_stripe_lets_it(books):
    customer = a_customer(books)
    draft, open_ = an_invoice(books, customer), finalized(books, customer)["id"]
    for action in ("void", "pay", "send", "mark_uncollectible"):
        assert call(books, "POST", f"/v1/invoices/{draft}/{action}").status == 400
    assert call(books, "DELETE", f"/v1/invoices/{open_}").status == 400
    assert (
        call(books, "POST", f"/v1/invoices/{open_}", "description=x").json()["error"]["code"] == "invoice_not_editable"
    )
    assert call(books, "POST", f"/v1/invoices/{open_}", "metadata[a]=b").json()["metadata"] == {"a": "b"}
    assert call(books, "POST", f"/v1/invoices/{open_}/mark_uncollectible").json()["status"] == "uncollectible"
    assert call(books, "POST", f"/v1/invoices/{open_}/pay").json()["status"] == "paid"


def test_an_invoice_without_a_number_of_ours_gets_one_of_the_customer(books):
    customer = a_customer(books)
    numbers = [finalized(books, customer)["number"] for _ in range(2)]
    assert [number.rpartition("-")[2] for number in numbers] == ["0001", "0002"]


def test_a_number_is_used_once_and_freed_with_its_draft(books):
    customer = a_customer(books)
    first, second = (an_invoice(books, customer) for _ in range(2))
    assert call(books, "POST", f"/v1/invoices/{first}", "number=INV-1").status == 200
    assert call(books, "POST", f"/v1/invoices/{second}", "number=INV-1").json()["error"]["param"] == "number"
    call(books, "DELETE", f"/v1/invoices/{first}")
    assert call(books, "POST", f"/v1/invoices/{second}", "number=INV-1").status == 200
    assert call(books, "POST", f"/v1/invoices/{second}", f"number={'X' * 27}").status == 400


def test_less_than_can_be_charged_goes_onto_the_next_invoice(books):
    customer = a_customer(books)
    small = finalized(books, customer, 49)
    assert (small["status"], small["amount_due"]) == ("paid", 0)
    assert finalized(books, customer, 1000)["amount_due"] == 1049


def test_credit_is_put_against_the_next_invoice(books):
    customer = a_customer(books)
    call(books, "POST", f"/v1/customers/{customer}/balance_transactions", "amount=-300&currency=eur")
    first, second = finalized(books, customer), finalized(books, customer)
    assert [(each["starting_balance"], each["amount_due"]) for each in (first, second)] == [(-300, 700), (0, 1000)]


def test_a_negative_total_becomes_credit(books):
    customer = a_customer(books)
    assert finalized(books, customer, -500)["status"] == "paid"
    assert call(books, "GET", f"/v1/customers/{customer}").json()["balance"] == -500


def test_a_refused_finalization_moves_no_balance(books):
    customer = a_customer(books)
    call(books, "POST", f"/v1/customers/{customer}/balance_transactions", "amount=-300&currency=eur")
    id = an_invoice(books, customer, 999_999_999)
    assert call(books, "POST", f"/v1/invoices/{id}/finalize").status == 400
    assert call(books, "GET", f"/v1/customers/{customer}").json()["balance"] == -300
    assert call(books, "GET", f"/v1/invoices/{id}").json()["status"] == "draft"


@pytest.mark.parametrize("amount, stated, status", [(1500, "", 400), (400, "", 400), (400, "&credit_amount=400", 200)])
def test_a_credit_note_on_what_is_paid_must_say_where_the_money_goes(books, amount, stated, status):
    id = finalized(books, a_customer(books))["id"]
    call(books, "POST", f"/v1/invoices/{id}/pay")
    form = f"invoice={id}&lines[0][type]=custom_line_item&lines[0][quantity]=1&lines[0][unit_amount]={amount}{stated}"
    assert call(books, "POST", "/v1/credit_notes", form).status == status


def paid(books):
    """An invoice that was charged, and its payment."""
    invoice = finalized(books, a_customer(books))["id"]
    shown = call(books, "POST", f"/v1/invoices/{invoice}/pay", "expand[0]=payments").json()
    return invoice, shown["payments"]["data"][0]["payment"]["payment_intent"]


def given_back(books, payment, amount):
    return call(books, "POST", "/v1/refunds", f"payment_intent={payment}&amount={amount}").json()["id"]


def credited(books, invoice, amount, *links, **parts):
    form = f"invoice={invoice}&lines[0][type]=custom_line_item&lines[0][quantity]=1&lines[0][unit_amount]={amount}"
    for place, (refund, units) in enumerate(links):
        form += f"&refunds[{place}][refund]={refund}"
        form += "" if units is None else f"&refunds[{place}][amount_refunded]={units}"
    form += "".join(f"&{name}={value}" for name, value in parts.items())
    return call(books, "POST", "/v1/credit_notes", form)


def test_a_credit_note_shows_the_refunds_that_it_links(books):
    invoice, payment = paid(books)
    refund = given_back(books, payment, 300)
    note = credited(books, invoice, 500, (refund, None), credit_amount=200).json()
    assert (note["pre_payment_amount"], note["post_payment_amount"]) == (0, 500)
    shown = {"amount_refunded": 300, "payment_record_refund": None, "refund": refund, "type": "refund"}
    assert note["refunds"] == [shown]
    listed = call(books, "GET", f"/v1/credit_notes?invoice={invoice}").json()["data"]
    assert [each["refunds"] for each in listed] == [[shown]]


def test_a_refund_is_linked_for_no_more_than_it_gave_back(books):
    invoice, payment = paid(books)
    refund = given_back(books, payment, 300)
    assert credited(books, invoice, 301, (refund, 301)).json()["error"]["param"] == "refunds[0][amount_refunded]"
    assert credited(books, invoice, 200, (refund, 200)).status == 200
    assert credited(books, invoice, 200, (refund, None)).json()["error"]["param"] == "refunds[0][amount_refunded]"
    assert credited(books, invoice, 100, (refund, 50), (refund, 51)).json()["error"]["param"].startswith("refunds[1]")
    assert credited(books, invoice, 100, (refund, 100)).status == 200


def test_a_refund_must_be_of_a_payment_of_the_invoice_and_have_given_something(books):
    invoice, payment = paid(books)
    _, of_another = paid(books)
    assert credited(books, invoice, 100, ("re_nobodys", 100)).json()["error"]["code"] == "resource_missing"
    strange = given_back(books, of_another, 100)
    assert credited(books, invoice, 100, (strange, 100)).json()["error"]["param"] == "refunds[0][refund]"
    bounced = given_back(books, payment, 100)
    books.bounce_refund(bounced)
    assert credited(books, invoice, 100, (bounced, 100)).json()["error"]["param"] == "refunds[0][refund]"


def test_refunds_and_the_other_parts_are_what_was_paid_already(books):
    invoice, payment = paid(books)
    refund = given_back(books, payment, 300)
    for parts in ({}, {"credit_amount": 201}, {"credit_amount": 100}):
        assert credited(books, invoice, 500, (refund, 300), **parts).status == 400
    assert credited(books, invoice, 500, (refund, 300), out_of_band_amount=200).status == 200


def test_what_went_back_and_is_not_linked_can_t_be_credited_again(books):
    invoice, payment = paid(books)
    given_back(books, payment, 300)
    assert credited(books, invoice, 701, credit_amount=701).json()["error"]["param"] == "amount"
    assert credited(books, invoice, 700, credit_amount=700).status == 200


def test_what_is_being_given_back_can_t_be_given_a_second_time(books):
    _, payment = paid(books)
    books.refund_in_dashboard(payment, 800, status="pending")
    assert call(books, "POST", "/v1/refunds", f"payment_intent={payment}&amount=201").status == 400
    assert call(books, "POST", "/v1/refunds", f"payment_intent={payment}&amount=200").status == 200


def test_an_amount_of_three_decimals_must_end_with_zero(books):
    form = "currency=kwd&payment_method=pm_card_visa&confirm=true&return_url=https://x.example&amount="
    codes = [call(books, "POST", "/v1/payment_intents", f"{form}{amount}").status for amount in (5124, 5120)]
    assert codes == [400, 200]


def test_a_confirmed_payment_needs_an_address_to_return_to_unless_redirects_are_ruled_out(books):
    reply = call(
        books, "POST", "/v1/payment_intents", "currency=eur&amount=100&payment_method=pm_card_visa&confirm=true"
    )
    assert reply.json()["error"]["param"] == "return_url"


def test_an_authorized_payment_is_captured_in_part_or_canceled(books):
    form = "currency=eur&amount=100&payment_method=pm_card_visa&confirm=true&return_url=https://x.example&capture_method=manual"
    first, second = (call(books, "POST", "/v1/payment_intents", form).json()["id"] for _ in range(2))
    captured = call(books, "POST", f"/v1/payment_intents/{first}/capture", "amount_to_capture=60").json()
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 60)
    assert call(books, "POST", f"/v1/payment_intents/{second}/cancel").json()["status"] == "canceled"
    assert call(books, "POST", f"/v1/payment_intents/{second}/capture").status == 400


def test_the_vendors_description_judges_strictly(books):
    if books._judge is None:
        pytest.skip("the vendor's data are not beside this checkout, so there is nothing to judge by")
    for form in ("nickname=x", "balance=1.5", "metadata=x", "invoice_settings[footer][x]=1"):
        assert call(books, "POST", "/v1/customers", form).json()["error"]["code"] == "parameter_unknown", form
    assert call(books, "GET", "/v1/invoices?page=2").status == 400
    assert call(books, "POST", "/v1/customers", "name=Ada&address[country]=DE").status == 200


def test_forms_are_read_as_stripe_writes_them():
    assert decoded_body(b"a[b][c]=1&l[0][x]=2&l[1][x]=3+4&e=") == {
        "a": {"b": {"c": "1"}},
        "l": [{"x": "2"}, {"x": "3 4"}],
        "e": "",
    }
    assert nested([("expand[0]", "a.b")]) == {"expand": ["a.b"]}
    with pytest.raises(Refused):
        decoded_body(b"{}")


def test_the_page_shows_documents_and_payments_and_lets_nothing_in(books):
    id = finalized(books, a_customer(books))["id"]
    call(books, "POST", f"/v1/invoices/{id}/pay")
    books.ledger.save({**books.ledger.get("invoice", id), "number": "<script>alert(1)</script>"})
    calls = len(books.calls())
    page = call(books, "GET", "/-/", headers=())
    assert page.header("Content-Type").startswith("text/html")
    text = page.body.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>" not in text
    assert "10.00" in text
    assert len(books.calls()) == calls


def test_the_books_outlive_the_simulator(tmp_path):
    path, clock = tmp_path / "books.db", TurnedClock(datetime(2026, 3, 1, tzinfo=UTC))
    first = simulator(path, clock=clock)
    id = finalized(first, a_customer(first))["id"]
    first.close()
    again = simulator(path, clock=clock)
    assert [document.id for document in again.documents()] == [id]
    again.close()
    books = Ledger.open(path)
    assert {currency: str(total) for currency, total in books.totals().items()} == {"EUR": "10.00"}
    books.close()


def test_faults_come_in_stripes_words(books):
    books.fault("throttle", after_seconds=7)
    assert call(books, "GET", "/v1/invoices").status == 429
    books.fault("5xx_before")
    reply = call(books, "GET", "/v1/invoices")
    assert (reply.status, reply.json()["error"]["type"]) == (503, "api_error")
    books.fault("truncated")
    with pytest.raises(json.JSONDecodeError):
        call(books, "GET", "/v1/invoices").json()


def test_a_webhook_is_told_until_it_is_confirmed(books):
    a_customer(books)
    assert books.deliver_webhooks(lambda headers, body: 500) == 1
    assert books.deliver_webhooks(lambda headers, body: 200) == 1
    assert books.deliver_webhooks(lambda headers, body: 200) == 0


def test_events_can_be_listed(books):
    id = finalized(books, a_customer(books))["id"]
    told = call(books, "GET", "/v1/events?type=invoice.finalized&limit=100").json()
    assert [event["data"]["object"]["id"] for event in told["data"]] == [id]


def test_threads_get_ids_of_their_own(books):
    def make():
        for _ in range(5):
            finalized(books, a_customer(books))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({document.id for document in books.documents()}) == 20


def test_what_is_to_be_refused_is_refused_as_a_request_that_is_wrong_and_changes_nothing(books):
    books.refuse("ours-1")
    refused = call(books, "POST", "/v1/customers", "name=Ada&metadata[billhook_customer]=ours-1", key="k")
    assert (refused.status, refused.json()["error"]["type"]) == (400, "invalid_request_error")
    assert books.customers() == ()
    draft = an_invoice(books, a_customer(books))
    books.refuse(draft)
    assert call(books, "POST", f"/v1/invoices/{draft}/finalize").status == 400
    assert books.documents()[0].status == "draft"


def test_a_card_that_is_to_be_declined_is_declined_and_the_failure_is_written_down(books):
    id = finalized(books, a_customer(books, payment_method="pm_card_visa"))["id"]
    books.decline(id)
    declined = call(books, "POST", f"/v1/invoices/{id}/pay")
    assert (declined.status, declined.json()["error"]["code"]) == (402, "card_declined")
    assert [payment.status for payment in books.payments()] == ["failed"]
