from __future__ import annotations

import pytest
from sandbox_shop import open_sandbox_shop

from billhook.engine.documents import Kept


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


def test_what_was_used_least_lately_makes_room_and_what_is_forgotten_leaves_nothing():
    held: Kept[tuple[str, int], str] = Kept(5, len)
    for number, text in enumerate(("aa", "bb", "c")):
        held.keep({(f"doc-{number}", 1): text})
    held.keep({("doc-1", 2): "dd"})
    assert held.find([("doc-0", 1), ("doc-1", 1), ("doc-1", 2), ("doc-2", 1)]).keys() == {
        ("doc-1", 1),
        ("doc-1", 2),
        ("doc-2", 1),
    }
    held.forget(["doc-1", "never seen"])
    assert held.find([("doc-1", 1), ("doc-1", 2), ("doc-2", 1)]) == {("doc-2", 1): "c"}
    held.keep({("doc-3", 1): "eeee"})
    assert len(held.find([("doc-2", 1), ("doc-3", 1)])) == 2
