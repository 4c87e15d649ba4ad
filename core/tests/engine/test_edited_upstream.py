"""A mirrored invoice that could not be issued: its upstream may wait in its draft sync still, and change it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, documents, plain_draft, put, repeat

from billhook.contract import Rejected
from billhook.errors import NotAllowed

OpenShop = Callable[..., Shop]


def issue_what_says_why(self: Any, batch: Any) -> Any:
    """An app that issues nothing without a description."""
    refused = Rejected.because("no_description", "It says nothing.")
    reply = yield put("issue", batch, "issued", recover=(repeat(),))
    made = documents(batch, reply)
    return {item.id: made[item.id] if item.invoice.content.description else refused for item in batch.items}


def a_refused_invoice(shop: Shop, *, mirrored: bool = True) -> str:
    draft = shop.draft(workflow={"auto_advance": False})
    id = shop.ns.invoices.submit(draft, mirrored=mirrored).id
    shop.run()
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("issuing.failed", ["no_description"])
    return id


@pytest.mark.parametrize("hooks", [{"sync_draft": careful_draft}, {}], ids=["with drafts", "without drafts"])
def test_what_upstream_changed_is_drafted_anew_and_issued(a_shop_anywhere: OpenShop, hooks: dict[str, Any]):
    shop = a_shop_anywhere(a_provider(issue=issue_what_says_why, **hooks))
    id = a_refused_invoice(shop)
    shop.ns.invoices.update(id, {"description": "as agreed"})
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("draft.manual_approval_needed", [])
    shop.ns.invoices.approve(id)
    shop.run()
    invoice = shop.get(id).invoice
    assert (shop.status(id), invoice.revision, invoice.content.description) == (
        "payment_processing.pending",
        2,
        "as agreed",
    )


def test_an_invoice_of_our_own_that_could_not_be_issued_takes_no_edit(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=issue_what_says_why))
    id = a_refused_invoice(shop, mirrored=False)
    with pytest.raises(NotAllowed):
        shop.ns.invoices.update(id, {"description": "as agreed"})
    assert shop.get(id).invoice.revision == 1


def test_a_document_that_is_issued_takes_no_edit_though_it_could_not_be_sent(a_shop: OpenShop):
    def send(self: Any, batch: Any) -> Any:
        yield put("send", batch, "sent", recover=(repeat(),))
        return {batch.only.id: Rejected.because("email_invalid", "That is no address.")}

    shop = a_shop(
        a_provider(sync_draft=careful_draft, issue=plain_draft, send=send),
        workflow={"collection_method": "send_invoice"},
    )
    shop.ns.customers.update("jane", email="jane@example.com")
    id = shop.ns.invoices.submit(shop.draft(workflow={"auto_advance": False}), mirrored=True).id
    shop.run()
    shop.ns.invoices.approve(id)
    shop.run()
    assert shop.status(id) == "issuing.failed"
    with pytest.raises(NotAllowed):
        shop.ns.invoices.update(id, {"description": "as agreed"})
