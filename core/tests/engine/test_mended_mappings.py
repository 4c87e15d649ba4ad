"""Where lines go is mended at the app: what the app refused is mapped and validated anew when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, documents, lost_before, put, repeat

from billhook.contract import Rejected

OpenShop = Callable[..., Shop]
TO_ARCHIVED = {"rules": [{"name": "all", "then": {"account": "299"}}]}
TO_SALES = {"rules": [{"name": "all", "then": {"account": "200"}}]}
TO_NOTHING = {"rules": [{"name": "other", "when": {"item_code": "other"}, "then": {"account": "200"}}]}


def unless_archived(batch: Any, made: Any) -> Any:
    refused = Rejected.because("account_inactive", "Account 299 is archived.")
    return {item.id: refused if accounts(item.lines) == ["299"] else made[item.id] for item in batch.items}


def accounts(lines: Any) -> list[str]:
    return [line.account for line in lines]


def draft_where_active(self: Any, batch: Any) -> Any:
    reply = yield from careful_draft(self, batch)
    return unless_archived(batch, reply)


def issue_where_active(self: Any, batch: Any) -> Any:
    reply = yield put("issue", batch, "issued", recover=(repeat(),))
    return unless_archived(batch, documents(batch, reply))


def failed(shop: Shop, state: str) -> str:
    shop.ns.apps.update(shop.app.id, mapping=TO_ARCHIVED)
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == (state, ["account_inactive"])
    return id


def retried(shop: Shop, id: str, mapping: Any) -> None:
    """Tried again once the app maps otherwise."""
    shop.ns.apps.update(shop.app.id, mapping=mapping)
    shop.ns.invoices.retry(id)
    shop.run()


def test_a_draft_that_was_refused_is_mapped_anew(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_where_active))
    id = failed(shop, "draft.sync_failed")
    retried(shop, id, TO_SALES)
    assert (shop.status(id), shop.get(id).invoice.revision) == ("payment_processing.pending", 2)
    assert "retry.mapping" in shop.causes(id)


def test_a_draft_that_was_refused_is_validated_anew(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_where_active))
    id = failed(shop, "draft.sync_failed")
    retried(shop, id, TO_NOTHING)
    assert (shop.status(id), shop.issue_codes(id)[-1]) == ("draft.invalid", "line_not_mapped")


def test_the_same_mapping_is_no_other_revision(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_where_active))
    id = failed(shop, "draft.sync_failed")
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.revision) == ("draft.sync_failed", 1)


def test_an_invoice_without_drafts_that_could_not_be_issued_is_mapped_anew(a_shop: OpenShop):
    shop = a_shop(a_provider(issue=issue_where_active))
    id = failed(shop, "issuing.failed")
    retried(shop, id, TO_SALES)
    assert shop.status(id) == "payment_processing.pending"


def test_a_draft_that_stands_there_is_rewritten_before_it_is_issued(a_shop: OpenShop):
    drafts: list[Any] = []

    def noting_draft(self: Any, batch: Any) -> Any:
        drafts.append(batch.only)
        return (yield from careful_draft(self, batch))

    shop = a_shop(a_provider(sync_draft=noting_draft, issue=issue_where_active))
    id = failed(shop, "issuing.failed")
    retried(shop, id, TO_SALES)
    assert shop.status(id) == "payment_processing.pending"
    assert [accounts(item.lines) for item in drafts] == [["299"], ["200"]]
    assert [item.external_id is None for item in drafts] == [True, False]


def test_a_line_that_goes_nowhere_by_now_is_found_before_the_invoice_is_issued(a_shop: OpenShop):
    shop = a_shop(a_provider(issue=issue_where_active))
    id = failed(shop, "issuing.failed")
    retried(shop, id, TO_NOTHING)
    assert (shop.status(id), shop.issue_codes(id)[-1]) == ("draft.invalid", "line_not_mapped")


def test_an_operation_in_doubt_keeps_what_it_froze(a_shop: OpenShop):
    sent: list[list[str]] = []

    def noting_issue(self: Any, batch: Any) -> Any:
        sent.append(accounts(batch.only.lines))
        return documents(batch, (yield put("issue", batch, "issued")))

    shop = a_shop(a_provider(issue=noting_issue))
    shop.ns.apps.update(shop.app.id, mapping=TO_ARCHIVED)
    id = shop.submit()
    shop.wire.plan(lost_before)
    shop.run_for(120)
    assert shop.get(id).in_doubt is not None
    shop.ns.apps.update(shop.app.id, mapping=TO_SALES)
    shop.restart()
    shop.run()
    shop.ns.invoices.retry(id)
    shop.ns.doubts.resolve(id, absent=True)
    shop.run()
    assert {account for lines in sent for account in lines} == {"299"}


def test_a_tax_app_that_refused_is_asked_with_the_mended_mapping(a_shop: OpenShop):
    asked: list[list[str]] = []

    def tax(self: Any, batch: Any) -> Any:
        asked.append(accounts(batch.only.lines))
        yield put("tax", batch, "tax", recover=(repeat(),))
        return {batch.only.id: Rejected.because("account_inactive", "Account 299 is archived.")}

    shop = a_shop(a_provider(calculate_tax=tax))
    id = failed(shop, "draft.invalid")
    retried(shop, id, TO_SALES)
    assert asked[0] == ["299"]
    assert asked[-1] == ["200"]
