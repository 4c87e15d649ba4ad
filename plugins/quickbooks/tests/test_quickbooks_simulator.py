from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import httpx
import pytest

from billhook.contract import Capability
from billhook.testing.simulator import SimRequest
from billhook_quickbooks.simulator import own_numbers_simulator, simulator
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.wire import Refused, dumps, loads

PLACE = "/v3/company/9341452000000001"
TOKEN = ("Authorization", "Bearer simulated-access-token")
LINE = {"DetailType": "SalesItemLineDetail", "Amount": "10.00", "SalesItemLineDetail": {"Qty": 4, "UnitPrice": "2.50"}}


def ask(company, method, place, body=None, token=TOKEN, **query):
    pairs = tuple(query.items())
    content = b"" if body is None else json.dumps(body).encode()
    reply = company.handle(SimRequest(method, PLACE + place, pairs, (token,), content))
    return reply.status, loads(reply.body)


def code_of(told):
    return told["Fault"]["Error"][0]["code"]


@pytest.fixture
def customer(company):
    return company.do("Customer", "create", {"DisplayName": "Ada"})["Id"]


def invoice(customer, **changes):
    return {"CustomerRef": {"value": customer}, "Line": [LINE], **changes}


def test_decimals_go_out_as_numbers_digit_for_digit():
    assert (
        dumps({"a": Decimal("12345678901234.5678"), "b": "1.5", "c": Decimal("1E+2")})
        == '{"a":12345678901234.5678,"b":"1.5","c":100}'
    )


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"DocNumber": "X" * 22}, "2050"),
        ({"CustomerRef": {"value": "999"}}, "2500"),
        ({"Line": []}, "2020"),
        ({"Line": [{**LINE, "Amount": "10.01"}]}, "6070"),
        ({"Line": [{**LINE, "Amount": "10.001"}]}, "2030"),
        ({"Line": [{**LINE, "SalesItemLineDetail": {"Qty": 1, "UnitPrice": "10.00000001"}}]}, "2030"),
        ({"Line": [{**LINE, "SalesItemLineDetail": {"ItemRef": {"value": "99"}}}]}, "2500"),
        ({"Line": [{**LINE, "Amount": "-1", "SalesItemLineDetail": {}}]}, "6000"),
        ({"Line": [{**LINE, "SalesItemLineDetail": {"TaxCodeRef": {"value": "VAT"}}}]}, "2500"),
        ({"CurrencyRef": {"value": "USD"}}, "6000"),
    ],
)
def test_what_intuit_is_documented_to_refuse_is_refused(company, customer, changes, code):
    status, told = ask(company, "POST", "/invoice", invoice(customer, **changes))
    assert (status, code_of(told)) == (400, code)
    assert company.documents() == ()


def test_a_number_is_taken_once_unless_duplicates_are_allowed(company, customer):
    body = invoice(customer, DocNumber="A-1")
    assert ask(company, "POST", "/invoice", body)[0] == 200
    assert code_of(ask(company, "POST", "/invoice", body)[1]) == "6140"
    assert ask(company, "POST", "/invoice", body, include="allowduplicatedocnum")[0] == 200


def test_with_custom_numbers_nothing_sent_is_no_number_and_auto_generate_is_one(company, customer):
    _, without = ask(company, "POST", "/invoice", invoice(customer))
    _, told = ask(company, "POST", "/invoice", invoice(customer, DocNumber="AUTO_GENERATE"))
    assert (without["Invoice"].get("DocNumber"), told["Invoice"]["DocNumber"]) == (None, "1002")


def test_a_stale_version_is_refused_and_a_full_change_clears_what_it_leaves_out(company, customer):
    made = company.do("Invoice", "create", invoice(customer, CustomerMemo={"value": "hello"}))
    sparse = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "DueDate": "2026-05-01"}
    _, told = ask(company, "POST", "/invoice", sparse)
    assert (told["Invoice"]["SyncToken"], told["Invoice"]["CustomerMemo"]) == ("1", {"value": "hello"})
    assert code_of(ask(company, "POST", "/invoice", sparse)[1]) == "5010"
    _, told = ask(company, "POST", "/invoice", invoice(customer, Id=made["Id"], SyncToken="1"))
    assert "CustomerMemo" not in told["Invoice"]
    assert "DueDate" not in told["Invoice"]


def test_a_void_invoice_keeps_its_number_and_comes_to_nothing(company, customer):
    made = company.do("Invoice", "create", invoice(customer, DocNumber="A-1", PrivateNote="ours"))
    _, told = ask(company, "POST", "/invoice", {"Id": made["Id"], "SyncToken": "0"}, operation="void")
    assert (told["Invoice"]["PrivateNote"], told["Invoice"]["TotalAmt"], told["Invoice"]["DocNumber"]) == (
        "Voided",
        0,
        "A-1",
    )
    assert company.totals() == {}


def test_a_deleted_invoice_is_not_found(company, customer):
    made = company.do("Invoice", "create", invoice(customer))
    company.do("Invoice", "delete", {"Id": made["Id"], "SyncToken": "0"})
    assert code_of(ask(company, "GET", f"/invoice/{made['Id']}")[1]) == "610"
    assert (
        ask(company, "GET", "/query", query=f"select * from Invoice where Id = '{made['Id']}'")[1]["QueryResponse"]
        == {}
    )


def test_more_than_is_open_can_not_be_paid(company, customer):
    made = company.do("Invoice", "create", invoice(customer))
    link = [{"TxnId": made["Id"], "TxnType": "Invoice"}]
    body = {"CustomerRef": {"value": customer}, "TotalAmt": "11.00", "Line": [{"Amount": "11.00", "LinkedTxn": link}]}
    with pytest.raises(Refused, match="business validation"):
        company.do("Payment", "create", body)
    assert company.payments() == ()
    assert company.documents()[0].open_amount == 10


def test_a_payment_that_is_changed_or_deleted_leaves_the_rest_due_again(company, customer):
    made = company.do("Invoice", "create", invoice(customer))
    link = [{"TxnId": made["Id"], "TxnType": "Invoice"}]
    whole = {"CustomerRef": {"value": customer}, "TotalAmt": "10.00", "Line": [{"Amount": "10.00", "LinkedTxn": link}]}
    paid = company.do("Payment", "create", whole)
    known = {"Id": paid["Id"], "SyncToken": paid["SyncToken"]}
    less = {**known, "TotalAmt": "7.00", "Line": [{"Amount": "7.00", "LinkedTxn": link}]}
    changed = company.do("Payment", "update", less)
    assert (company.documents()[0].open_amount, company.payments()[0].amount) == (3, 7)
    with pytest.raises(Refused, match="Stale"):
        company.do("Payment", "delete", known)
    company.do("Payment", "delete", {**known, "SyncToken": changed["SyncToken"]})
    assert (company.documents()[0].open_amount, company.payments()) == (10, ())
    assert company.do("Payment", "create", whole)["UnappliedAmt"] == 0


def test_a_name_is_unique_across_people(a_company):
    company = a_company(others=("Vera",))
    for name in ("Ada", "ADA", "vera"):
        status, told = ask(company, "POST", "/customer", {"DisplayName": name})
        assert status == 200 if name == "Ada" else code_of(told) == "6240"


def test_a_closed_period_takes_nothing(a_company):
    company = a_company(closed_until=date(2026, 3, 31))
    customer = company.do("Customer", "create", {"DisplayName": "Ada"})["Id"]
    assert code_of(ask(company, "POST", "/invoice", invoice(customer, TxnDate="2026-03-31"))[1]) == "6210"
    assert ask(company, "POST", "/invoice", invoice(customer, TxnDate="2026-04-01"))[0] == 200


@pytest.mark.parametrize("query", [
    "select * from Invoice where PrivateNote = 'x'", "select * from Invoice where DocNumber = 'a' or DocNumber = 'b'",
    "select * from Nothing", "select DocNumber from Invoice", "select * from Invoice where DocNumber = x", "", "select * from Invoice maxresults 2000",
])  # fmt: skip
def test_a_query_that_is_not_simulated_is_refused(company, query):
    assert code_of(ask(company, "GET", "/query", query=query)[1]) == "4000"


def test_a_query_shows_pages(company, customer):
    for _ in range(5):
        company.do("Invoice", "create", invoice(customer))
    _, told = ask(company, "GET", "/query", query="select * from Invoice startposition 2 maxresults 3")
    assert (len(told["QueryResponse"]["Invoice"]), told["QueryResponse"]["startPosition"]) == (3, 2)


def test_a_request_id_repeats_the_first_answer(company, customer):
    first = ask(company, "POST", "/invoice", invoice(customer), requestid="r-1")
    assert ask(company, "POST", "/invoice", invoice(customer), requestid="r-1") == first
    assert len(company.documents()) == 1


def test_ids_of_a_batch_are_short_when_it_has_a_request_id(company):
    body = {"BatchItemRequest": [{"bId": "x" * 11, "operation": "create", "Customer": {"DisplayName": "Ada"}}]}
    assert code_of(ask(company, "POST", "/batch", body, requestid="r-1")[1]) == "2050"
    assert ask(company, "POST", "/batch", body)[0] == 200


def test_a_batch_of_thirty_one_is_refused_and_one_item_harms_no_other(company):
    items = [{"bId": str(n), "operation": "create", "Customer": {"DisplayName": f"C{n % 29}"}} for n in range(31)]
    assert code_of(ask(company, "POST", "/batch", {"BatchItemRequest": items})[1]) == "1040"
    _, told = ask(company, "POST", "/batch", {"BatchItemRequest": items[:30]})
    assert sum("Fault" in each for each in told["BatchItemResponse"]) == 1
    assert len(company.customers()) == 29


def test_too_many_calls_are_answered_with_429(a_company, clock):
    company = a_company(throttles=True)
    statuses = [ask(company, "GET", "/query", query="select * from CompanyInfo")[0] for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    clock.advance(timedelta(seconds=1))
    assert ask(company, "GET", "/query", query="select * from CompanyInfo")[0] == 200
    for _ in range(45):
        clock.advance(timedelta(milliseconds=150))
        status, told = ask(company, "POST", "/batch", {"BatchItemRequest": []})
    assert (status, code_of(told)) == (429, "003001")


def test_another_developers_app_has_limits_of_its_own_and_shares_those_of_the_company(a_company, clock):
    company = a_company(throttles=True)
    another = ("Authorization", f"Bearer {company.rules.other_apps_tokens[0]}")
    taken = {TOKEN: 0, another: 0}
    for _ in range(70):
        clock.advance(timedelta(milliseconds=800))
        for token in taken:
            taken[token] += ask(company, "POST", "/batch", {"BatchItemRequest": []}, token=token)[0] == 200
    assert taken == {TOKEN: 40, another: 40}
    for _ in range(9):
        clock.advance(timedelta(milliseconds=300))
        assert {
            ask(company, "GET", "/query", token=token, query="select * from CompanyInfo")[0] for token in taken
        } == {200}


def test_nobody_else_is_let_in(company):
    status, told = ask(company, "GET", "/query", token=("Authorization", "Bearer other"))
    assert (status, code_of(told)) == (401, "3200")
    other = SimRequest("GET", "/v3/company/1/query", (), (TOKEN,))
    assert company.handle(other).status == 403


def test_the_schema_refuses_what_intuit_does_not_know(company, customer, schema_folder):
    if schema_folder is None:
        pytest.skip("Intuit's schema is not beside this checkout")
    for wrong in (
        {"Colour": "red"},
        {"TxnDate": "01.03.2026"},
        {"TotalAmt": "10.00"},
        {"EmailStatus": "Soon"},
        {"Line": [{**LINE, "LineNum": 0}]},
    ):
        assert code_of(ask(company, "POST", "/invoice", invoice(customer, **wrong))[1]) == "2010", wrong


def test_the_books_outlive_the_simulator(tmp_path, clock, scene):
    first = simulator(tmp_path / "company.db", clock=clock, rules=scene.rules)
    customer = first.do("Customer", "create", {"DisplayName": "Ada"})["Id"]
    first.do("Invoice", "create", invoice(customer, DocNumber="A-1"))
    first.close()
    books = Ledger.open(tmp_path / "company.db")
    assert ([each.number for each in books.documents()], books.totals()) == (["A-1"], {"EUR": Decimal("10.00")})
    books.close()


def test_a_second_copy_shows_as_a_duplicate(desk, company):
    item = desk.issued(1)
    desk.run(Capability.ISSUE, replace(item, external_id=None, number="INV-9"))
    (duplicate,) = company.duplicates()
    assert (duplicate.kind, duplicate.reference, len(duplicate.ids)) == ("invoice", item.id, 2)


def test_a_person_sees_the_books_in_a_browser_and_names_are_escaped(company):
    customer = company.do("Customer", "create", {"DisplayName": "<script>alert(1)</script>"})["Id"]
    company.do("Invoice", "create", invoice(customer, DocNumber="A-1"))
    company.do("Payment", "create", {"CustomerRef": {"value": customer}, "TotalAmt": "4.00"})
    with company.serve() as served:
        shown = httpx.get(f"{served.url}/-/", trust_env=False)
    assert shown.status_code == 200
    assert "A-1" in shown.text
    assert "10.00" in shown.text
    assert "4.00" in shown.text
    assert "<script>" not in shown.text


def test_webhooks_are_told_once_confirmed(company, customer):
    told = []
    assert company.deliver_webhooks(lambda headers, body: told.append(body) or 200) == 1
    assert company.pending_webhooks() == []
    assert json.loads(told[0])[0]["type"] == "qbo.customer.created.v1"


def test_a_company_that_numbers_its_documents_itself_says_so():
    company = own_numbers_simulator(currency="EUR")
    assert (company.rules.custom_numbers, company.rules.home_currency) == (False, "EUR")
    company.close()


def test_of_a_batch_one_that_is_to_be_refused_has_a_fault_and_the_others_stand(company, customer):
    first, second, third = (f"01KDVDNA00000000000000000{number}" for number in (1, 2, 3))
    company.refuse(second)
    items = [
        {"bId": str(number), "operation": "create", "Invoice": invoice(customer, PrivateNote=reference)}
        for number, reference in enumerate((first, second, third))
    ]
    _, told = ask(company, "POST", "/batch", {"BatchItemRequest": items})
    assert ["Fault" in each for each in told["BatchItemResponse"]] == [False, True, False]
    assert code_of(told["BatchItemResponse"][1]) == "6000"
    assert len(company.documents()) == 2


def test_what_stands_there_is_refused_by_its_id_whatever_is_asked(company, customer):
    made = company.do("Invoice", "create", invoice(customer, BillEmail={"Address": "ada@customer.example"}))
    company.refuse(made["Id"])
    known = {"Id": made["Id"], "SyncToken": made["SyncToken"]}
    for operation in ("void", "delete"):
        assert code_of(ask(company, "POST", "/invoice", known, operation=operation)[1]) == "6000"
    status, told = ask(company, "POST", f"/invoice/{made['Id']}/send")
    assert (status, code_of(told)) == (400, "6000")
    assert [document.status for document in company.documents()] != ["deleted"]
