"""A document that its app had taken and not finished, and that somebody made void there meanwhile: it is not done, and a person is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import Shop, a_provider, put, repeat

from billhook.contract import Batch, DocumentResult, Done, Pending, Snapshot
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
VOID = Snapshot(True, "doc-1", "INV-1", voided=True)


@pytest.mark.parametrize("hook, failed", [("sync_draft", "draft.sync_failed"), ("issue", "issuing.failed")])
def test_what_is_void_before_it_was_done_fails_and_is_made_anew_by_a_retry(
    a_shop_anywhere: OpenShop, hook: str, failed: str
):
    given: list[str | None] = []

    def slowly(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch, recover=(repeat(),))
        given.append(batch.only.external_id)
        pending = Pending("being approved", external_id="doc-1", check_after=timedelta(minutes=1))
        return {batch.only.id: pending if len(given) == 1 else Done(DocumentResult("doc-2", "INV-2"))}

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: Done(VOID)}

    shop = a_shop_anywhere(a_provider(**{hook: slowly}, fetch=fetch))
    id = shop.submit()
    shop.run_for(60)
    (told,) = shop.get(id).issues
    assert (shop.status(id), told.code, told.severity.value) == (failed, "voided_in_books", "critical")
    assert "Books shows doc-1 as void" in told.message
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("payment_processing.pending", [])
    assert given == [None, None]
    assert problems_of(shop.engine) == []
