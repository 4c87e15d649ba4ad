"""Custom Invoicing's callbacks over HTTP: where an invoice rests after each, what is repeated, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from engine_kit import a_provider, careful_draft
from openmeter.models import (
    CustomInvoicingDraftSynchronizedRequest,
    CustomInvoicingFinalizedInvoicingRequest,
    CustomInvoicingFinalizedPaymentRequest,
    CustomInvoicingFinalizedRequest,
    CustomInvoicingLineExternalIdMapping,
    CustomInvoicingSyncResult,
    CustomInvoicingUpdatePaymentStatusRequest,
)
from server_kit import ELSEWHERE, Served

from billhook.errors import NotFound
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.store import schema
from billhook.testing.builders import an_id

PLACE = "/api/v1/apps/custom-invoicing"
Serve = Callable[..., Served]


def draft(served: Served, id: str, body: Any, status: int = 204, **options: Any) -> Any:
    return served.call("POST", f"{PLACE}/{id}/draft/synchronized", json=body, expect=status, **options)


def issuing(served: Served, id: str, body: Any, status: int = 204, **options: Any) -> Any:
    return served.call("POST", f"{PLACE}/{id}/issuing/synchronized", json=body, expect=status, **options)


def payment(served: Served, id: str, trigger: Any, status: int = 204, **options: Any) -> Any:
    return served.call("POST", f"{PLACE}/{id}/payment/status", json={"trigger": trigger}, expect=status, **options)


def with_hooks(served: Served, *, draft: bool = False, issuing: bool = False) -> Served:
    hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
    served.ns.apps.update(served.shop.app.id, settings=hooks)
    return served


def where(served: Served, id: str) -> tuple[str, str]:
    details = served.shop.get(id)
    return details.status, details.invoice.number


# Where it rests.


def test_both_hooks_off_runs_to_payment_processing(served_anywhere):
    id = served_anywhere.shop.submit()
    assert where(served_anywhere, id) == ("payment_processing.pending", "INV-JADO-1")


def test_both_hooks_on_waits_at_each_until_called(served_anywhere):
    served = with_hooks(served_anywhere, draft=True, issuing=True)
    id = served.shop.submit()
    assert where(served, id) == ("draft.syncing", "DRAFT-JADO-1")
    answer = draft(served, id, {"invoicing": {"invoiceNumber": "ACME-7", "externalId": "ext-1"}})
    assert answer.content == b""
    assert where(served, id) == ("issuing.syncing", "ACME-7")
    issuing(
        served, id, {"invoicing": {"sentToCustomerAt": "2026-05-01T12:30:00.5Z"}, "payment": {"externalId": "pay-1"}}
    )
    assert where(served, id) == ("payment_processing.pending", "ACME-7")
    invoice = served.shop.get(id).invoice
    assert invoice.external_ids["invoicing"] == "ext-1"
    assert invoice.sent_to_customer_at == datetime(2026, 5, 1, 12, 30, 0, 500_000, UTC)
    payment(served, id, "paid")
    assert where(served, id) == ("paid", "ACME-7")


def test_where_neither_callback_gives_a_number_one_is_made(served):
    with_hooks(served, draft=True, issuing=True)
    id = served.shop.submit()
    draft(served, id, {"invoicing": {}})
    assert where(served, id) == ("issuing.syncing", "DRAFT-JADO-1")
    issuing(served, id, {})
    assert where(served, id) == ("payment_processing.pending", "INV-JADO-1")


def test_an_empty_text_says_nothing(served):
    with_hooks(served, draft=True, issuing=True)
    id = served.shop.submit()
    line = served.shop.get(id).invoice.lines[0].id
    ids = [{"lineId": line, "externalId": ""}]
    draft(served, id, {"invoicing": {"invoiceNumber": "", "externalId": "", "lineExternalIds": ids}})
    issuing(served, id, {"invoicing": {"invoiceNumber": ""}, "payment": {"externalId": ""}})
    details = served.shop.get(id)
    assert (details.invoice.number, details.invoice.external_ids) == ("INV-JADO-1", {})


def test_the_draft_period_is_waited_for_between_the_callbacks(serve):
    served = with_hooks(serve(custom_invoicing, workflow={"draft_period": "P1D"}), draft=True, issuing=True)
    id = served.shop.submit()
    draft(served, id, {"invoicing": {}})
    assert where(served, id)[0] == "draft.waiting_auto_approval"
    served.shop.turn(86_400)
    assert where(served, id)[0] == "issuing.syncing"


def test_ids_of_lines_and_discounts_are_kept_in_whatever_case_they_come(served):
    with_hooks(served, draft=True)
    line = {
        "name": "Half price",
        "quantity": "1",
        "price": {"type": "unit", "amount": "10"},
        "discounts": [{"type": "percentage", "percentage": "50"}],
    }
    view = served.ns.invoices.submit(served.shop.draft(lines=[line]))
    first, discount = view.lines[0].id, view.lines[0].discounts[0].id
    body = {
        "lineExternalIds": [{"lineId": first.lower(), "externalId": "l-1"}],
        "lineDiscountExternalIds": [{"lineDiscountId": discount, "externalId": "d-1"}],
    }
    draft(served, view.id.lower(), {"invoicing": body})
    invoice = served.shop.get(view.id).invoice
    assert (invoice.line_external_ids, invoice.discount_external_ids) == ({first: "l-1"}, {discount: "d-1"})


# Again, otherwise, and by whom.


def test_the_same_again_is_accepted_and_changes_nothing(served_anywhere):
    served = with_hooks(served_anywhere, draft=True, issuing=True)
    id = served.shop.submit()
    for call, body in ((draft, {"invoicing": {"invoiceNumber": "A-1"}}), (issuing, {"payment": {"externalId": "p"}})):
        call(served, id, body)
        before = served.shop.counts()
        call(served, id, body)
        assert served.shop.counts() == before
    payment(served, id, "paid")
    before = served.shop.counts()
    payment(served, id, "paid")
    issuing(served, id, {"payment": {"externalId": "p"}})
    draft(served, id, {"invoicing": {"invoiceNumber": "A-1"}})
    assert served.shop.counts() == before
    assert where(served, id) == ("paid", "A-1")


def test_other_content_is_a_conflict(served):
    with_hooks(served, draft=True, issuing=True)
    id = served.shop.submit()
    draft(served, id, {"invoicing": {"invoiceNumber": "A-1"}})
    problem = draft(served, id, {"invoicing": {"invoiceNumber": "A-2"}}, 409).json()
    assert problem["extensions"]["code"] == "confirmation_differs"
    issuing(served, id, {})
    issuing(served, id, {"invoicing": {"invoiceNumber": "A-3"}}, 409)
    assert where(served, id) == ("payment_processing.pending", "A-1")


def test_an_edit_during_the_pause_needs_a_confirmation_of_its_own(served):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    key = "openmeter.io/custominvoicing/draft-synced-at"
    served.ns.invoices.update(id, {"metadata": {key: "2026-05-01T12:00:00Z"}})
    assert where(served, id)[0] == "draft.syncing"
    draft(served, id, {"invoicing": {}})
    assert where(served, id)[0] == "payment_processing.pending"


def test_twenty_callers_with_the_same_confirmation_make_one(served_anywhere):
    served = with_hooks(served_anywhere, draft=True, issuing=True)
    ids = [served.shop.submit() for _ in range(5)]
    body = {"invoicing": {"externalId": "x"}}
    with ThreadPoolExecutor(20) as crowd:
        list(crowd.map(lambda each: draft(served, each, body), ids * 4))
    assert {where(served, id)[0] for id in ids} == {"issuing.syncing"}
    assert len(served.shop.rows(schema.confirmation)) == 5
    assert {tuple(served.shop.causes(id)) for id in ids} == {
        ("created", "validated", "sync_draft.pending", "sync_draft.done", "issue.pending")
    }


@pytest.mark.parametrize("role, status", [("read", 403), (ELSEWHERE, 404), (None, 401), ("integrate", 204)])
def test_who_may_call_back(served, role, status):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    draft(served, id, {"invoicing": {}}, status, role=role)
    assert (where(served, id)[0] == "payment_processing.pending") is (status == 204)


def test_an_unknown_invoice_is_not_found(served):
    draft(served, an_id(99), {"invoicing": {}}, 404)
    issuing(served, an_id(99), {}, 404)
    payment(served, an_id(99), "paid", 404)


def test_a_gathering_invoice_has_nothing_to_confirm(served):
    line = {
        "name": "Work",
        "quantity": "1",
        "price": {"type": "unit", "amount": "10"},
        "invoice_at": "2026-06-01T00:00:00Z",
    }
    jane = served.ns.customers.get("jane").id
    pool = served.ns.pending_lines.add(jane, "EUR", [line]).gathering.id
    for call, body in ((draft, {"invoicing": {}}), (issuing, {}), (payment, "paid")):
        call(served, pool, body, 400)
    draft(served, pool, {"invoicing": {}}, 404, role=ELSEWHERE)


# What is refused, with nothing stored.


def test_unknown_lines_and_discounts_are_named(served):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    body = {
        "invoiceNumber": "A-1",
        "lineExternalIds": [{"lineId": an_id(7), "externalId": "x"}],
        "lineDiscountExternalIds": [{"lineDiscountId": an_id(8), "externalId": "x"}],
    }
    before = served.shop.counts()
    problem = draft(served, id, {"invoicing": body}, 400).json()
    assert an_id(7) in problem["detail"]
    assert an_id(8) in problem["detail"]
    assert problem["extensions"]["code"] == "line_unknown"
    assert served.shop.counts() == before
    assert where(served, id) == ("draft.syncing", "DRAFT-JADO-1")


def test_a_draft_says_something_of_its_invoicing(served):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    problem = draft(served, id, {}, 400).json()
    assert problem["extensions"]["path"] == "/invoicing"


def test_a_confirmation_that_nobody_waits_for_is_refused(served):
    id = served.shop.submit()
    for call, body, state in ((draft, {"invoicing": {}}, "draft.syncing"), (issuing, {}, "issuing.syncing")):
        problem = call(served, id, body, 400).json()
        assert state in problem["detail"]
        assert problem["extensions"]["code"] == "confirmation_not_awaited"


@pytest.mark.parametrize(
    "trigger, rests",
    [
        ("paid", "paid"),
        ("payment_failed", "payment_processing.failed"),
        ("payment_uncollectible", "uncollectible"),
        ("payment_overdue", "overdue"),
        ("action_required", "payment_processing.action_required"),
        ("void", "voided"),
    ],
)
def test_each_payment_trigger_leads_where_it_says(served, trigger, rests):
    id = served.shop.submit()
    payment(served, id, trigger)
    assert where(served, id)[0] == rests
    payment(served, id, trigger)
    assert where(served, id)[0] == rests


def test_a_payment_trigger_that_the_state_does_not_allow_is_refused_with_its_component(served):
    id = served.shop.submit()
    payment(served, id, "paid")
    problem = payment(served, id, "payment_failed", 400).json()
    assert problem["extensions"]["severity"] == "critical"
    assert problem["extensions"]["component"] == "app.custom_invoicing.collectPayments.trigger_invoice"
    assert where(served, id)[0] == "paid"


def test_money_is_not_reported_for_a_draft(served):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    for trigger in ("paid", "payment_failed", "void", "payment_overdue"):
        payment(served, id, trigger, 400)
    assert where(served, id)[0] == "draft.syncing"


def test_the_payment_of_an_app_that_collects_itself_is_not_for_callers_to_tell(serve):
    collecting = a_provider(sync_draft=careful_draft, collect_payment=careful_draft)
    served = serve(collecting, custom_invoicing)
    id = served.shop.submit()
    problem = payment(served, id, "paid", 400).json()
    assert problem["extensions"]["code"] == "payment_status_not_awaited"
    draft(served, id, {"invoicing": {}}, 400)


@pytest.mark.parametrize(
    "path, body",
    [
        ("draft/synchronized", {"invoicing": None}),
        ("draft/synchronized", {"invoicing": []}),
        ("draft/synchronized", {"invoicing": {"invoiceNumber": 7}}),
        ("draft/synchronized", {"invoicing": {"invoiceNumber": "x" * 257}}),
        ("draft/synchronized", {"invoicing": {"externalId": "a\0b"}}),
        ("draft/synchronized", {"invoicing": {"lineExternalIds": [{"lineId": "nonsense", "externalId": "x"}]}}),
        ("draft/synchronized", {"invoicing": {"lineExternalIds": [{"externalId": "x"}]}}),
        ("draft/synchronized", {"invoicing": {"lineExternalIds": {"a": "b"}}}),
        ("draft/synchronized", []),
        ("draft/synchronized", "text"),
        ("issuing/synchronized", {"invoicing": {"sentToCustomerAt": "yesterday"}}),
        ("issuing/synchronized", {"invoicing": {"sentToCustomerAt": "2026-05-01T12:00:00"}}),
        ("issuing/synchronized", {"invoicing": {"sentToCustomerAt": 1}}),
        ("issuing/synchronized", {"payment": "p"}),
        ("payment/status", {}),
        ("payment/status", {"trigger": "authorized"}),
        ("payment/status", {"trigger": ["paid"]}),
    ],
)
def test_what_is_not_as_the_document_says_is_refused_by_place(served, path, body):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    before = served.shop.counts()
    served.problem("POST", f"{PLACE}/{id}/{path}", 400, json=body)
    assert served.shop.counts() == before


def test_one_line_can_not_have_two_names(served):
    with_hooks(served, draft=True)
    view = served.ns.invoices.submit(served.shop.draft())
    ids = [{"lineId": view.lines[0].id, "externalId": name} for name in ("a", "b")]
    problem = draft(served, view.id, {"invoicing": {"lineExternalIds": ids}}, 400).json()
    assert problem["extensions"]["code"] == "external_id_ambiguous"


def test_a_callback_without_a_body_or_with_a_malformed_id_is_refused(served):
    served.problem("POST", f"{PLACE}/{an_id(1)}/payment/status", 400)
    served.problem("POST", f"{PLACE}/not-an-id/payment/status", 400, json={"trigger": "paid"})


# OpenMeter's own client.


def test_openmeters_client_calls_back(served):
    with_hooks(served, draft=True, issuing=True)
    view = served.ns.invoices.submit(served.shop.draft())
    group = served.openmeter.app_custom_invoicing
    lines = [CustomInvoicingLineExternalIdMapping(line_id=view.lines[0].id, external_id="l-1")]
    said = CustomInvoicingSyncResult(invoice_number="A-1", external_id="e-1", line_external_ids=lines)
    assert group.draft_syncronized(view.id, CustomInvoicingDraftSynchronizedRequest(invoicing=said)) is None
    assert where(served, view.id) == ("issuing.syncing", "A-1")
    finalized = CustomInvoicingFinalizedRequest(
        invoicing=CustomInvoicingFinalizedInvoicingRequest(sent_to_customer_at=served.clock.now()),
        payment=CustomInvoicingFinalizedPaymentRequest(external_id="p-1"),
    )
    assert group.finalized(view.id, finalized) is None
    assert group.payment_status(view.id, CustomInvoicingUpdatePaymentStatusRequest(trigger="paid")) is None
    assert where(served, view.id) == ("paid", "A-1")


# Issues that a caller reports.


REPORT = "/api/billhook/v1/invoices/{}/validation-issues"
MISSING = {"severity": "critical", "code": "vat_id_missing", "message": "The VAT id is missing.", "path": "/customer"}
SMALL = {"severity": "warning", "code": "small_amount", "message": "It is hardly worth the postage."}


def report(served: Served, id: str, issues: Any, status: int = 200, **more: Any) -> Any:
    answer = served.call("PUT", REPORT.format(id), json={"issues": issues, **more}, expect=status)
    return answer.json()


def test_a_critical_issue_fails_the_synchronization_and_a_retry_comes_back_to_it(served_anywhere):
    served = with_hooks(served_anywhere, draft=True)
    id = served.shop.submit()
    said = report(served, id, [MISSING, SMALL])
    assert said["status"] == "draft.sync_failed"
    assert [issue["code"] for issue in said["issues"]] == ["vat_id_missing", "small_amount"]
    assert {issue["component"] for issue in said["issues"]} == {"app.custom_invoicing.invoiceCustomers.sync_draft"}
    before = served.shop.counts()
    assert report(served, id, [MISSING, SMALL]) == said
    assert served.shop.counts() == before
    report(served, id, [SMALL], 400)
    assert served.ns.invoices.retry(id).status == "draft.syncing"
    draft(served, id, {"invoicing": {}})
    details = served.shop.get(id)
    assert (details.status, details.issues) == ("payment_processing.pending", ())


def test_issuing_fails_of_a_critical_issue_too(served):
    with_hooks(served, issuing=True)
    id = served.shop.submit()
    assert report(served, id, [MISSING])["status"] == "issuing.failed"
    assert served.ns.invoices.retry(id).status == "issuing.syncing"
    issuing(served, id, {})
    assert where(served, id)[0] == "payment_processing.pending"


def test_a_report_replaces_the_issues_of_its_component_alone(served):
    with_hooks(served, draft=True)
    id = served.shop.submit()
    report(served, id, [SMALL], component="erp.checks")
    said = report(served, id, [{**SMALL, "code": "other"}], component="crm")
    assert said["status"] == "draft.syncing"
    assert [(issue["component"], issue["code"]) for issue in said["issues"]] == [
        ("erp.checks", "small_amount"),
        ("crm", "other"),
    ]
    said = report(served, id, [], component="erp.checks")
    assert [issue["component"] for issue in said["issues"]] == ["crm"]
    draft(served, id, {"invoicing": {}})
    assert served.shop.issue_codes(id) == ["other"]


@pytest.mark.parametrize("component", ["openmeter", "openmeter.metering", "app.xero.x", "", "A", "a" * 200, "a\0"])
def test_nobody_speaks_for_another_component(served, component):
    with_hooks(served, draft=True)
    report(served, served.shop.submit(), [SMALL], 400, component=component)


def test_nothing_is_reported_where_nobody_waits(served):
    report(served, served.shop.submit(), [SMALL], 400)
    report(served, an_id(9), [SMALL], 404)
    with_hooks(served, draft=True)
    id = served.shop.submit()
    for issues in ([{"severity": "critical"}], [{**SMALL, "severity": "fatal"}], [SMALL] * 101, "text", None):
        report(served, id, issues, 400)
    with pytest.raises(NotFound):
        served.engine.namespace(ELSEWHERE).callbacks.report_issues(id, [SMALL]).result()
    assert served.shop.get(id).issues == ()


def test_an_app_that_confirms_itself_is_told_nothing(serve):
    served = serve(a_provider(sync_draft=careful_draft), custom_invoicing)
    id = served.shop.submit()
    served.shop.wire.plan()
    assert where(served, id)[0] == "draft.syncing"
    report(served, id, [MISSING], 400)
    served.clock.advance(timedelta(seconds=1))
    assert where(served, id)[0] == "draft.syncing"
