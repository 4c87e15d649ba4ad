from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import KEY, a_provider, answers, documents, look_up, lost_after, lost_before, plain_draft, put

from billhook.contract import (
    CustomerResult,
    DocumentResult,
    Done,
    NumberRules,
    OperationRules,
    PaymentResult,
    PaymentStatus,
    ProviderTotals,
    Request,
    Snapshot,
)
from billhook.contract.declaration import NumberOwner
from billhook.engine.context import Policy
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound
from billhook.store import schema

BATCHED = {"sync_draft": OperationRules(batch=50, atomic=True)}


def reads(total: str):
    """A fetch that finds what the books have, with this total."""

    def fetch(self, batch):
        reply = yield Request("read", "GET", f"http://books/found?refs={batch.only.id}")
        known = reply.json()["items"]
        if not known:
            return {batch.only.id: Done(Snapshot(found=False))}
        totals = ProviderTotals(total=Decimal(total))
        return {batch.only.id: Done(Snapshot(found=True, external_id=known[0]["id"], totals=totals))}

    return fetch


def shows(known: str):
    """A fetch by the provider's own id, which shows this one alone."""

    def fetch(self, batch):
        yield Request("read", "GET", f"http://books/found?refs={batch.only.id}")
        id = batch.only.external_id
        totals = ProviderTotals(total=Decimal("10.00"))
        shown = Snapshot(found=True, external_id=id, totals=totals) if id == known else Snapshot(found=False)
        return {batch.only.id: Done(shown)}

    return fetch


def collects(self, batch):
    """A charge for which nothing is declared when its answer is lost."""
    reply = yield put("charge", batch, path="charges")
    return {item["ref"]: _paid(item["id"], batch.only.amount) for item in reply.json()["items"]}


def checks(self, batch):
    """How the charge stands, read by its own id."""
    yield Request("check", "GET", f"http://books/found?refs={batch.only.id}")
    return {batch.only.id: _paid(batch.only.external_id, batch.only.amount)}


def brings(self, batch):
    """A customer for whom nothing is declared when its answer is lost."""
    reply = yield put("customer", batch, path="customers")
    return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}


def credits_it(self, batch):
    reply = yield put("credit", batch, path="credits")
    return {item["ref"]: Done(DocumentResult(external_id=item["id"])) for item in reply.json()["items"]}


def _paid(external_id, amount):
    return Done(PaymentResult(PaymentStatus.SUCCEEDED, amount, external_id))


@pytest.fixture
def in_doubt(a_shop_anywhere):
    """Opens a shop with one invoice whose answer was lost after (or before) it was done."""

    def open_one(behaviour=lost_after, **hooks):
        shop = a_shop_anywhere(a_provider(**{"sync_draft": plain_draft, **hooks}))
        invoice = shop.submit()
        shop.wire.plan(behaviour)
        shop.run()
        assert shop.issue_codes(invoice) == ["outcome_unknown"]
        return shop, invoice

    return open_one


def only_doubt(shop):
    (doubt,) = shop.ns.doubts.list()
    return doubt


# Listing.


def test_a_doubt_shows_what_was_sent_under_which_key_and_when(in_doubt):
    shop, invoice = in_doubt()
    doubt = only_doubt(shop)
    (step,) = doubt.steps
    (request,) = shop.wire.sent
    assert (doubt.document_id, doubt.subject_id, doubt.operation) == (invoice, invoice, "sync_draft")
    assert doubt.since == shop.wire.sent_at[0]
    assert (step.url, step.body, step.key) == (request.url, request.body, dict(request.headers)[KEY])
    assert doubt.reason == shop.get(invoice).in_doubt


def test_no_doubt_crosses_a_namespace(in_doubt):
    shop, invoice = in_doubt()
    other = shop.engine.namespace("other").doubts
    assert other.list() == ()
    with pytest.raises(NotFound):
        other.resolve(invoice, absent=True)
    assert only_doubt(shop).document_id == invoice


# Found.


def test_what_was_found_counts_on_the_operators_word_where_nothing_can_be_read(in_doubt):
    shop, invoice = in_doubt()
    shop.ns.doubts.resolve(invoice, found="drafts-1", by="Ada", note="seen in the list of drafts")
    shop.run()
    (link,) = shop.rows(schema.document_link, document_id=invoice)
    assert link["external_id"] == "drafts-1"
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.issue_codes(invoice) == []
    assert shop.books.references == [invoice]
    assert shop.ns.doubts.list() == ()
    assert [one["status"] for one in shop.operations("sync_draft")] == ["settled"]


def test_a_resolution_is_in_the_timeline_with_who_and_why(in_doubt):
    shop, invoice = in_doubt()
    shop.ns.doubts.resolve(invoice, found="drafts-1", by="Ada", note="seen in the list of drafts")
    (entry,) = [one for one in shop.ns.invoices.timeline(invoice) if one.details.get("cause") == "sync_draft.found"]
    assert entry.summary == (
        "An operator found sync_draft done. It stands there as drafts-1. Ada: seen in the list of drafts"
    )


def test_what_was_found_is_read_and_compared_before_it_counts(in_doubt):
    shop, invoice = in_doubt(fetch=reads("10.00"))
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    assert shop.status(invoice) == "draft.syncing"
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"
    assert [request.method for request in shop.wire.sent] == ["POST", "GET"]
    assert shop.books.references == [invoice]


def test_a_cent_of_difference_stops_what_was_found(in_doubt):
    shop, invoice = in_doubt(fetch=reads("10.01"))
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    shop.run()
    assert shop.status(invoice) == "draft.sync_failed"
    assert shop.issue_codes(invoice) == ["totals_differ"]


def test_an_id_that_the_provider_does_not_show_leaves_it_in_doubt(in_doubt):
    shop, invoice = in_doubt(lost_after, fetch=shows("drafts-1"))
    for _ in range(2):
        shop.ns.doubts.resolve(invoice, found="INV-1")
        shop.run()
        assert (only_doubt(shop).document_id, shop.get(invoice).in_doubt) == (invoice, only_doubt(shop).reason)
        assert shop.issue_codes(invoice) == ["outcome_unknown"]
        assert "does not show INV-1" in shop.get(invoice).issues[0].message
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.issue_codes(invoice) == []
    assert shop.books.references == [invoice]


def test_after_an_id_that_is_not_shown_nothing_may_be_there_either(in_doubt):
    shop, invoice = in_doubt(lost_before, fetch=shows("drafts-1"))
    shop.ns.doubts.resolve(invoice, found="INV-1")
    shop.run()
    shop.ns.doubts.resolve(invoice, absent=True)
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.books.references == [invoice]


@pytest.mark.parametrize("hooks", [{}, {"fetch": reads("10.00")}])
def test_the_id_of_another_invoice_is_refused(in_doubt, hooks):
    shop, invoice = in_doubt(**hooks)
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    shop.run()
    second = shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    with pytest.raises(InvalidInput, match=f"drafts-1 is {invoice} already") as refused:
        shop.ns.doubts.resolve(second, found="drafts-1")
    assert refused.value.code == "found_is_anothers"
    assert only_doubt(shop).document_id == second


def test_the_providers_own_number_goes_with_what_was_found(a_shop_anywhere):
    shop = a_shop_anywhere(a_provider(sync_draft=plain_draft, numbers=NumberRules(owner=NumberOwner.PROVIDER)))
    invoice = shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    shop.ns.doubts.resolve(invoice, found="drafts-1", number="B-17")
    assert shop.get(invoice).invoice.number == "B-17"


def test_a_number_of_ours_is_not_the_operators_to_say(in_doubt):
    shop, invoice = in_doubt()
    with pytest.raises(InvalidInput, match="Leave the number away"):
        shop.ns.doubts.resolve(invoice, found="drafts-1", number="B-17")
    assert only_doubt(shop).document_id == invoice


# Absent.


def test_what_is_not_there_is_done_anew_under_a_new_key(in_doubt):
    shop, invoice = in_doubt(lost_before)
    shop.ns.doubts.resolve(invoice, absent=True, note="searched by reference")
    shop.run()
    assert shop.books.references == [invoice]
    assert len(set(shop.wire.keys("drafts"))) == 2
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.issue_codes(invoice) == []


def test_each_item_of_a_doubted_batch_is_answered_by_itself(a_shop_anywhere):
    shop = a_shop_anywhere(a_provider(sync_draft=plain_draft, rules=BATCHED))
    there, missing = shop.submit(), shop.submit()
    shop.wire.plan(lost_before)
    shop.run()
    shop.ns.doubts.resolve(there, found="drafts-9")
    assert [one["status"] for one in shop.operations("sync_draft")] == ["in_doubt"]
    assert only_doubt(shop).document_id == missing
    shop.ns.doubts.resolve(missing, absent=True)
    assert shop.operations("sync_draft")[0]["status"] == "settled"
    shop.run()
    assert shop.books.references == [missing]
    assert {shop.status(there), shop.status(missing)} == {"payment_processing.pending"}


# Looking again.


def test_the_engine_looks_again_with_new_patience_when_it_is_told_to(a_shop_anywhere):
    def looked_up(self, batch):
        reply = yield put("put", batch, recover=(look_up(self, batch),))
        return documents(batch, reply)

    shop = a_shop_anywhere(a_provider(sync_draft=looked_up), policy=Policy(look_ups=2))
    invoice = shop.submit()
    shop.wire.plan(lost_after)
    shop.wire.plan(answers(500), answers(500), answers(500), to="found")
    shop.run_for(600)
    assert shop.issue_codes(invoice) == ["outcome_unknown"]
    shop.ns.doubts.resolve(invoice, look_again=True, by="Ada")
    assert shop.issue_codes(invoice) == []
    shop.run_for(600)
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.books.references == [invoice]
    assert "sync_draft.look_again" in shop.causes(invoice)


def test_looking_again_in_vain_leaves_it_in_doubt(in_doubt):
    shop, invoice = in_doubt()
    shop.ns.doubts.resolve(invoice, look_again=True)
    shop.run()
    assert only_doubt(shop).document_id == invoice
    assert shop.issue_codes(invoice) == ["outcome_unknown"]
    assert len(shop.wire.sent) == 1


# Diverged.


def test_an_operation_that_diverged_takes_the_same_answers(a_shop_anywhere):
    def first_and_more(path):
        def draft(self, batch):
            yield put("first", batch, path=path, recover=())
            reply = yield put("second", batch)
            return {item["ref"]: Done(DocumentResult(external_id=item["id"])) for item in reply.json()["items"]}

        return draft

    old, new = a_provider(sync_draft=first_and_more("old")), a_provider(sync_draft=first_and_more("new"))
    shop = a_shop_anywhere(old)
    invoice = shop.submit()
    shop.wire.plan(answers(429, retry_after="60"), to="drafts")
    shop.run()
    shop.restart([new])
    shop.turn(120)
    assert only_doubt(shop).reason.startswith("diverged")
    shop.ns.doubts.resolve(invoice, absent=True)
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"


# Money, customers, credit notes.


def charged(a_shop_anywhere, behaviour, **hooks):
    shop = a_shop_anywhere(a_provider(collect_payment=collects, **hooks))
    invoice = shop.submit()
    shop.wire.plan(behaviour, to="charges")
    shop.run()
    (payment,) = shop.get(invoice).payments
    assert only_doubt(shop).document_id == payment.id
    return shop, invoice, payment.id


def test_a_charge_that_was_found_counts_in_full_where_it_cannot_be_checked(a_shop_anywhere):
    shop, invoice, payment = charged(a_shop_anywhere, lost_after)
    shop.ns.doubts.resolve(payment, found="charges-1")
    shop.run()
    assert shop.status(invoice) == "paid"
    assert shop.get(invoice).payments[0].external_id == "charges-1"
    assert shop.books.references == [payment]


def test_a_charge_that_was_found_is_checked_where_it_can_be(a_shop_anywhere):
    shop, invoice, payment = charged(a_shop_anywhere, lost_after, check_payment=checks)
    shop.ns.doubts.resolve(payment, found="charges-1")
    assert shop.status(invoice) == "payment_processing.pending"
    shop.run()
    assert shop.status(invoice) == "paid"
    assert shop.books.references == [payment]


def test_a_charge_that_is_not_there_is_made_once_more_and_only_once(a_shop_anywhere):
    shop, invoice, payment = charged(a_shop_anywhere, lost_before)
    shop.ns.doubts.resolve(invoice, absent=True)
    shop.run()
    assert shop.status(invoice) == "paid"
    assert shop.books.references == [payment]
    assert len(set(shop.wire.keys("charges"))) == 2


@pytest.mark.parametrize("behaviour, answer", [(lost_after, {"found": "customers-1"}), (lost_before, {"absent": True})])
def test_what_waits_for_a_doubted_customer_goes_on(a_shop_anywhere, behaviour, answer):
    shop = a_shop_anywhere(a_provider(sync_customer=brings, sync_draft=plain_draft))
    invoice = shop.submit()
    shop.wire.plan(behaviour, to="customers")
    shop.run()
    told = shop.get(invoice).waiting_for
    assert f"has the customer {only_doubt(shop).document_id}" in told
    assert "billhook invoices doubts" in told
    customer = shop.ns.customers.get("jane").id
    assert only_doubt(shop).document_id == customer
    shop.ns.doubts.resolve(customer, **answer)
    assert any(cause.startswith("sync_customer.") for cause in shop.causes(invoice))
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"
    assert shop.books.references.count(customer) == 1
    (link,) = shop.rows(schema.customer_link, customer_id=customer)
    assert link["external_id"].startswith("customers-")


@pytest.mark.parametrize("behaviour, answer", [(lost_after, {"found": "credits-1"}), (lost_before, {"absent": True})])
def test_a_doubted_credit_note_is_issued_once(a_shop_anywhere, behaviour, answer):
    shop = a_shop_anywhere(a_provider(credit=credits_it))
    shop.wire.plan(behaviour, to="credits")
    note = shop.ns.credit_notes.submit(shop.draft(type="credit_note")).id
    shop.run()
    assert only_doubt(shop).document_id == note
    shop.ns.doubts.resolve(note, **answer)
    shop.run()
    assert shop.ns.credit_notes.get(note).status == "issued"
    assert shop.books.references == [note]


# Commands, and answers that make no sense.


def test_a_command_that_waited_for_the_answer_is_applied_with_it(in_doubt):
    shop, invoice = in_doubt(lost_before)
    shop.ns.invoices.delete(invoice)
    assert shop.get(invoice).pending_command == "delete"
    shop.ns.doubts.resolve(invoice, absent=True)
    shop.run()
    assert shop.status(invoice) == "deleted"
    assert shop.books.references == []


@pytest.mark.parametrize("answer", [{}, {"found": "x", "absent": True}, {"absent": True, "look_again": True}])
def test_an_answer_says_exactly_one_thing(in_doubt, answer):
    shop, invoice = in_doubt()
    with pytest.raises(InvalidInput, match="Say one thing"):
        shop.ns.doubts.resolve(invoice, **answer)


def test_an_answer_to_nothing_is_refused(in_doubt):
    shop, invoice = in_doubt()
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    with pytest.raises(NotFound):
        shop.ns.doubts.resolve(invoice, found="drafts-1")


def test_it_must_be_clear_which_doubt_is_meant(a_shop_anywhere):
    def records(self, batch):
        reply = yield put("record", batch, path="records")
        return {item["ref"]: _paid(item["id"], batch.only.amount) for item in reply.json()["items"]}

    shop = a_shop_anywhere(a_provider(record_payment=records))
    invoice = shop.submit(workflow={"collection_method": "send_invoice"})
    shop.run()
    shop.wire.plan(lost_after, lost_after)
    for _ in range(2):
        shop.ns.invoices.record_payment(invoice, "2.00")
    shop.run()
    first, second = shop.ns.doubts.list()
    with pytest.raises(Conflict, match="Several outcomes"):
        shop.ns.doubts.resolve(invoice, found="records-1")
    shop.ns.doubts.resolve(first.document_id, found="records-1")
    assert only_doubt(shop).document_id == second.document_id


def test_a_look_up_that_diverged_can_be_asked_again_but_not_found(a_shop_anywhere):
    def reading(path):
        def fetch(self, batch):
            yield Request("one", "GET", f"http://books/{path}?refs={batch.only.id}")
            yield Request("two", "GET", f"http://books/second?refs={batch.only.id}")
            return {batch.only.id: Done(Snapshot(found=True))}

        return fetch

    shop = a_shop_anywhere(a_provider(sync_draft=plain_draft, fetch=reading("old")))
    invoice = shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    shop.wire.plan(answers(429, retry_after="60"), to="second")
    shop.ns.doubts.resolve(invoice, found="drafts-1")
    shop.run()
    shop.restart([a_provider(sync_draft=plain_draft, fetch=reading("new"))])
    shop.turn(120)
    assert only_doubt(shop).operation == "fetch"
    with pytest.raises(NotAllowed, match="only reads"):
        shop.ns.doubts.resolve(invoice, found="drafts-1")
    shop.ns.doubts.resolve(invoice, absent=True)
    shop.run()
    assert shop.status(invoice) == "payment_processing.pending"
