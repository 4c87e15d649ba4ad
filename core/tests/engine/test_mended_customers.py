"""What was wrong with a customer is mended at the customer: what is not issued yet takes it over when it is tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, documents, plain_draft, put, repeat

from billhook.contract import Done, InvoiceView, Rejected, SendResult, ValidationIssue, hookimpl
from billhook.domain.numbering import Series
from billhook.errors import NotAllowed

OpenShop = Callable[..., Shop]


class NeedsAddress:
    """A host that sends nothing to a customer without an e-mail address."""

    is_asked = True

    @hookimpl
    def validate_invoice(self, invoice: InvoiceView) -> Sequence[ValidationIssue] | None:
        if invoice.customer.email or not self.is_asked:
            return None
        return [ValidationIssue(severity="critical", code="no_email", message="There is no address.")]


@pytest.fixture
def shop(a_shop: OpenShop) -> Shop:
    return a_shop(a_provider(sync_draft=careful_draft), overrides={"books": [NeedsAddress()]})


def an_invalid_invoice(shop: Shop) -> str:
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("draft.invalid", ["no_email"])
    return id


def mend(shop: Shop, **changes: Any) -> None:
    shop.ns.customers.update("jane", **{"email": "jane@example.com", **changes})


def test_a_draft_that_is_tried_again_takes_over_its_customer_as_it_stands_now(shop: Shop):
    id = an_invalid_invoice(shop)
    mend(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert shop.get(id).invoice.customer.email == "jane@example.com"
    assert "retry.customer" in shop.causes(id)


def test_nothing_is_taken_over_where_nothing_was_changed(shop: Shop):
    id = an_invalid_invoice(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.revision) == ("draft.invalid", 1)


def test_a_customer_that_was_stated_for_the_invoice_alone_stays(shop: Shop):
    id = an_invalid_invoice(shop)
    own = shop.get(id).invoice.customer.model_copy(update={"name": "Jane, branch office"})
    shop.ns.invoices.update(id, {"customer": own})
    shop.run()
    mend(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.customer.name) == ("draft.invalid", "Jane, branch office")


def test_an_edit_that_repeats_the_customer_does_not_make_it_the_invoices_own(shop: Shop):
    id = an_invalid_invoice(shop)
    mend(shop)
    shop.ns.invoices.update(id, {"customer": shop.get(id).invoice.customer, "description": "as agreed"})
    shop.run()
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


def test_a_document_that_stands_at_the_provider_already_is_changed_and_not_made_again(a_shop: OpenShop):
    needs, known = NeedsAddress(), []
    needs.is_asked = False

    def noting_draft(self: Any, batch: Any) -> Any:
        known.append(batch.only.external_id)
        return (yield from careful_draft(self, batch))

    shop = a_shop(a_provider(sync_draft=noting_draft), overrides={"books": [needs]})
    id = shop.submit(workflow={"auto_advance": False})
    shop.run()
    needs.is_asked = True
    shop.ns.invoices.update(id, {"description": "as agreed"})
    shop.run()
    assert shop.status(id) == "draft.invalid"
    mend(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "draft.manual_approval_needed"
    first, second = known
    assert (first, second is None) == (None, False)


def test_a_retry_where_nothing_failed_is_refused_though_the_customer_was_changed(shop: Shop):
    mend(shop)
    id = shop.submit(workflow={"auto_advance": False})
    shop.run()
    mend(shop, name="Jane Roe")
    with pytest.raises(NotAllowed):
        shop.ns.invoices.retry(id)
    assert shop.get(id).invoice.customer.name != "Jane Roe"


# Where the draft stands, and issuing it failed.


def issue_for_addresses(self: Any, batch: Any) -> Any:
    """An app that issues nothing to a customer without an e-mail address."""
    refused = Rejected.because("no_email", "There is no address.")
    reply = yield put("issue", batch, "issued", recover=(repeat(),))
    made = documents(batch, reply)
    return {item.id: made[item.id] if item.invoice.customer.email else refused for item in batch.items}


@pytest.fixture
def issuing(a_shop: OpenShop) -> tuple[Shop, list[Any]]:
    seen: list[Any] = []

    def noting_draft(self: Any, batch: Any) -> Any:
        seen.append(batch.only)
        return (yield from careful_draft(self, batch))

    return a_shop(a_provider(sync_draft=noting_draft, issue=issue_for_addresses)), seen


def refused_issue(shop: Shop, **changes: Any) -> str:
    id = shop.submit(**changes)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("issuing.failed", ["no_email"])
    return id


def test_an_invoice_that_could_not_be_issued_takes_over_its_customer(issuing: tuple[Shop, list[Any]]):
    shop, drafts = issuing
    id = refused_issue(shop)
    mend(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert [item.invoice.customer.email for item in drafts] == [None, "jane@example.com"]
    assert [item.external_id is None for item in drafts] == [True, False]


def test_nothing_is_drafted_again_where_the_customer_is_the_same(issuing: tuple[Shop, list[Any]]):
    shop, drafts = issuing
    id = refused_issue(shop)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.revision, len(drafts)) == ("issuing.failed", 1, 1)


def approved_mended_and_retried(shop: Shop, id: str) -> None:
    shop.ns.invoices.approve(id)
    shop.run()
    mend(shop)
    shop.ns.invoices.retry(id)
    shop.run()


def test_what_a_person_approved_is_approved_again_once_it_is_another(issuing: tuple[Shop, list[Any]]):
    shop, _ = issuing
    id = shop.submit(workflow={"auto_advance": False})
    shop.run()
    approved_mended_and_retried(shop, id)
    assert shop.status(id) == "draft.manual_approval_needed"
    shop.ns.invoices.approve(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


def test_a_customer_that_was_stated_for_the_invoice_alone_stays_in_issuing_too(issuing: tuple[Shop, list[Any]]):
    shop, drafts = issuing
    id = shop.submit(workflow={"auto_advance": False})
    shop.run()
    own = shop.get(id).invoice.customer.model_copy(update={"name": "Jane, branch office"})
    shop.ns.invoices.update(id, {"customer": own})
    shop.run()
    approved_mended_and_retried(shop, id)
    assert (shop.status(id), drafts[-1].invoice.customer.name) == ("issuing.failed", "Jane, branch office")


def test_a_number_is_made_of_the_mended_customer(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=plain_draft))
    shop.ns.numbers.define(Series(name="invoice", template="INV-{customer_key}-{sequence}"))
    jim = shop.ns.customers.create("Jim")
    id = shop.ns.invoices.submit({**shop.draft(), "customer_key": None, "customer_id": jim.id}).id
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("issuing.failed", ["number_field_missing"])
    shop.ns.customers.update(jim.id, key="jim")
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.get(id).invoice.number == "INV-jim-1"


# Where the document is issued, and sending it failed.


def send_to_good_addresses(self: Any, batch: Any) -> Any:
    if batch.only.invoice.customer.email == "bad@example.com":
        return {batch.only.id: Rejected.because("email_invalid", "That is no address.")}
    yield put("send", batch, "sent", recover=(repeat(),))
    return {batch.only.id: Done(SendResult(batch.now))}


def test_an_issued_document_is_sent_to_the_mended_address_and_stays_as_it_is(a_shop: OpenShop):
    shop = a_shop(
        a_provider(sync_draft=careful_draft, issue=plain_draft, send=send_to_good_addresses),
        workflow={"collection_method": "send_invoice"},
    )
    mend(shop, email="bad@example.com")
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("issuing.failed", ["email_invalid"])
    made, number = list(shop.books.documents), shop.get(id).invoice.number
    mend(shop, name="Jane Roe")
    shop.ns.invoices.retry(id)
    shop.run()
    customer = shop.get(id).invoice.customer
    assert (shop.status(id), shop.get(id).invoice.number) == ("payment_processing.pending", number)
    assert (customer.email, customer.name) == ("jane@example.com", "Jane Doe")
    assert shop.issue_codes(id) == []
    assert [made for made in shop.books.documents if not made[1].startswith("sent")] == made
