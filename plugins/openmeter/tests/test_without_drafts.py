"""A provider that keeps no drafts: its document is made when it is issued, in draft sync or in issuing sync of OpenMeter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from no_drafts import SandboxWithoutDrafts
from stand_in import a_line

from billhook_openmeter import PostAt

if TYPE_CHECKING:
    from conftest import Between

LINE = "01JANE00000000000000000001"
REFUSED = {"sandbox/issue": "reject"}


def one_line(amount: str = "100.00"):
    return [a_line("Seats", amount, id=LINE)]


@pytest.fixture
def at_draft(between_with: Callable[..., Between]) -> Iterator[Between]:
    made = between_with(provider=SandboxWithoutDrafts, post_at=PostAt.DRAFT)
    with made.open():
        yield made


@pytest.fixture
def at_issue(between_with: Callable[..., Between]) -> Iterator[Between]:
    made = between_with(provider=SandboxWithoutDrafts)
    with made.open():
        yield made


def totals(between: Between) -> list[tuple[str, Decimal]]:
    return [(document.status, document.total) for document in between.books.ledger.documents()]


def test_at_draft_the_document_stands_and_its_line_ids_are_told_before_openmeter_goes_on(at_draft):
    id = at_draft.upstream.create(one_line(), auto_advance=False)
    at_draft.settle()
    assert at_draft.upstream.state(id) == "draft.manual_approval_needed"
    assert totals(at_draft) == [("issued", Decimal("100.00"))]
    assert at_draft.upstream.invoices[id].line_ids.keys() == {LINE[:-1] + "Z"}


def test_at_issue_nothing_stands_before_openmeter_issues(at_issue):
    id = at_issue.upstream.create(one_line(), auto_advance=False)
    at_issue.settle()
    assert totals(at_issue) == []
    at_issue.upstream.approve(id)
    at_issue.settle()
    assert totals(at_issue) == [("issued", Decimal("100.00"))]


def test_a_document_that_is_refused_at_draft_is_mended_by_an_edit_upstream(at_draft):
    id = at_draft.upstream.create(one_line(), metadata=dict(REFUSED))
    at_draft.settle()
    assert at_draft.upstream.state(id) == "draft.sync_failed"
    stuck = at_draft.bridge.visit(id).stuck
    assert "The sandbox was told to reject" in stuck
    assert "edit the invoice in OpenMeter; then retry it" in stuck
    at_draft.upstream.edit(id, one_line("80.00"), metadata={})
    at_draft.settle()
    assert at_draft.upstream.state(id) == "payment_processing.pending"
    assert totals(at_draft) == [("issued", Decimal("80.00"))]
    assert at_draft.upstream.invoices[id].number == at_draft.here(id).invoice.number == "INV-ADA-1"


def test_a_document_that_is_refused_at_issue_says_that_its_content_is_settled_upstream(at_issue):
    id = at_issue.upstream.create(one_line(), metadata=dict(REFUSED))
    at_issue.settle()
    assert at_issue.upstream.state(id) == "issuing.failed"
    stuck = at_issue.bridge.visit(id).stuck
    assert "The sandbox was told to reject" in stuck
    assert "can't be changed any more; what can't be mended so is deleted there and invoiced anew" in stuck
    at_issue.upstream.delete(id)
    at_issue.settle()
    assert (at_issue.here(id).status, totals(at_issue)) == ("deleted", [])
    assert at_issue.bridge.visit(id).stuck is None


def test_an_edit_after_the_document_was_issued_fails_upstream_where_it_is_undone(at_draft):
    id = at_draft.upstream.create(one_line(), auto_advance=False)
    at_draft.settle()
    at_draft.upstream.edit(id, one_line("80.00"))
    at_draft.settle()
    assert at_draft.upstream.state(id) == "draft.sync_failed"
    assert "undo the change there and retry it, or delete it there" in at_draft.bridge.visit(id).stuck
    at_draft.upstream.edit(id, one_line("100.00"))
    at_draft.settle()
    assert at_draft.upstream.state(id) == "draft.manual_approval_needed"
    assert totals(at_draft) == [("issued", Decimal("100.00"))]


def test_an_edit_after_the_document_was_issued_ends_with_a_void_where_it_is_deleted_upstream(at_draft):
    id = at_draft.upstream.create(one_line(), auto_advance=False)
    at_draft.settle()
    at_draft.upstream.edit(id, one_line("80.00"))
    at_draft.settle()
    at_draft.upstream.delete(id)
    at_draft.settle()
    assert (at_draft.here(id).status, totals(at_draft)) == ("voided", [("void", Decimal("100.00"))])
