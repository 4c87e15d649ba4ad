"""Money that was paid back another way than through the app that received it: it is noted, counts, and nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import a_draft_to_be_approved, an_issued_invoice, paths

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, RefundResult, RefundStatus, Rejected
from billhook.engine.asking_what_went_back import look
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import Standing, standing_of
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, KeyReused, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


def first_payment(shop: Shop, id: str) -> str:
    return str(shop.get(id).payments[0].id)


def refunded(shop: Shop, id: str) -> Decimal:
    return shop.get(id).invoice.amount_refunded


# Money that came another way, and went back so.


@pytest.fixture
def overpaid(a_shop_anywhere: OpenShop) -> tuple[Shop, str]:
    """An invoice over 10 for which 12 came by bank transfer."""
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "12", key="statement-7")
    return shop, id


def test_what_was_overpaid_is_noted_as_paid_back(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    asked = paths(shop)
    noted = shop.ns.refunds.record(first_payment(shop, id), "2", reason="Paid twice.", key="back-7")
    refund = shop.ns.refunds.get(noted)
    assert (refund.status, refund.origin, refund.amount) == ("succeeded", "recorded", 2)
    assert refund.reason == "Paid twice."
    shop.run()
    shown = shop.get(id)
    assert (shown.status, shown.invoice.amount_paid, shown.invoice.amount_refunded) == ("paid", 12, 2)
    assert (paths(shop), shop.issue_codes(id)) == (asked, [])
    told = [entry.summary for entry in shop.ns.invoices.timeline(id)]
    assert "A refund of 2 EUR was paid another way; it is succeeded." in told
    assert any(each.startswith("Money that was paid back another way was noted") for each in told), told
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("amount", ["0", "-1", "12.01", "1.005", "NaN", "x"])
def test_an_amount_that_can_not_have_gone_back_is_refused(overpaid: tuple[Shop, str], amount: str):
    shop, id = overpaid
    with pytest.raises(InvalidInput):
        shop.ns.refunds.record(first_payment(shop, id), amount)
    assert (shop.rows(schema.refund), refunded(shop, id)) == ([], 0)


def test_no_more_is_paid_back_in_parts_than_came(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    shop.ns.refunds.record(first_payment(shop, id), "11")
    with pytest.raises(InvalidInput, match="1 of the payment is left"):
        shop.ns.refunds.record(first_payment(shop, id), "2")
    assert refunded(shop, id) == 11


def test_the_same_key_is_noted_once_and_other_content_under_it_is_refused(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    payment = first_payment(shop, id)
    once, again = (shop.ns.refunds.record(payment, "2", key="back-7") for _ in range(2))
    assert once == again
    with pytest.raises(KeyReused):
        shop.ns.refunds.record(payment, "3", key="back-7")
    with pytest.raises(KeyReused):
        shop.ns.refunds.refund(payment, "2", key="back-7")
    assert refunded(shop, id) == 2


def test_a_payment_that_is_not_there_or_did_not_come_is_refused(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    payment = first_payment(shop, id)
    with pytest.raises(NotFound):
        shop.engine.namespace("other").refunds.record(payment, "1")
    shop.ns.invoices.take_back_payment(id, payment, reason="For another customer.")
    with pytest.raises(NotAllowed, match="is canceled"):
        shop.ns.refunds.record(payment, "1")
    assert refunded(shop, id) == 0


def test_a_payment_of_which_something_went_back_is_no_mistake(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    payment = first_payment(shop, id)
    shop.ns.refunds.record(payment, "2")
    with pytest.raises(NotAllowed) as refused:
        shop.ns.invoices.take_back_payment(id, payment, reason="For another customer.")
    assert refused.value.code == "payment_paid_back"
    assert f"billhook invoices refund {payment} AMOUNT --paid-elsewhere" in str(refused.value)
    assert (shop.status(id), shop.get(id).invoice.amount_paid) == ("paid", 12)
    assert problems_of(shop.engine) == []


def test_what_no_app_collected_says_how_to_note_that_it_was_paid_back(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    payment = first_payment(shop, id)
    with pytest.raises(Exception, match=f"billhook invoices refund {payment} AMOUNT --paid-elsewhere"):
        shop.ns.refunds.refund(payment, "2")


# Refunds that an app did not make.


def collect(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("collect", batch, "collect", recover=(repeat(),))
    paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, reply.json()["items"][0]["id"])
    return {batch.only.id: Done(paid)}


def refund_unless_refused(self: Any, batch: Batch[Any, Any]) -> Any:
    item = batch.only
    yield put("refund", batch, "refund", recover=(repeat(),))
    if item.reason == "refused":
        return {item.id: Rejected.because("card_gone", "The card is gone.")}
    return {item.id: Done(RefundResult(RefundStatus.SUCCEEDED, item.amount, f"re-{item.id}"))}


def note(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    noted = {item.id: PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}") for item in batch.items}
    return {id: Done(result) for id, result in noted.items()}


class Dashboard:
    """What the bank says was given back of a payment."""

    def __init__(self) -> None:
        self.refunded = Decimal(0)


def a_paid_invoice(open_shop: OpenShop, dashboard: Dashboard) -> tuple[Shop, str, str]:
    """Paid at a bank, and noted in the books of another app: the shop, the invoice and its payment."""

    def look(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        yield put("check", batch, "check", safe=True, key=None)
        seen = PaymentResult(PaymentStatus.SUCCEEDED, item.amount, item.external_id, refunded=dashboard.refunded)
        return {item.id: Done(seen)}

    bank = a_provider("bank", collect_payment=collect, refund=refund_unless_refused, check_payment=look)
    shop = open_shop(a_provider(sync_draft=careful_draft, record_payment=note), bank)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "paid"
    return shop, id, first_payment(shop, id)


def counted(shop: Shop) -> tuple[int, bool, list[str]]:
    """How many invoices have a refund that the customer does not have, whether a person is needed, and which invoices they are."""
    standing = standing_of(shop.engine.context, shop.namespace)
    listed = shop.ns.invoices.list(InvoiceFilter(failed_refunds=True))
    return standing.failed_refunds, standing.needs_a_person, [view.id for view in listed.items]


def test_a_refund_that_was_refused_needs_a_person_until_it_is_paid_another_way(a_shop_anywhere: OpenShop):
    shop, id, payment = a_paid_invoice(a_shop_anywhere, Dashboard())
    assert counted(shop) == (0, False, [])
    shop.ns.refunds.refund(payment, "5", reason="refused")
    shop.run()
    assert counted(shop) == (1, True, [id])
    (issue,) = shop.get(id).issues
    assert issue.message.endswith(f"say so: billhook invoices refund {payment} AMOUNT --paid-elsewhere")
    shop.ns.refunds.record(payment, "5")
    assert counted(shop) == (0, True, [])
    assert shop.issue_codes(id) == ["refund_not_in_books"]
    shop.ns.invoices.dismiss(id, "refund_not_in_books", reason="It is entered there.")
    assert counted(shop) == (0, False, [])
    assert problems_of(shop.engine) == []


def test_the_books_of_another_app_are_told_of_by_a_person(a_shop: OpenShop):
    shop, id, payment = a_paid_invoice(a_shop, Dashboard())
    shop.ns.refunds.record(payment, "3")
    (issue,) = shop.get(id).issues
    assert issue.code == "refund_not_in_books"
    assert f"noted-{payment}" in issue.message
    assert "of which 3.00 went back" in issue.message


@pytest.mark.parametrize(
    "recorded, told, made_there",
    [("5", "0", "0"), ("5", "3", "3"), ("5", "5", "5"), ("5", "10", "5"), ("10", "10", "0")],
)
def test_what_others_give_back_at_the_provider_counts_beside_it(
    a_shop: OpenShop, recorded: str, told: str, made_there: str
):
    dashboard = Dashboard()
    shop, id, payment = a_paid_invoice(a_shop, dashboard)
    shop.ns.refunds.record(payment, recorded)
    dashboard.refunded = Decimal(told)
    if recorded != "10":
        shop.ns.refunds.refund(payment, "1", reason="refused")
        shop.run()
    assert refunded(shop, id) == Decimal(recorded) + Decimal(made_there)
    assert problems_of(shop.engine) == []


def test_more_given_back_than_came_is_told_of_until_the_note_is_taken_back(a_shop_anywhere: OpenShop):
    dashboard = Dashboard()
    shop, id, payment = a_paid_invoice(a_shop_anywhere, dashboard)
    noted = shop.ns.refunds.record(payment, "7")
    dashboard.refunded = Decimal(5)
    shop.ns.refunds.refund(payment, "1", reason="refused")
    shop.run()
    (issue,) = [each for each in shop.get(id).issues if each.code == "refunded_beyond_payment"]
    assert (
        f"gave back 5 EUR of payment {payment}, and 7 were noted as paid back another way ({noted}): 2.00 more"
        in issue.message
    )
    assert refunded(shop, id) == 10
    shop.ns.refunds.take_back(noted, reason="It was the one in the dashboard.")
    shop.run()
    assert refunded(shop, id) == 5
    assert "refunded_beyond_payment" not in shop.issue_codes(id)
    assert problems_of(shop.engine) == []


def test_what_a_person_has_dealt_with_is_told_of_no_more_unless_it_is_more(a_shop_anywhere: OpenShop):
    dashboard, code = Dashboard(), "refunded_beyond_payment"
    shop, id, payment = a_paid_invoice(a_shop_anywhere, dashboard)
    shop.ns.refunds.record(payment, "7")

    def look_at(tx: Transaction) -> None:
        unit = Unit(shop.engine.context, tx)
        look(unit, unit.money.get("payment", payment))
        unit.flush()

    def codes_at(sum_there: str) -> Sequence[str]:
        dashboard.refunded = Decimal(sum_there)
        shop.engine.database.write(look_at)
        shop.run()
        return [each.code for each in shop.get(id).issues if each.code == code]

    assert codes_at("5") == [code]
    assert (how_it_stands(shop).given_twice, listed(shop, code)) == (1, [id])
    for _ in range(2):
        assert shop.ns.invoices.dismiss(id, code, reason="The customer sent 2.00 back.").invoice.id == id
    assert (how_it_stands(shop).given_twice, listed(shop, code)) == (0, [])
    notes = [entry.summary for entry in shop.ns.invoices.timeline(id) if "sent 2.00 back" in entry.summary]
    assert len(notes) == 1
    assert (codes_at("5"), codes_at("6")) == ([], [code])


def test_what_stands_in_the_way_or_was_never_told_is_not_dismissed(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    id = shop.submit()
    shop.books.refuses.add(id)
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    with pytest.raises(NotAllowed, match="refused stops invoice"):
        shop.ns.invoices.dismiss(id, "refused", reason="I don't care.")
    with pytest.raises(InvalidInput, match="never told of 'odd'"):
        shop.ns.invoices.dismiss(id, "odd", reason="I don't care.")
    with pytest.raises(InvalidInput) as unsaid:
        shop.ns.invoices.dismiss(id, "refused", reason="")
    assert unsaid.value.problems[0].path == "/reason"


def test_what_was_dismissed_stops_an_invoice_again_and_is_no_warning_while_it_is_tried_again(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    id = shop.submit()
    shop.books.refuses.add(id)
    shop.run()
    shop.ns.invoices.retry(id)
    assert shop.issue_codes(id) == ["refused"]
    shop.ns.invoices.dismiss(id, "refused", reason="The books were told.")
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("draft.sync_failed", ["refused"])
    shop.ns.invoices.retry(id)
    assert shop.issue_codes(id) == []


def how_it_stands(shop: Shop) -> Standing:
    return standing_of(shop.engine.context, shop.namespace)


def listed(shop: Shop, code: str) -> list[str]:
    return [view.id for view in shop.ns.invoices.list(InvoiceFilter(issue_codes=(code,))).items]


@pytest.mark.parametrize("bank", [True, False], ids=["at a bank", "at the books' app"])
def test_books_that_show_the_payment_as_ever_tell_of_no_new_money(a_shop_anywhere: OpenShop, bank: bool):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=bank)
    ledger.is_locked = False
    pay(shop, id, "10")
    shop.ns.refunds.record(first_payment(shop, id), "3")
    enter(shop, ledger, id, "0")
    shown = shop.get(id)
    assert (ledger.paid, shown.invoice.amount_paid, shown.invoice.amount_refunded) == (10, 10, 3)
    assert shop.issue_codes(id) == ["refund_not_in_books"]
    assert (how_it_stands(shop).still_in_books, how_it_stands(shop).needs_a_person) == (1, True)
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("bank", [True, False], ids=["at a bank", "at the books' app"])
@pytest.mark.parametrize("parts", [["3"], ["1", "2"]])
def test_a_refund_that_somebody_entered_in_the_books_is_told_of_no_longer_and_new_money_there_counts(
    a_shop_anywhere: OpenShop, bank: bool, parts: list[str]
):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=bank)
    ledger.is_locked = False
    pay(shop, id, "4")
    for part in parts:
        shop.ns.refunds.record(first_payment(shop, id), part)
    enter(shop, ledger, id, "-3")
    shown = shop.get(id)
    assert (shop.issue_codes(id), shown.invoice.amount_paid, shown.invoice.amount_due) == ([], 4, 9)
    assert any("money given back that they had not known of" in each.summary for each in shop.ns.invoices.timeline(id))
    enter(shop, ledger, id, "3")
    assert (shop.get(id).invoice.amount_paid, shop.get(id).invoice.amount_due) == (7, 6)
    shop.ns.refunds.record(first_payment(shop, id), "1")
    (issue,) = shop.get(id).issues
    assert "of which 1 went back" in issue.message
    assert problems_of(shop.engine) == []


def test_a_refund_of_what_the_books_told_is_to_be_entered_there_too(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=True)
    enter(shop, ledger, id, "10")
    noted = shop.ns.refunds.record(first_payment(shop, id), "3")
    (issue,) = shop.get(id).issues
    assert (issue.code, "shows a payment over 10 EUR, of which 3 went back" in issue.message) == (
        "refund_not_in_books",
        True,
    )
    enter(shop, ledger, id, "-3")
    assert shop.issue_codes(id) == []
    shop.ns.refunds.take_back(noted, reason="Nothing went back.")
    enter(shop, ledger, id, "3")
    assert (shop.issue_codes(id), shop.get(id).invoice.amount_paid, refunded(shop, id)) == ([], 10, 0)
    assert problems_of(shop.engine) == []


def test_books_that_refused_a_note_show_nothing_that_a_refund_is_to_be_entered_for(a_shop: OpenShop):
    shop, id = a_shop_with(a_shop, Ledger(), bank=False)
    shop.ns.invoices.record_payment(id, "4", external_id="statement-7")
    shop.run()
    shop.ns.refunds.record(first_payment(shop, id), "4")
    assert shop.issue_codes(id) == ["date_locked"]


# What was noted by mistake.


def test_a_refund_that_was_noted_by_mistake_counts_no_more(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    noted = shop.ns.refunds.record(first_payment(shop, id), "12", key="back-7")
    for _ in range(2):
        taken = shop.ns.refunds.take_back(noted, reason="It was 2, not 12.")
    assert (taken.status, taken.message) == ("canceled", "It was 2, not 12.")
    assert (shop.status(id), refunded(shop, id)) == ("paid", 0)
    assert shop.ns.refunds.find("back-7") == taken
    shop.ns.refunds.record(first_payment(shop, id), "2", key="back-8")
    assert refunded(shop, id) == 2
    told = [entry for entry in shop.ns.invoices.timeline(id) if entry.summary.startswith("A refund that was noted by")]
    assert [
        entry.summary.endswith(f"12 EUR of refund {noted} no longer count: It was 2, not 12.") for entry in told
    ] == [True]
    assert problems_of(shop.engine) == []


def test_once_the_refund_was_a_mistake_the_payment_can_have_been_one_too(overpaid: tuple[Shop, str]):
    shop, id = overpaid
    payment = first_payment(shop, id)
    shop.ns.refunds.take_back(shop.ns.refunds.record(payment, "2"), reason="Nothing went back.")
    shop.ns.invoices.take_back_payment(id, payment, reason="For another customer.")
    assert (shop.get(id).invoice.amount_paid, refunded(shop, id)) == (0, 0)
    assert problems_of(shop.engine) == []


def test_an_invoice_that_owes_nothing_once_a_refund_was_a_mistake_is_paid(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "6")
    noted = shop.ns.refunds.record(first_payment(shop, id), "4")
    shop.ns.invoices.record_payment(id, "4")
    assert (shop.status(id), shop.get(id).invoice.amount_due) == ("payment_processing.pending", 4)
    shop.ns.refunds.take_back(noted, reason="Nothing went back.")
    assert shop.status(id) == "paid"
    assert problems_of(shop.engine) == []


def test_a_collection_that_was_not_sent_is_over_what_is_due_once_refunds_changed_that(a_shop_anywhere: OpenShop):
    shop, id = a_draft_to_be_approved(a_shop_anywhere, a_provider(sync_draft=careful_draft, collect_payment=collect))
    shop.ns.invoices.record_payment(id, "6")
    shop.ns.invoices.approve(id)
    due = []
    for change in (None, "went back", "mistake"):
        if change == "went back":
            noted = shop.ns.refunds.record(first_payment(shop, id), "3")
        if change == "mistake":
            shop.ns.refunds.take_back(noted, reason="Nothing went back.")
        due.append(shop.get(id).payments[-1].amount)
    assert due == [4, 7, 4]
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.amount_paid) == ("paid", 10)


def test_what_had_made_up_for_a_failed_refund_is_owed_again(a_shop_anywhere: OpenShop):
    shop, id, payment = a_paid_invoice(a_shop_anywhere, Dashboard())
    shop.ns.refunds.refund(payment, "5", reason="refused")
    shop.run()
    (before,) = shop.get(id).issues
    noted = shop.ns.refunds.record(payment, "5")
    shop.ns.refunds.take_back(noted, reason="The transfer was never made.")
    (issue,) = shop.get(id).issues
    assert (issue.code, issue.message) == (before.code, before.message)
    assert counted(shop) == (1, True, [id])
    shop.ns.refunds.record(payment, "5")
    assert shop.issue_codes(id) == ["refund_not_in_books"]
    assert problems_of(shop.engine) == []


def test_what_an_app_gave_back_is_no_mistake(a_shop: OpenShop):
    shop, _, payment = a_paid_invoice(a_shop, Dashboard())
    made = shop.ns.refunds.refund(payment, "1")
    shop.run()
    with pytest.raises(NotAllowed, match="was made by Bank") as refused:
        shop.ns.refunds.take_back(made, reason="A mistake.")
    assert refused.value.code == "refund_not_recorded"


def test_a_void_invoice_keeps_no_money(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "4")
    noted = shop.ns.refunds.record(first_payment(shop, id), "4")
    shop.ns.invoices.void(id)
    shop.run()
    with pytest.raises(NotAllowed, match="is voided, and keeps no money") as refused:
        shop.ns.refunds.take_back(noted, reason="A mistake.")
    assert (refused.value.code, refunded(shop, id)) == ("refund_needed", 4)
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_reason_is_stated(overpaid: tuple[Shop, str], reason: str):
    shop, id = overpaid
    noted = shop.ns.refunds.record(first_payment(shop, id), "2")
    with pytest.raises(InvalidInput):
        shop.ns.refunds.take_back(noted, reason=reason)
    with pytest.raises(NotFound):
        shop.engine.namespace("other").refunds.take_back(noted, reason="A mistake.")
    assert refunded(shop, id) == 2
