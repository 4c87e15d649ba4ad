"""What was wrong with a customer is mended at the customer: drafts that failed take it over when they are tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft

from billhook.contract import InvoiceView, ValidationIssue, hookimpl
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
