"""What a host remembers beside an invoice."""

from __future__ import annotations

import pytest
from engine_kit import a_provider

from billhook.errors import InvalidInput, NotFound


@pytest.fixture
def shop(a_shop_anywhere):
    return a_shop_anywhere(a_provider())


def test_a_host_finds_its_own_facts_again(shop):
    invoice = shop.submit()
    shop.ns.invoices.annotate(invoice, {"order": "4711", "told": "yes"})
    shop.ns.invoices.annotate(invoice, {"told": "no"})
    assert shop.get(invoice).annotations == {"order": "4711", "told": "no"}


def test_an_empty_value_forgets_that_fact(shop):
    invoice = shop.submit()
    shop.ns.invoices.annotate(invoice, {"order": "4711", "told": "yes"})
    assert shop.ns.invoices.annotate(invoice, {"order": ""}).annotations == {"told": "yes"}


def test_remembering_changes_nothing_else(shop):
    invoice = shop.submit()
    before, so_far = shop.get(invoice), shop.ns.invoices.timeline(invoice)
    after = shop.ns.invoices.annotate(invoice, {"order": "4711"})
    assert (after.invoice, after.available_actions) == (before.invoice, before.available_actions)
    assert shop.ns.invoices.timeline(invoice) == so_far


def test_what_is_no_short_text_is_refused_and_nothing_is_kept(shop):
    invoice = shop.submit()
    with pytest.raises(InvalidInput, match="annotations"):
        shop.ns.invoices.annotate(invoice, {"order": "x" * 2000, "told": "yes"})
    assert shop.get(invoice).annotations == {}


def test_another_namespace_has_no_such_invoice(shop):
    invoice = shop.submit()
    with pytest.raises(NotFound):
        shop.engine.namespace("other").invoices.annotate(invoice, {"order": "4711"})


def test_erasing_the_customer_forgets_what_was_remembered(shop):
    invoice = shop.submit()
    shop.run()
    shop.ns.invoices.annotate(invoice, {"buyer": "Jane Doe"})
    shop.ns.invoices.payment_status(invoice, "paid")
    shop.run()
    shop.ns.erase_customer(shop.get(invoice).invoice.customer_id)
    assert shop.get(invoice).annotations == {}
