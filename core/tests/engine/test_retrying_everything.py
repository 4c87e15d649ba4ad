"""One command tries again all that a worker counts as failed: in failed states and in others, invoices and credit notes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from engine_kit import FaultsAt, Shop, a_provider, arrives, lost_after, put, repeat
from money_kit import PENDING

from billhook.contract import (
    Batch,
    DocumentResult,
    Done,
    MappedLine,
    OperationRules,
    PaymentResult,
    PaymentStatus,
    Rejected,
    RemovalResult,
)
from billhook.engine.standing import Standing, standing_of
from billhook.errors import NotAllowed
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
TO_BE_APPROVED = {"auto_advance": False}


class Books:
    """What the books refuse at the moment, by the operation."""

    def __init__(self) -> None:
        self.refused: set[str] = set()


def books_that_refuse(books: Books) -> Any:
    def answering(name: str, result: Callable[[Any, Any], Any]) -> Any:
        def operate(self: Any, batch: Batch[Any, Any]) -> Any:
            reply = yield put(name, batch, name, recover=(repeat(),))
            if name in books.refused:
                return {item.id: Rejected.because(f"{name}_locked", "The books are locked.") for item in batch.items}
            made = {item["ref"]: item["id"] for item in reply.json()["items"]}
            return {item.id: Done(result(item, made[item.id])) for item in batch.items}

        return operate

    def map_line(self: Any, line: Any, invoice: Any, settings: Any) -> Any:
        if "mapping" in books.refused and line.name == "Odd":
            return None
        return MappedLine(line_id=line.id, description=line.name, rule="usual", account="sales")

    def document(item: Any, id: str) -> DocumentResult:
        return DocumentResult(external_id=id)

    def payment(item: Any, id: str) -> PaymentResult:
        return PaymentResult(PaymentStatus.SUCCEEDED, item.amount, id)

    def removal(item: Any, id: str) -> RemovalResult:
        return RemovalResult()

    return a_provider(
        sync_draft=answering("drafts", document),
        issue=answering("issues", document),
        credit=answering("credits", document),
        record_payment=answering("notes", payment),
        void=answering("voids", removal),
        delete=answering("deletions", removal),
        map_line=map_line,
        rules={"sync_draft": OperationRules(batch=50), "issue": OperationRules(batch=50)},
    )


def a_line(name: str) -> dict[str, Any]:
    return {"name": name, "item_code": "W", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}


def a_credit_note(shop: Shop, **changes: Any) -> str:
    return shop.ns.credit_notes.submit(shop.draft(type="credit_note", **changes)).id


def everything_failed(shop: Shop, books: Books) -> dict[str, str]:
    """One document for each way to fail, by the way."""
    paid, void = shop.submit(), shop.submit()
    deleted, fine = (shop.submit(workflow=TO_BE_APPROVED) for _ in range(2))
    shop.run()
    books.refused = {"drafts", "issues", "credits", "notes", "voids", "deletions", "mapping"}
    unissued = fine
    shop.ns.invoices.approve(unissued)
    shop.ns.invoices.record_payment(paid, "10")
    shop.ns.invoices.void(void)
    shop.ns.invoices.delete(deleted)
    unsynced, invalid = shop.submit(), shop.submit(lines=[a_line("Odd")])
    note = a_credit_note(shop)
    shop.run()
    return {
        "unsynced": unsynced,
        "invalid": invalid,
        "unissued": unissued,
        "not noted": paid,
        "not voided": void,
        "not deleted": deleted,
        "not credited": note,
    }


def standing(shop: Shop) -> Standing:
    return standing_of(shop.engine.context, shop.namespace)


def test_all_that_is_counted_as_failed_is_tried_again(a_shop_anywhere: OpenShop):
    books = Books()
    shop = a_shop_anywhere(books_that_refuse(books))
    failed = everything_failed(shop, books)
    before = standing(shop)
    counted = (before.failed, before.invalid, before.unrecorded, before.unvoided, before.failed_credit_notes)
    assert counted == (3, 1, 1, 1, 1)
    books.refused = set()
    retried = shop.ns.retry_failed()
    assert {each.id for each in retried} == set(failed.values())
    assert [each.kind for each in retried] == ["invoice"] * 6 + ["credit_note"]
    assert not any(each.is_left or each.waits for each in retried)
    shop.run()
    assert not standing(shop).needs_a_person
    states = {way: shop.status(id) for way, id in failed.items() if way != "not credited"}
    assert states == {
        "unsynced": PENDING,
        "invalid": PENDING,
        "unissued": PENDING,
        "not noted": "paid",
        "not voided": "voided",
        "not deleted": "deleted",
    }
    assert shop.ns.credit_notes.get(failed["not credited"]).status == "issued"
    assert shop.ns.retry_failed() == ()
    assert problems_of(shop.engine) == []


def test_what_fails_anew_is_told_as_it_stands_and_is_there_for_the_next_time(a_shop: OpenShop):
    books = Books()
    shop = a_shop(books_that_refuse(books))
    failed = everything_failed(shop, books)
    before = standing(shop)
    for _ in range(2):
        states = {each.id: each.status for each in shop.ns.retry_failed()}
        assert (states[failed["invalid"]], states[failed["not voided"]]) == ("draft.invalid", "voided")
        shop.run()
        assert standing(shop) == before


@pytest.mark.parametrize("way", ["not voided", "not deleted", "not noted"])
def test_a_single_retry_mends_what_the_app_refused_in_any_state(a_shop: OpenShop, way: str):
    books = Books()
    shop = a_shop(books_that_refuse(books))
    id = everything_failed(shop, books)[way]
    books.refused = set()
    shop.ns.invoices.retry(id)
    shop.run()
    assert id not in {each.id for each in shop.ns.retry_failed()}
    with pytest.raises(NotAllowed):
        shop.ns.invoices.retry(id)


def test_what_did_not_fail_is_left_alone(a_shop: OpenShop):
    books = Books()
    shop = a_shop(books_that_refuse(books))
    fine = [shop.submit() for _ in range(3)]
    shop.run()
    shop.ns.invoices.void(fine[0])
    shop.run()
    books.refused = {"drafts"}
    failed = shop.submit()
    shop.run()
    assert shop.engine.namespace("another").retry_failed() == ()
    versions = [shop.get(id).invoice.version for id in fine]
    assert [each.id for each in shop.ns.retry_failed()] == [failed]
    assert [shop.get(id).invoice.version for id in fine] == versions


def break_content_of(shop: Shop, id: str) -> None:
    """Somebody damages what is stored of an invoice."""
    body = schema.document_body
    damage = sa.update(body).where(body.c.document_id == id).values(body=b"{")
    shop.engine.database.write(lambda tx: tx.execute(damage) and None)
    shop.restart()


def test_what_cannot_be_tried_again_says_why_and_stops_nothing_else(a_shop_anywhere: OpenShop):
    books = Books()
    shop = a_shop_anywhere(books_that_refuse(books))
    credited = shop.submit()
    shop.run()
    books.refused = {"drafts", "credits"}
    broken, usual = shop.submit(), [shop.submit() for _ in range(3)]
    note = a_credit_note(shop, credited_invoice_id=credited)
    another = a_credit_note(shop)
    shop.run()
    shop.ns.invoices.void(credited)
    break_content_of(shop, broken)
    books.refused = set()
    retried = {each.id: each for each in shop.ns.retry_failed()}
    assert retried.keys() == {broken, *usual, note, another}
    left = {id: (each.status, each.code) for id, each in retried.items() if each.is_left}
    assert left == {broken: ("draft.sync_failed", "internal"), note: ("failed", "invoice_not_creditable")}
    assert "Invalid JSON" in str(retried[broken].reason)
    assert "there is nothing to credit" in str(retried[note].reason)
    shop.run()
    assert {shop.status(id) for id in usual} == {PENDING}
    assert shop.ns.credit_notes.get(another).status == "issued"
    assert problems_of(shop.engine) == []


def test_what_an_operation_holds_is_tried_again_when_that_ends_and_asked_for_once(a_shop_anywhere: OpenShop):
    books = Books()
    shop = a_shop_anywhere(books_that_refuse(books))
    id = shop.submit()
    shop.run()
    books.refused = {"notes"}
    shop.ns.invoices.record_payment(id, "4")
    shop.run()
    shop.wire.otherwise = lost_after
    shop.ns.invoices.record_payment(id, "6")
    shop.run_for(2 * 3600)
    assert (standing(shop).in_doubt, standing(shop).unrecorded) == (1, 1)
    for _ in range(3):
        (retried,) = shop.ns.retry_failed()
        assert (retried.id, retried.waits, retried.is_left) == (id, True, False)
    assert shop.causes(id).count("retry.recorded") == 1
    books.refused = set()
    shop.wire.otherwise = arrives
    shop.ns.doubts.resolve(id, absent=True)
    shop.run_for(3600)
    assert (shop.status(id), shop.issue_codes(id), standing(shop).needs_a_person) == ("paid", [], False)


def test_very_many_are_tried_in_few_commits(a_shop_anywhere: OpenShop):
    books = Books()
    shop = a_shop_anywhere(books_that_refuse(books))
    books.refused = {"drafts"}
    shop.ns.invoices.submit_many([shop.draft() for _ in range(600)])
    shop.run()
    commits = FaultsAt()
    shop.restart(faults=commits)
    counted: list[str] = []
    commits.acts["commit.after"] = lambda: counted.append("commit")
    assert len(shop.ns.retry_failed()) == 600
    assert len(counted) < 30
    books.refused = set()
    shop.run()
    assert not standing(shop).needs_a_person
    assert sum((Decimal(row["total"]) for row in shop.rows(schema.invoice, state=PENDING)), Decimal(0)) == 6000
