from __future__ import annotations

import json

import pytest
from engine_kit import a_provider, answers, documents, put
from sandbox_shop import open_sandbox_shop

from billhook.contract import Call, Capability, CustomerResult, Done, Rejected, Reply, registered
from billhook.engine.preview import PreviewStep
from billhook.errors import NotFound
from billhook.store import schema

APPROVED_BY_HAND = {"auto_advance": False}


@pytest.fixture
def here(a_shop_anywhere):
    return open_sandbox_shop(a_shop_anywhere)


def fragment(step: PreviewStep, reference: str) -> dict:
    """What a request says of one item."""
    (found,) = [item for item in json.loads(step.body)["items"] if item["reference"] == reference]
    return found


def sent(shop, operation: str, reference: str) -> dict:
    """What was really sent for that item."""
    for request in shop.wire.sent:
        body = json.loads(request.body) if request.body else {}
        items = body.get("items", [body])
        if request.url.endswith(operation) and any(item.get("reference") == reference for item in items):
            return next(item for item in items if item.get("reference") == reference)
    raise AssertionError(f"nothing was sent to {operation} for {reference}")


def steps_by_operation(preview):
    return {step.operation: step for step in preview.steps}


def test_the_draft_is_previewed_as_it_is_then_sent(here):
    shop = here.shop
    shop.submit()
    shop.run()
    invoice = shop.submit(
        lines=[{"name": "Work", "item_code": "W", "quantity": "3", "price": {"type": "unit", "amount": "0.335"}}]
    )
    preview = steps_by_operation(shop.ns.invoices.preview(invoice))
    shop.run()
    assert fragment(preview["sync_draft"], invoice) == sent(shop, "invoices/upsert", invoice)


def test_the_request_of_a_batch_holds_for_each_item_what_was_previewed(here):
    shop = here.shop
    shop.submit()
    shop.run()
    invoices = [shop.submit() for _ in range(3)]
    previews = {invoice: steps_by_operation(shop.ns.invoices.preview(invoice)) for invoice in invoices}
    shop.run()
    for invoice in invoices:
        assert fragment(previews[invoice]["sync_draft"], invoice) == sent(shop, "invoices/upsert", invoice)


def test_an_approval_is_taken_for_granted_and_the_issue_previewed_as_it_is_then_sent(here):
    shop = here.shop
    invoice = shop.submit(workflow=APPROVED_BY_HAND)
    shop.run()
    assert shop.status(invoice) == "draft.manual_approval_needed"
    preview = shop.ns.invoices.preview(invoice)
    assert "From here on once somebody approves it." in preview.notes
    shop.ns.invoices.approve(invoice)
    shop.run()
    assert fragment(steps_by_operation(preview)["issue"], invoice) == sent(shop, "invoices/issue", invoice)


def test_the_next_number_is_shown_and_not_taken(here):
    shop = here.shop
    first, second = (shop.submit(workflow=APPROVED_BY_HAND) for _ in range(2))
    shop.run()
    shown = [
        fragment(steps_by_operation(shop.ns.invoices.preview(id))["issue"], id)["number"] for id in (first, second)
    ]
    assert shown[0] == shown[1]
    assert not shop.rows(schema.taken_number)
    shop.ns.invoices.approve(second)
    shop.run()
    assert shop.get(second).invoice.number == shown[1]


def test_a_preview_writes_nothing_and_sends_nothing(here):
    shop = here.shop
    invoice = shop.submit()
    before = shop.counts()
    shop.ns.invoices.preview(invoice)
    assert shop.counts() == before
    assert not shop.wire.sent


def test_a_new_customer_comes_first_and_is_marked_as_made_up_behind_it(here):
    invoice = here.shop.submit()
    preview = here.shop.ns.invoices.preview(invoice)
    assert [step.operation for step in preview.steps] == ["sync_customer", "sync_draft", "issue", "collect_payment"]
    assert fragment(preview.steps[1], invoice)["customer"].startswith("sample_")
    assert preview.notes[-1] == "What follows depends on the payment."


def test_a_payment_that_does_not_exist_yet_has_a_marked_id(here):
    shop = here.shop
    invoice = shop.submit(workflow=APPROVED_BY_HAND)
    shop.run()
    payment = json.loads(steps_by_operation(shop.ns.invoices.preview(invoice))["collect_payment"].body)
    shop.ns.invoices.approve(invoice)
    shop.run()
    (stored,) = shop.get(invoice).payments
    really = sent(shop, "/v1/payments", stored.id)
    assert payment == {**really, "reference": "{payment}"}


def test_each_line_says_where_it_goes_and_which_rule_chose(a_shop):
    shop = a_shop(a_provider(sync_draft=lambda self, batch: (yield put("put", batch))))
    rules = {"rules": [{"name": "work is revenue", "when": {"item_code": "W"}, "then": {"account": "4000"}}]}
    shop.ns.apps.update(shop.app.id, mapping=rules)
    one = {"name": "Work", "item_code": "W", "quantity": "1", "price": {"type": "unit", "amount": "1"}}
    invoice = shop.submit(lines=[one, {**one, "name": "Other", "item_code": "X"}])
    work, other = shop.ns.invoices.preview(invoice).lines
    assert (work.account, work.rule) == ("4000", "work is revenue")
    assert work.because
    assert (other.account, other.rule) == (None, None)
    assert "where this line goes" in shop.ns.invoices.preview(invoice).notes[-1]


def test_a_step_without_a_sample_ends_the_preview_and_says_so(a_shop):
    def two_steps(self, batch):
        yield put("first", batch)
        reply = yield put("second", batch)
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=two_steps))
    preview = shop.ns.invoices.preview(shop.submit())
    assert [step.step for step in preview.steps] == ["first"]
    assert preview.notes[-1] == "Step first has no sample of its answer, so what follows it can't be shown."


def test_samples_carry_the_preview_through_every_step(a_shop):
    def two_steps(self, batch):
        yield put("first", batch, sample=Reply.of({}, source="sample"))
        item = {"ref": batch.only.id, "id": "sample"}
        reply = yield put("second", batch, sample=Reply.of({"items": [item]}, source="sample"))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=two_steps))
    preview = shop.ns.invoices.preview(shop.submit())
    assert [step.step for step in preview.steps] == ["first", "second"]


def test_a_call_has_no_preview_and_says_so(a_shop):
    def calls(self, batch):
        reply = yield Call("sdk", self.function("post"))
        return documents(batch, reply)

    @registered
    def post(self, credentials):
        raise AssertionError("a preview calls nothing")

    shop = a_shop(a_provider(sync_draft=calls, members={"post": post}))
    preview = shop.ns.invoices.preview(shop.submit())
    assert preview.steps == ()
    assert preview.notes[-1] == "Step sdk calls post, and a call has no preview."


def test_a_plugin_that_fails_stops_the_preview_alone(a_shop):
    def fails(self, batch):
        raise ZeroDivisionError("by nothing")
        yield

    shop = a_shop(a_provider(sync_draft=fails))
    assert "ZeroDivisionError: by nothing" in shop.ns.invoices.preview(shop.submit()).notes[-1]


def test_a_finished_invoice_sends_nothing_more(here):
    invoice = here.shop.submit()
    here.shop.run()
    preview = here.shop.ns.invoices.preview(invoice)
    assert preview.steps == ()
    assert preview.notes == ("Nothing more would be sent: the invoice would rest in paid.",)


def test_what_waits_to_be_noted_is_previewed_too(here):
    shop = here.shop
    invoice = shop.submit(workflow={"collection_method": "send_invoice"})
    shop.run()
    shop.ns.invoices.record_payment(invoice, "4.00", method="bank")
    (step,) = shop.ns.invoices.preview(invoice).steps
    assert step.operation == Capability.RECORD_PAYMENT
    assert json.loads(step.body)["amount"] == "4.00"


def test_what_is_being_sent_is_not_previewed_again(a_shop):
    shop = a_shop()
    invoice = shop.submit()
    shop.wire.plan(answers(429, retry_after="60"))
    shop.run()
    preview = shop.ns.invoices.preview(invoice)
    assert preview.steps == ()
    assert preview.notes == ("sync_draft is under way at Books; the timeline shows what was sent.",)


def test_a_document_that_stands_there_is_deleted_by_a_request(here):
    shop = here.shop
    invoice = shop.submit(workflow=APPROVED_BY_HAND)
    shop.run()
    shop.ns.invoices.delete(invoice)
    (step,) = shop.ns.invoices.preview(invoice).steps
    assert (step.operation, step.method) == ("delete", "DELETE")


def test_a_customer_who_was_refused_comes_before_what_waits_for_it(a_shop):
    def brings(self, batch):
        sample = Reply.of({"items": [{"ref": batch.only.id, "id": "sample"}]}, source="sample")
        reply = yield put("customer", batch, path="customers", sample=sample)
        (made,) = reply.json()["items"]
        refused = Rejected.because("refused", "No.")
        return {batch.only.id: refused if "error" in made else Done(CustomerResult(made["id"]))}

    def records(self, batch):
        reply = yield put("record", batch, path="records")
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_customer=brings, record_payment=records))
    invoice = shop.submit()
    shop.run()
    customer = shop.ns.customers.get("jane").id
    shop.books.refuses.add(customer)
    shop.ns.customers.update("jane", name="Jane Roe")
    shop.run()
    shop.ns.invoices.record_payment(invoice, "4.00")
    assert [step.operation for step in shop.ns.invoices.preview(invoice).steps] == ["sync_customer", "record_payment"]


def test_no_preview_crosses_a_namespace(here):
    invoice = here.shop.submit()
    with pytest.raises(NotFound):
        here.shop.engine.namespace("other").invoices.preview(invoice)
