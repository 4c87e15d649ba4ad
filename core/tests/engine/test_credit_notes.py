"""Credit notes: against an invoice, waiting for one, or alone; never twice."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, careful_draft, lost_after, put, repeat
from money_kit import (
    a_draft_to_be_approved,
    a_note,
    an_issued_invoice,
    collect_payment,
    credit,
    money,
    note_payment,
    paths,
)
from sqlalchemy import Pool, event

from billhook.contract import Batch, CustomerResult, DocumentResult, Done, MappedLine, Severity, ValidationIssue
from billhook.engine.standing import standing_of
from billhook.errors import InUse, InvalidInput, KeyReused, NotAllowed, NotFound, Unsupported
from billhook.store import schema

OpenShop = Callable[..., Shop]


def brings_carelessly(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("customers", batch, "customers", key=None)
    return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}


def map_anywhere(self: Any, line: Any, invoice: Any, settings: Any) -> MappedLine:
    return MappedLine(line.id, line.name, rule="everything")


def a_crediting_shop(open_one: OpenShop, **options: Any) -> Shop:
    return open_one(a_provider(sync_draft=careful_draft, credit=credit, **options))


def test_a_credit_note_is_put_against_its_invoice(a_shop_anywhere: OpenShop):
    shop = a_crediting_shop(a_shop_anywhere)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    note = shop.ns.credit_notes.get(note.id)
    assert (note.status, note.number, note.amount_credited) == ("issued", "CN-JADO-1", Decimal(3))
    assert shop.get(id).invoice.amount_due == Decimal(7)
    assert [row["amount"] for row in shop.rows(schema.allocation)] == ["3.00"]


@pytest.mark.parametrize(
    "amount, left", [("4", None), ("5.50", "1.50 of the 5.50"), ("9", "5.00 of the 9.00"), ("12", "6.00 of the 10.00")]
)
def test_what_books_have_no_room_for_because_they_show_what_was_paid_back_is_told_of(
    a_shop_anywhere: OpenShop, amount: str, left: str | None
):
    shop = a_crediting_shop(a_shop_anywhere, record_payment=note_payment)
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "6")
    shop.run()
    shop.ns.refunds.record(shop.get(id).payments[0].id, "6")
    note = shop.ns.credit_notes.submit(a_note(shop, amount, id))
    shop.run()
    told = [issue.message for issue in shop.get(id).issues if issue.code == "credit_not_in_books"]
    assert [f"shows 6 EUR as paid, so {left} of credit note CN-JADO-1" in each for each in told] == [True] * bool(left)
    assert shop.ns.credit_notes.get(note.id).amount_credited == min(Decimal(amount), Decimal(10))


def give_back(shop: Shop, payment_id: str, amount: str) -> None:
    if Decimal(amount):
        shop.ns.refunds.record(payment_id, amount)


def keeps(amount: str | None) -> Any:
    """A provider's credit notes of which the customer keeps that as credit there."""

    def credited(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("credit", batch, "credits", recover=(repeat(),))
        kept = None if amount is None else Decimal(amount)
        return {item["ref"]: Done(DocumentResult(item["id"], kept_as_credit=kept)) for item in reply.json()["items"]}

    return credited


@pytest.mark.parametrize(
    "kept, before, after, twice",
    [
        ("4", "0", "3", "3"),
        ("4", "0", "10", "4"),
        ("4", "0", "0", None),
        ("4", "2", "0", None),
        ("1", "3", "2", "1"),
        ("0", "4", "3", None),
        (None, "0", "3", None),
    ],
)
def test_what_went_back_after_a_credit_note_made_it_credit_is_told_of_until_a_person_has_dealt_with_it(
    a_shop_anywhere: OpenShop, kept: str | None, before: str, after: str, twice: str | None
):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, credit=keeps(kept), record_payment=note_payment))
    id, code = an_issued_invoice(shop), "credited_and_refunded"
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    payment = shop.get(id).payments[0].id
    give_back(shop, payment, before)
    shop.ns.credit_notes.submit(a_note(shop, "4", id))
    shop.run()
    assert code not in shop.issue_codes(id)
    give_back(shop, payment, after)
    told = [issue.message for issue in shop.get(id).issues if issue.code == code]
    assert [f"the customer has {twice} EUR twice" in each for each in told] == [True] * bool(twice)
    assert standing_of(shop.engine.context, shop.namespace).given_twice == len(told)


def test_credit_that_was_put_against_the_invoice_is_not_what_the_customer_has_twice(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, credit=keeps("4"), record_payment=note_payment))
    id, code = an_issued_invoice(shop), "credited_and_refunded"
    for amount in ("6", "4"):
        shop.ns.invoices.record_payment(id, amount)
    came, never_came = (each.id for each in shop.get(id).payments)
    note = shop.ns.credit_notes.submit(a_note(shop, "4", id))
    shop.run()
    shop.ns.refunds.record(came, "4")
    shop.ns.invoices.take_back_payment(id, never_came, reason="The cheque bounced.")
    assert code in shop.issue_codes(id)
    shop.ns.credit_notes.allocate(note.id)
    assert (code in shop.issue_codes(id), shop.get(id).invoice.amount_due) == (False, 4)


def test_a_credit_note_counts_at_the_exchange_rate_of_its_invoice_unless_it_states_one(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    then, now = ({"from_currency": "EUR", "to_currency": "USD", "rate": rate} for rate in ("1.10", "1.20"))
    id = an_issued_invoice(shop, exchange_rate=then)
    notes = [a_note(shop, "3", id), a_note(shop, "3", id, exchange_rate=now), a_note(shop, "3")]
    rates = [shop.ns.credit_notes.submit(note).content.exchange_rate for note in notes]
    assert [rate and rate.rate for rate in rates] == [Decimal("1.10"), Decimal("1.20"), None]


def test_a_credit_note_waits_until_its_invoice_is_issued(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("issuing", ["drafts"])
    told = shop.ns.credit_notes.waiting_for(note.id)
    assert told == f"the invoice {id} is draft.manual_approval_needed, and is credited once it is issued"
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("issued", ["drafts", "credits"])
    assert shop.ns.credit_notes.waiting_for(note.id) is None
    assert money(shop, id) == (Decimal(0), Decimal(7))


def test_a_credit_note_waits_for_an_app_that_is_disabled_and_says_so(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    shop.ns.apps.disable(shop.app.id)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.run()
    told = shop.ns.credit_notes.waiting_for(note.id)
    assert told == f"Books is disabled. Let it work again: billhook apps enable {shop.app.id}"


def test_a_credit_note_waits_for_a_customer_of_whom_nobody_knows_and_says_so(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop, sync_customer=brings_carelessly)
    shop.wire.plan(lost_after, to="customers")
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.run()
    told = shop.ns.credit_notes.waiting_for(note.id)
    jane = shop.ns.customers.get("jane").id
    assert told == f"it is not known whether Books has the customer {jane}. See billhook invoices doubts"


def test_only_what_a_waiting_credit_note_leaves_is_collected(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit, collect_payment=collect_payment)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(7), Decimal(0)))
    assert [row["amount"] for row in shop.rows(schema.payment)] == ["7.00"]


def test_nothing_is_collected_where_a_waiting_credit_note_closes_the_invoice(a_shop: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit, collect_payment=collect_payment)
    shop, id = a_draft_to_be_approved(a_shop, books)
    shop.ns.credit_notes.submit(a_note(shop, "10", id))
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), shop.rows(schema.payment)) == ("paid", [])


@pytest.mark.parametrize("credited, taken", [("3", ["7.00", "3.00"]), ("10", ["10.00"])], ids=["a part", "all"])
def test_what_was_left_for_a_credit_note_is_collected_once_that_is_refused(
    a_shop_anywhere: OpenShop, credited: str, taken: list[str]
):
    books = a_provider(sync_draft=careful_draft, credit=credit)
    shop = a_shop_anywhere(books, a_provider("bank", collect_payment=collect_payment))
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id, workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    note = shop.ns.credit_notes.submit(a_note(shop, credited, id))
    shop.books.refuses = {note.id}
    shop.wire.plan(*[answers(503)] * 3, to="credits")
    shop.ns.invoices.approve(id)
    shop.run_for(3600)
    assert (shop.status(id), shop.ns.credit_notes.get(note.id).status) == ("paid", "failed")
    assert money(shop, id) == (Decimal(10), Decimal(0))
    assert [row["amount"] for row in sorted(shop.rows(schema.payment), key=lambda row: row["id"])] == taken


def test_an_invoice_is_not_voided_while_its_credit_note_is_being_issued(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    with pytest.raises(NotAllowed, match="credit note"):
        shop.ns.invoices.void(id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"
    shop.ns.invoices.void(id)


def test_a_credit_note_of_a_draft_that_is_deleted_fails_and_says_why(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.ns.invoices.delete(id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "failed"
    assert [row["code"] for row in shop.rows(schema.validation_issue, document_id=note.id)] == [
        "credited_invoice_deleted"
    ]
    assert "credits" not in paths(shop)


def test_a_credit_note_goes_to_the_app_that_has_its_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    (before,) = {row["invoicing_app_id"] for row in shop.rows(schema.invoice)}
    shop.a_profile(shop.an_app("books"))
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    assert {row["app_id"] for row in shop.rows(schema.credit_note)} == {before}


def test_a_credit_note_over_all_that_is_due_closes_its_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.ns.credit_notes.submit(a_note(shop, "10", id))
    shop.run()
    assert shop.status(id) == "paid"
    assert money(shop, id) == (Decimal(0), Decimal(0))


def test_of_a_credit_note_over_more_than_is_due_only_that_much_is_put_against_the_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "8")
    note = shop.ns.credit_notes.submit(a_note(shop, "5", id))
    shop.run()
    assert shop.status(id) == "paid"
    assert shop.ns.credit_notes.get(note.id).amount_credited == Decimal(2)
    assert [row["amount"] for row in shop.rows(schema.allocation)] == ["2.00"]


def test_a_credit_note_that_stands_alone_touches_no_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "5"))
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"
    assert shop.get(id).invoice.amount_due == Decimal(10)


def test_a_lost_answer_does_not_credit_twice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.wire.plan(lost_after, to="credits")
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run_for(600)
    assert [made for _, made in shop.books.documents if made.startswith("credits")] == ["credits-2"]
    assert shop.get(id).invoice.amount_due == Decimal(7)
    assert len(shop.rows(schema.allocation)) == 1


def test_one_key_makes_one_credit_note(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    draft = a_note(shop, "3")
    assert shop.ns.credit_notes.submit(draft).id == shop.ns.credit_notes.submit(draft).id
    with pytest.raises(KeyReused):
        shop.ns.credit_notes.submit({**a_note(shop, "4"), "key": draft["key"]})


def test_a_refused_credit_note_can_be_tried_again(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.books.refuses = {note.id}
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "failed"
    shop.books.refuses = set()
    shop.ns.credit_notes.retry(note.id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"


def test_a_credit_note_that_failed_is_counted_until_it_is_given_up(a_shop_anywhere: OpenShop):
    shop = a_crediting_shop(a_shop_anywhere)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    customer_id = shop.rows(schema.credit_note, id=note.id)[0]["customer_id"]
    with pytest.raises(NotAllowed, match="is issuing; only one that failed"):
        shop.ns.credit_notes.void(note.id)
    shop.books.refuses = {note.id}
    shop.run()
    standing = standing_of(shop.engine.context, shop.namespace)
    assert (standing.failed_credit_notes, standing.needs_a_person) == (1, True)
    assert [view.id for view in shop.ns.credit_notes.list(status="failed").items] == [note.id]
    (cause,) = shop.ns.credit_notes.open_issues()
    assert (cause.credit_notes, cause.example, cause.message) == (
        1,
        note.id,
        shop.ns.credit_notes.issues(note.id)[0].message,
    )
    assert cause.code is not None
    assert [view.id for view in shop.ns.credit_notes.list(issue_codes=(cause.code,)).items] == [note.id]
    assert shop.ns.credit_notes.list(issue_codes=("nosuch",)).items == ()
    assert shop.engine.namespace("other").credit_notes.open_issues() == ()
    with pytest.raises(InUse, match=note.id):
        shop.ns.customers.delete(customer_id)
    for _ in range(2):
        assert shop.ns.credit_notes.void(note.id).status == "voided"
    assert not standing_of(shop.engine.context, shop.namespace).needs_a_person
    assert shop.ns.credit_notes.issues(note.id) == ()
    shop.ns.customers.delete(customer_id)


def test_a_credit_note_that_stands_is_not_given_up(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.run()
    with pytest.raises(NotAllowed, match="with an invoice"):
        shop.ns.credit_notes.void(note.id)
    with pytest.raises(InvalidInput, match="Use one of draft, issuing, issued"):
        shop.ns.credit_notes.list(status="fialed")


def test_a_credit_note_that_was_issued_in_the_end_warns_of_nothing(a_shop: OpenShop):
    def map_line(self: Any, line: Any, invoice: Any, settings: Any) -> MappedLine | None:
        return MappedLine(line.id, line.name, rule="everything") if rules else None

    rules: list[str] = []
    shop = a_crediting_shop(a_shop, map_line=map_line)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.run()
    assert [issue.code for issue in shop.ns.credit_notes.issues(note.id)] == ["line_not_mapped"]
    rules.append("all to 4000")
    shop.ns.credit_notes.retry(note.id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"
    assert list(shop.ns.credit_notes.issues(note.id)) == []


def test_what_its_app_finds_wrong_with_a_credit_note_stops_it_before_anything_is_sent(a_shop: OpenShop):
    def validate_invoice(self: Any, invoice: Any, lines: Any, settings: Any) -> list[ValidationIssue]:
        assert [line.id for line in invoice.lines] == [line.line_id for line in lines]
        return [ValidationIssue(severity=severity, code="tax_differs", message="A cent.")]

    severity = Severity.CRITICAL
    shop = a_crediting_shop(a_shop, map_line=map_anywhere, validate_invoice=validate_invoice)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("failed", [])
    assert [issue.code for issue in shop.ns.credit_notes.issues(note.id)] == ["tax_differs"]
    severity = Severity.WARNING
    shop.ns.credit_notes.retry(note.id)
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("issued", ["credits"])


def test_a_validation_that_raises_stops_that_credit_note_alone(a_shop: OpenShop):
    def validate_invoice(self: Any, invoice: Any, lines: Any, settings: Any) -> Any:
        if invoice.content.description == "poison":
            raise ZeroDivisionError
        return []

    shop = a_crediting_shop(a_shop, map_line=map_anywhere, validate_invoice=validate_invoice)
    bad, good = shop.ns.credit_notes.submit_many([a_note(shop, "3", description="poison"), a_note(shop, "3")])
    shop.run()
    assert [issue.code for issue in shop.ns.credit_notes.issues(bad)] == ["provider_fault"]
    assert [shop.ns.credit_notes.get(id).status for id in (bad, good)] == ["failed", "issued"]


def test_a_credit_note_bears_the_day_that_its_host_states(a_shop_anywhere: OpenShop):
    shop = a_crediting_shop(a_shop_anywhere)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", issued_at="2026-01-31T00:00:00Z"))
    assert str(note.issued_at)[:10] == "2026-01-31"
    shop.run()
    note = shop.ns.credit_notes.get(note.id)
    assert (note.status, str(note.issued_at)[:10]) == ("issued", "2026-01-31")


@pytest.mark.parametrize(
    "stated, code",
    [
        ({"issued_at": "2099-01-01T00:00:00Z"}, "issued_at_in_future"),
        ({"due_at": "2026-01-31T00:00:00Z"}, "due_at_of_credit_note"),
    ],
)
def test_a_date_that_no_credit_note_bears_is_refused(a_shop: OpenShop, stated: dict[str, str], code: str):
    shop = a_crediting_shop(a_shop)
    before = shop.counts()
    with pytest.raises(InvalidInput) as refusal:
        shop.ns.credit_notes.submit(a_note(shop, "3", **stated))
    assert (refusal.value.code, shop.counts()) == (code, before)


def test_what_is_no_credit_note_is_refused(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    stranger = shop.engine.namespace("other")
    id = an_issued_invoice(shop)
    before = shop.counts()
    for draft, kind in (
        (shop.draft(), InvalidInput),
        (a_note(shop, "-3"), InvalidInput),
        (a_note(shop, "3", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), NotFound),
    ):
        with pytest.raises(kind):
            shop.ns.credit_notes.submit(draft)
    with pytest.raises(InvalidInput):
        shop.ns.invoices.submit(a_note(shop, "3"))
    with pytest.raises(NotFound):
        stranger.credit_notes.submit(a_note(shop, "3", id))
    assert shop.counts() == before


def test_a_credit_note_belongs_to_its_invoices_customer_and_currency(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    shop.ns.customers.create("Ann", key="ann")
    id, voided = an_issued_invoice(shop), an_issued_invoice(shop)
    shop.ns.invoices.void(voided)
    before = shop.counts()
    for draft, code in (
        (a_note(shop, "3", id, currency="USD"), "credited_invoice_of_other_currency"),
        (a_note(shop, "3", id, customer_key="ann"), "credited_invoice_of_other_customer"),
        (a_note(shop, "3", voided), "invoice_not_creditable"),
    ):
        with pytest.raises((InvalidInput, NotAllowed)) as refusal:
            shop.ns.credit_notes.submit(draft)
        assert refusal.value.code == code
    assert shop.counts() == before


def test_one_key_twice_in_one_call_makes_one_credit_note(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    draft = a_note(shop, "3")
    first, second = shop.ns.credit_notes.submit_many([draft, draft])
    assert first == second


def test_an_app_that_can_not_credit_says_so_and_nothing_is_stored(a_shop: OpenShop):
    shop = a_shop()
    before = shop.counts()
    with pytest.raises(Unsupported):
        shop.ns.credit_notes.submit(a_note(shop, "3"))
    assert shop.counts() == before


def test_a_note_that_did_not_fail_is_neither_tried_again_nor_made_void_and_nothing_else_is_offered(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", an_issued_invoice(shop)))
    shop.run()
    for refused in (shop.ns.credit_notes.retry, shop.ns.credit_notes.void):
        with pytest.raises(NotAllowed, match="is issued; only one that failed") as error:
            refused(note.id)
        assert error.value.code == "credit_note_not_failed"


def test_the_credit_notes_on_an_invoice_are_listed_the_newest_first(a_shop_anywhere: OpenShop):
    shop = a_crediting_shop(a_shop_anywhere)
    id = an_issued_invoice(shop)
    ids = [
        shop.ns.credit_notes.submit(a_note(shop, amount, on)).id for amount, on in (("1", id), ("2", id), ("3", None))
    ]
    shop.run()
    listed = shop.ns.credit_notes.list(invoice_id=id).items
    assert [view.id for view in listed] == [ids[1], ids[0]]
    assert listed == tuple(shop.ns.credit_notes.get(view.id) for view in listed)
    with pytest.raises(NotFound):
        shop.ns.credit_notes.list(invoice_id=ids[2])
    with pytest.raises(NotFound):
        shop.engine.namespace("other").credit_notes.list(invoice_id=id)


def test_a_long_list_of_credit_notes_asks_the_database_no_more_than_a_short_one(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    shop.ns.apps.disable(shop.app.id)
    asked: list[str] = []

    def listen(driver: Any, *_: object) -> None:
        driver.set_trace_callback(asked.append)

    def asked_for_a_list() -> int:
        asked.clear()
        listed = shop.ns.credit_notes.list().items
        standings = shop.ns.credit_notes.standings([view.id for view in listed])
        statements = len(asked)
        for id, standing in standings.items():
            told = (shop.ns.credit_notes.issues(id), shop.ns.credit_notes.waiting_for(id))
            assert told == (standing.issues, standing.waiting_for)
            assert "is disabled" in str(standing.waiting_for)
        return statements

    event.listen(Pool, "checkout", listen)
    try:
        shop.ns.credit_notes.submit_many([a_note(shop, "1") for _ in range(3)])
        of_few = asked_for_a_list()
        shop.ns.credit_notes.submit_many([a_note(shop, "1") for _ in range(20)])
        assert 0 < asked_for_a_list() <= of_few
    finally:
        event.remove(Pool, "checkout", listen)
