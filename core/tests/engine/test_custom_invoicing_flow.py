"""Custom invoicing through the engine: somebody outside confirms drafts and issued invoices, or nobody has to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, careful_draft

from billhook.contract import DocumentResult, ProviderTotals
from billhook.domain.lifecycle import Action, State
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.store import schema

OpenShop = Callable[..., Shop]


def a_custom_shop(open_one: OpenShop, *, draft: bool = False, issuing: bool = False, **options: Any) -> Shop:
    shop = open_one(custom_invoicing, **options)
    hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
    shop.ns.apps.update(shop.app.id, settings=hooks)
    return shop


# Exact states and numbers.


def test_without_hooks_an_invoice_is_issued_at_once_and_waits_for_its_payment(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere)
    view = shop.ns.invoices.submit(shop.draft())
    assert (view.status, view.number) == ("payment_processing.pending", "INV-JADO-1")
    assert (view.issued_at, view.due_at) == (NOON, NOON + timedelta(days=30))
    details = shop.get(view.id)
    assert (details.immutable, details.failed, dict(details.available_actions)) == (True, False, {})
    assert shop.run() <= 3
    second = shop.ns.invoices.submit(shop.draft())
    assert second.number == "INV-JADO-2"


def test_an_invoice_that_nobody_collects_from_here_says_what_it_waits_for(a_shop: OpenShop):
    shop = a_custom_shop(a_shop)
    charged = shop.submit()
    assert "Custom Invoicing collects nothing by itself" in (shop.get(charged).waiting_for or "")
    shop.a_profile(shop.app, workflow={"collection_method": "send_invoice"})
    assert shop.get(shop.submit()).waiting_for is None
    shop.restart([a_provider(sync_draft=careful_draft)])
    assert shop.get(charged).waiting_for is None, "a provider that is gone can't be asked what it does"


def test_with_the_draft_hook_an_invoice_waits_in_draft_syncing(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, draft=True)
    view = shop.ns.invoices.submit(shop.draft())
    assert (view.status, view.number) == ("draft.syncing", "DRAFT-JADO-1")
    shop.run_for(86_400)
    assert shop.status(view.id) == "draft.syncing"
    result = DocumentResult(external_id="ext-1", number="ACME-7", line_ids={view.lines[0].id: "ext-line-1"})
    details = shop.ns.invoices.draft_synchronized(view.id, result)
    assert (details.status, details.invoice.number) == ("payment_processing.pending", "ACME-7")
    assert details.invoice.external_ids == {"invoicing": "ext-1"}
    assert details.invoice.line_external_ids == {view.lines[0].id: "ext-line-1"}


def test_money_that_comes_and_goes_meanwhile_hides_nothing_of_what_is_waited_for(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, draft=True)
    id = shop.submit()
    waiting = shop.get(id)
    assert waiting.waiting_for == "waiting for a caller to confirm the draft"
    payment = shop.ns.invoices.record_payment(id, "4").payments[0]
    after = shop.ns.invoices.take_back_payment(id, payment.id, reason="Another customer's.")
    assert (after.waiting_for, after.waiting_since) == (waiting.waiting_for, waiting.waiting_since)
    shop.ns.invoices.draft_synchronized(id)
    assert "confirm the draft" not in (shop.get(id).waiting_for or "")


def test_a_draft_confirmed_without_a_number_gets_one_when_it_is_issued(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    details = shop.ns.invoices.draft_synchronized(id)
    assert (details.status, details.invoice.number) == ("payment_processing.pending", "INV-JADO-1")


def test_with_the_issuing_hook_an_invoice_waits_in_issuing_syncing(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, issuing=True)
    view = shop.ns.invoices.submit(shop.draft())
    assert (view.status, view.number) == ("issuing.syncing", "DRAFT-JADO-1")
    assert view.issued_at == NOON
    shop.clock.advance(timedelta(hours=1))
    sent_at = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    details = shop.ns.invoices.issuing_synchronized(view.id, DocumentResult(number="ACME-8", sent_at=sent_at))
    assert (details.status, details.invoice.number) == ("payment_processing.pending", "ACME-8")
    assert details.invoice.sent_to_customer_at == sent_at
    assert details.invoice.issued_at == NOON


def test_with_both_hooks_an_invoice_waits_twice(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, draft=True, issuing=True)
    id = shop.submit()
    details = shop.ns.invoices.draft_synchronized(id, DocumentResult(number="ACME-1"))
    assert (details.status, details.invoice.number) == ("issuing.syncing", "ACME-1")
    details = shop.ns.invoices.issuing_synchronized(id)
    assert (details.status, details.invoice.number) == ("payment_processing.pending", "ACME-1")
    assert shop.causes(id) == [
        "created",
        "validated",
        "sync_draft.pending",
        "sync_draft.done",
        "issue.pending",
        "issue.done",
    ]


def test_a_draft_period_and_a_pause_follow_each_other(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True, issuing=True, workflow={"draft_period": "P1D"})
    id = shop.submit()
    details = shop.ns.invoices.draft_synchronized(id)
    assert details.status == "draft.waiting_auto_approval"
    assert details.available_actions[Action.APPROVE] == State.ISSUING_SYNCING
    shop.run_for(86_399)
    assert shop.status(id) == "draft.waiting_auto_approval"
    shop.turn(1)
    assert shop.status(id) == "issuing.syncing"


def test_what_can_be_done_and_where_it_would_lead(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, issuing=True, workflow={"auto_advance": False})
    id = shop.submit()
    details = shop.get(id)
    assert details.status == "draft.manual_approval_needed"
    assert dict(details.available_actions) == {
        Action.APPROVE: State.ISSUING_SYNCING,
        Action.DELETE: State.DELETED,
    }
    assert (details.immutable, details.failed) == (False, False)


def test_ids_of_discounts_and_of_parts_of_a_line_are_kept_as_well(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    tiers = {"type": "tiered", "mode": "graduated", "tiers": [
        {"up_to_amount": "5", "unit_price": "2"},
        {"unit_price": "1"},
    ]}  # fmt: skip
    lines = [
        {"name": "Half price", "quantity": "1", "price": {"type": "unit", "amount": "10"}, "discounts": [{"type": "percentage", "percentage": "50"}]},
        {"name": "Tiered", "quantity": "9", "price": tiers},
    ]  # fmt: skip
    view = shop.ns.invoices.submit(shop.draft(lines=lines))
    detail, discount = view.lines[1].detailed_lines[0].id, view.lines[0].discounts[0].id
    result = DocumentResult(line_ids={detail: "d-1"}, discount_ids={discount: "x-1"})
    invoice = shop.ns.invoices.draft_synchronized(view.id, result).invoice
    assert invoice.line_external_ids == {detail: "d-1"}
    assert invoice.discount_external_ids == {discount: "x-1"}


# Edits during a pause.


def test_an_edit_during_the_pause_is_taken_and_pauses_again(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, draft=True)
    view = shop.ns.invoices.submit(shop.draft(metadata={"a": "1"}))
    line = {"name": "More work", "quantity": "2", "price": {"type": "unit", "amount": "10.00"}}
    metadata = {"openmeter.io/custominvoicing/draft-synced-at": "2026-05-01T12:00:00Z"}
    details = shop.ns.invoices.update(view.id, {"lines": [line], "metadata": metadata})
    assert (details.status, details.invoice.revision, details.invoice.total) == ("draft.syncing", 2, Decimal("20.00"))
    assert shop.ns.invoices.draft_synchronized(view.id).status == "payment_processing.pending"


def test_a_confirmation_passes_its_own_revision_alone(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True, workflow={"auto_advance": False})
    id = shop.submit()
    shop.ns.invoices.draft_synchronized(id, DocumentResult(external_id="ext-1"))
    assert shop.status(id) == "draft.manual_approval_needed"
    shop.ns.invoices.update(id, {"description": "once more"})
    assert shop.status(id) == "draft.syncing"
    shop.run_for(3600)
    assert shop.status(id) == "draft.syncing"
    shop.ns.invoices.draft_synchronized(id, DocumentResult(external_id="ext-1"))
    assert shop.status(id) == "draft.manual_approval_needed"


def test_an_invoice_that_is_being_issued_is_not_edited(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, issuing=True)
    id = shop.submit()
    with pytest.raises(NotAllowed) as refusal:
        shop.ns.invoices.update(id, {"description": "too late"})
    assert refusal.value.code == "invoice_action_not_available"
    assert shop.get(id).invoice.revision == 1


def test_a_hook_that_is_switched_off_frees_a_waiting_invoice_when_it_is_asked_to_advance(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    with pytest.raises(NotAllowed) as refusal:
        shop.ns.invoices.advance(id)
    assert refusal.value.code == "invoice_cannot_advance"
    shop.ns.apps.update(shop.app.id, settings={"enable_draft_sync_hook": False})
    assert shop.ns.invoices.advance(id).status == "payment_processing.pending"


# Callbacks that come twice, too late, or are wrong.


def unchanged(shop: Shop, id: str, act: Callable[[], Any], kind: type[Exception], code: str) -> None:
    before, version = shop.counts(), shop.get(id).invoice.version
    with pytest.raises(kind) as refusal:
        act()
    assert getattr(refusal.value, "code", None) == code
    assert (shop.counts(), shop.get(id).invoice.version) == (before, version)


@pytest.mark.parametrize("stage", ["draft", "issuing"])
def test_the_same_callback_twice_is_accepted_and_another_one_refused(a_shop_anywhere: OpenShop, stage: str):
    shop = a_custom_shop(a_shop_anywhere, draft=stage == "draft", issuing=stage == "issuing")
    id = shop.submit()
    confirm = shop.ns.invoices.draft_synchronized if stage == "draft" else shop.ns.invoices.issuing_synchronized
    first = confirm(id, DocumentResult(number="ACME-1"))
    again = confirm(id, DocumentResult(number="ACME-1"))
    assert again.invoice.version == first.invoice.version
    unchanged(shop, id, lambda: confirm(id, DocumentResult(number="ACME-2")), Conflict, "confirmation_differs")
    assert shop.get(id).invoice.number == "ACME-1"


def test_a_repeated_callback_is_accepted_long_after(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True, issuing=True)
    id = shop.submit()
    shop.ns.invoices.draft_synchronized(id, DocumentResult(number="ACME-1"))
    shop.ns.invoices.issuing_synchronized(id)
    shop.ns.invoices.payment_status(id, "paid")
    assert shop.ns.invoices.draft_synchronized(id, DocumentResult(number="ACME-1")).status == "paid"
    assert shop.ns.invoices.issuing_synchronized(id).status == "paid"


def test_a_callback_in_the_wrong_state_changes_nothing(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    issue = lambda: shop.ns.invoices.issuing_synchronized(id)  # noqa: E731
    unchanged(shop, id, issue, NotAllowed, "confirmation_not_awaited")
    shop.ns.invoices.delete(id)
    draft = lambda: shop.ns.invoices.draft_synchronized(id)  # noqa: E731
    unchanged(shop, id, draft, NotAllowed, "confirmation_not_awaited")
    assert shop.status(id) == "deleted"


def test_a_callback_from_another_namespace_finds_nothing(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere, draft=True)
    id = shop.submit()
    stranger = shop.engine.namespace("other")
    unchanged(shop, id, lambda: stranger.invoices.draft_synchronized(id), NotFound, "not_found")
    unchanged(shop, id, lambda: stranger.invoices.payment_status(id, "paid"), NotFound, "not_found")
    with pytest.raises(NotFound):
        stranger.invoices.get(id)


def test_ids_of_lines_that_the_invoice_does_not_have_are_refused_as_a_whole(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    view = shop.ns.invoices.submit(shop.draft())
    wrong = DocumentResult(number="ACME-1", line_ids={view.lines[0].id: "l-1", "01ARZ3NDEKTSV4RRFFQ69G5FAV": "l-2"})
    unchanged(shop, view.id, lambda: shop.ns.invoices.draft_synchronized(view.id, wrong), InvalidInput, "line_unknown")
    assert shop.status(view.id) == "draft.syncing"
    assert shop.get(view.id).invoice.number == "DRAFT-JADO-1"


def test_a_callback_for_an_invoice_that_its_app_confirms_itself_is_refused(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    id = shop.submit()
    unchanged(shop, id, lambda: shop.ns.invoices.draft_synchronized(id), NotAllowed, "confirmation_not_awaited")


def test_totals_that_differ_stop_the_invoice_until_they_are_confirmed_rightly(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    details = shop.ns.invoices.draft_synchronized(id, DocumentResult(totals=ProviderTotals(total=Decimal("10.01"))))
    assert details.status == "draft.sync_failed"
    assert [issue.code for issue in details.issues] == ["totals_differ"]
    assert "10" in details.issues[0].message
    shop.ns.invoices.retry(id)
    assert shop.status(id) == "draft.syncing"
    right = DocumentResult(totals=ProviderTotals(total=Decimal("10.00")))
    assert shop.ns.invoices.draft_synchronized(id, right).status == "payment_processing.pending"
    assert shop.rows(schema.confirmation, invoice_id=id)[0]["content"].count("10.00") == 1


def test_deleting_during_a_pause_ends_it(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    assert shop.ns.invoices.delete(id).status == "deleted"
    assert id not in [view.id for view in shop.ns.invoices.list().items]


def test_retrying_a_paused_invoice_is_refused(a_shop: OpenShop):
    shop = a_custom_shop(a_shop, draft=True)
    id = shop.submit()
    for act in (shop.ns.invoices.retry, shop.ns.invoices.approve, shop.ns.invoices.snapshot_quantities):
        unchanged(shop, id, lambda act=act: act(id), NotAllowed, "invoice_action_not_available")


# What the outside says of payments, in every state.

NEXT = {
    "payment_processing.pending": {
        "paid": "paid",
        "payment_failed": "payment_processing.failed",
        "payment_uncollectible": "uncollectible",
        "payment_overdue": "overdue",
        "action_required": "payment_processing.action_required",
        "void": "voided",
    },
    "payment_processing.failed": {
        "paid": "paid",
        "payment_failed": "payment_processing.failed",
        "payment_uncollectible": "uncollectible",
        "payment_overdue": "overdue",
        "action_required": "payment_processing.action_required",
        "void": "voided",
    },
    "payment_processing.action_required": {
        "paid": "paid",
        "payment_failed": "payment_processing.failed",
        "payment_uncollectible": "uncollectible",
        "payment_overdue": "overdue",
        "action_required": "payment_processing.action_required",
        "void": "voided",
    },
    "overdue": {
        "paid": "paid",
        "payment_failed": "payment_processing.failed",
        "payment_uncollectible": "uncollectible",
        "payment_overdue": "overdue",
        "action_required": "payment_processing.action_required",
    },
    "uncollectible": {"paid": "paid", "payment_uncollectible": "uncollectible", "void": "voided"},
    "paid": {"paid": "paid"},
    "voided": {"void": "voided"},
}
REACHED_BY = {
    "payment_processing.pending": None,
    "payment_processing.failed": "payment_failed",
    "payment_processing.action_required": "action_required",
    "overdue": "payment_overdue",
    "uncollectible": "payment_uncollectible",
    "paid": "paid",
    "voided": "void",
}
TRIGGERS = tuple(NEXT["payment_processing.pending"])


@pytest.mark.parametrize("state", NEXT)
def test_every_payment_trigger_in_every_state(a_shop_anywhere: OpenShop, state: str):
    shop = a_custom_shop(a_shop_anywhere)
    for trigger in TRIGGERS:
        id = shop.submit()
        if REACHED_BY[state] is not None:
            shop.ns.invoices.payment_status(id, REACHED_BY[state])
        assert shop.status(id) == state
        version = shop.get(id).invoice.version
        wanted = NEXT[state].get(trigger)
        if wanted is None:
            with pytest.raises(NotAllowed):
                shop.ns.invoices.payment_status(id, trigger)
            assert shop.status(id) == state
        else:
            assert shop.ns.invoices.payment_status(id, trigger).status == wanted
        if wanted in (None, state):
            assert shop.get(id).invoice.version == version


@pytest.mark.parametrize("hook", ["draft", "issuing"])
def test_no_payment_trigger_reaches_an_invoice_that_is_not_issued(a_shop: OpenShop, hook: str):
    shop = a_custom_shop(a_shop, draft=hook == "draft", issuing=hook == "issuing")
    id = shop.submit()
    for trigger in TRIGGERS:
        unchanged(
            shop,
            id,
            lambda trigger=trigger: shop.ns.invoices.payment_status(id, trigger),
            NotAllowed,
            "invoice_action_not_available",
        )


def test_paid_by_word_counts_the_money_that_was_due(a_shop: OpenShop):
    shop = a_custom_shop(a_shop)
    id = shop.submit()
    details = shop.ns.invoices.payment_status(id, "paid")
    assert (details.invoice.amount_paid, details.invoice.amount_due) == (Decimal("10.00"), Decimal(0))
    assert [(payment.origin, payment.amount_received) for payment in details.payments] == [
        ("outside", Decimal("10.00"))
    ]


def test_a_failed_payment_can_be_tried_again(a_shop: OpenShop):
    shop = a_custom_shop(a_shop)
    id = shop.submit()
    shop.ns.invoices.payment_status(id, "payment_failed")
    assert shop.get(id).failed
    assert shop.ns.invoices.retry(id).status == "payment_processing.pending"


def test_a_trigger_that_does_not_exist_is_named(a_shop: OpenShop):
    shop = a_custom_shop(a_shop)
    id = shop.submit()
    unchanged(shop, id, lambda: shop.ns.invoices.payment_status(id, "authorized"), InvalidInput, "trigger_unknown")


def test_a_voided_invoice_keeps_its_number_and_leaves_no_gap(a_shop_anywhere: OpenShop):
    shop = a_custom_shop(a_shop_anywhere)
    ids = [shop.submit() for _ in range(3)]
    shop.ns.invoices.void(ids[1])
    details = shop.get(ids[1])
    assert (details.status, details.invoice.number) == ("voided", "INV-JADO-2")
    assert details.invoice.voided_at == NOON
    audit = shop.engine.numbers.audit("acme", "invoice")
    assert [(counter.is_whole, len(counter.cancelled)) for counter in audit.values()] == [(True, 1)]
