from __future__ import annotations

import pytest
from sandbox_shop import open_sandbox_shop


@pytest.fixture
def here(a_shop_anywhere):
    return open_sandbox_shop(a_shop_anywhere)


def kept(shop):
    documents = shop.engine.context.documents
    return {key[0] for key in (*documents._contents._values, *documents._mappings._values)}


def test_an_invoice_is_kept_in_memory_while_it_is_worked_on_and_no_longer_when_it_is_paid(here):
    shop, seen = here.shop, set()
    reach_the_sandbox = shop.wire.otherwise

    def look_and_reach(wire, request):
        seen.update(kept(shop))
        return reach_the_sandbox(wire, request)

    shop.wire.otherwise = look_and_reach
    invoice_id = shop.submit()
    shop.run()
    assert seen == {invoice_id}
    assert kept(shop) == set()
    assert shop.status(invoice_id) == "paid"
