"""An invoice that OpenMeter computes is delivered and paid by a provider here, and OpenMeter hears of it at every pause."""

from __future__ import annotations

from decimal import Decimal

import pytest
from stand_in import OpenMeterStandIn, a_line

from billhook import InvoiceView, ValidationIssue, hookimpl
from billhook_openmeter import Bridge, OpenMeter, Step, UpstreamError, UpstreamRefusesUs

LINE = "01JANE00000000000000000001"


def one_line(amount: str = "100.00"):
    return [a_line("Seats", amount, id=LINE)]


def test_the_draft_stands_at_the_provider_before_openmeter_goes_on(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    assert between.upstream.state(id) == "draft.manual_approval_needed"
    (document,) = between.books.ledger.documents()
    stored = between.upstream.invoices[id]
    assert (document.status, document.total) == ("draft", Decimal("100.00"))
    assert stored.external_ids["invoicing"] == document.id
    assert stored.line_ids.keys() == {LINE[:-1] + "Z"}


def test_an_approved_invoice_is_issued_once_and_openmeter_learns_its_number(between):
    id = between.upstream.create(one_line())
    between.settle()
    assert between.upstream.state(id) == "payment_processing.pending"
    (document,) = between.books.ledger.documents()
    assert between.upstream.invoices[id].number == document.number == between.here(id).invoice.number
    assert document.status == "issued"


def test_money_that_the_provider_collects_makes_the_invoice_paid_on_both_sides(between):
    id = between.upstream.create(one_line(), collection_method="charge_automatically")
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("paid", "paid")


@pytest.mark.parametrize("with_invoice", [False, True], ids=["204", "200 with the invoice"])
def test_any_success_of_a_callback_is_success(between_with, with_invoice):
    between = between_with(upstream=OpenMeterStandIn(answers_with_invoice=with_invoice))
    with between.open():
        id = between.upstream.create(one_line(), collection_method="charge_automatically")
        between.settle()
        assert between.upstream.state(id) == "paid"
        assert between.upstream.refusals == []


@pytest.mark.parametrize("draft_hook, issuing_hook", [(True, True), (True, False), (False, True), (False, False)])
def test_whichever_pauses_are_switched_on_the_invoice_ends_paid(between_with, draft_hook, issuing_hook):
    between = between_with(upstream=OpenMeterStandIn(draft_hook=draft_hook, issuing_hook=issuing_hook))
    with between.open():
        id = between.upstream.create(one_line(), collection_method="charge_automatically")
        between.settle()
        assert between.upstream.state(id) == "paid"
        assert len(between.books.ledger.documents()) == 1


def test_an_edit_upstream_reaches_the_document(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.upstream.edit(id, one_line("80.00"))
    between.settle()
    (document,) = between.books.ledger.documents()
    assert (document.total, between.here(id).invoice.total) == (Decimal("80.00"), Decimal("80.00"))
    assert between.upstream.state(id) == "draft.manual_approval_needed"


def test_a_content_that_comes_back_after_another_is_brought_again(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    for amount in ("80.00", "100.00"):
        between.upstream.edit(id, one_line(amount))
        between.settle()
    (document,) = between.books.ledger.documents()
    assert document.total == Decimal("100.00")


def test_a_delete_upstream_removes_the_draft_at_the_provider(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.upstream.delete(id)
    between.settle()
    assert between.here(id).status == "deleted"
    assert [document.status for document in between.books.ledger.documents()] == ["deleted"]


def test_a_void_upstream_voids_the_document_at_the_provider(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "void")
    between.settle()
    assert between.here(id).status == "voided"
    assert [document.status for document in between.books.ledger.documents()] == ["void"]


def test_an_invoice_that_openmeter_calls_paid_is_paid_here(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "paid")
    between.settle()
    assert between.here(id).status == "paid"


def test_amounts_that_no_currency_has_stop_the_invoice_before_anything_is_sent(between):
    id = between.upstream.create([a_line("Seats", "100.005", id=LINE)])
    assert "100.005, which is no amount of EUR" in between.settle()[id].stuck
    assert not between.books.ledger.documents()


class Objection:
    """A host's own check, which can be lifted."""

    is_raised = True

    @hookimpl
    def validate_invoice(self, invoice: InvoiceView) -> list[ValidationIssue] | None:
        if not self.is_raised:
            return None
        return [
            ValidationIssue(severity="critical", message="Not this customer.", component="host", code="host_objects")
        ]


def test_a_draft_that_fails_here_fails_upstream_and_a_retry_there_is_one_here(between_with):
    objection = Objection()
    between = between_with(overrides={"sandbox": [objection]})
    with between.open():
        id = between.upstream.create(one_line(), auto_advance=False)
        between.settle()
        assert (between.here(id).status, between.upstream.state(id)) == ("draft.invalid", "draft.sync_failed")
        between.upstream.retry(id)
        between.settle()
        assert between.upstream.state(id) == "draft.sync_failed"
        objection.is_raised = False
        between.upstream.retry(id)
        between.settle()
        assert between.upstream.state(id) == "draft.manual_approval_needed"


class NeedsAddress:
    """A host that sends nothing to a customer without an e-mail address."""

    @hookimpl
    def validate_invoice(self, invoice: InvoiceView) -> list[ValidationIssue] | None:
        return (
            None if invoice.customer.email else [ValidationIssue(severity="critical", message="No.", code="no_email")]
        )


ADA = {"id": "01JCVST0MER00000000000000A", "name": "Ada", "key": "ada"}


def test_the_customers_e_mail_address_comes_along_though_it_stands_on_no_invoice(between):
    between.upstream.emails[ADA["id"]] = "ada@example.com"
    id = between.upstream.create(one_line(), customer=ADA)
    between.settle()
    assert between.here(id).invoice.customer.email == "ada@example.com"


def test_an_address_that_was_missing_upstream_is_there_when_the_invoice_is_retried(between_with):
    between = between_with(overrides={"sandbox": [NeedsAddress()]})
    with between.open():
        id = between.upstream.create(one_line(), customer=ADA, auto_advance=False)
        between.settle()
        assert between.upstream.state(id) == "draft.sync_failed"
        between.upstream.edit(id, one_line("80.00"))
        between.settle()
        assert between.upstream.state(id) == "draft.sync_failed"
        between.upstream.emails[ADA["id"]] = "ada@example.com"
        between.upstream.retry(id)
        between.settle()
        assert between.upstream.state(id) == "draft.manual_approval_needed"


def test_a_payment_that_fails_is_told_and_a_retry_upstream_tries_again(between):
    id = between.upstream.create(
        one_line(),
        collection_method="charge_automatically",
        metadata={"openmeter.io/sandbox/target-payment-status": "failed"},
    )
    between.settle()
    assert (between.here(id).status, between.upstream.state(id)) == ("payment_processing.failed",) * 2
    before = len(between.books.ledger.payments())
    between.upstream.retry(id)
    between.settle()
    assert between.upstream.state(id) == "payment_processing.failed"
    assert len(between.books.ledger.payments()) == before + 1


def test_an_invoice_of_another_app_is_left_alone(between):
    id = between.upstream.create(one_line())
    client = OpenMeter("http://openmeter.test", between.upstream.token, client=between.upstream.client())
    other = Bridge(between.billing, client, app_id="01J00000000000000000000000")
    assert other.visit(id).steps == ()
    assert between.bridge.visit(id).steps == (Step.MIRROR,)


def test_an_invoice_that_openmeter_does_not_know_yet_is_told_as_such(between):
    assert between.bridge.visit("01J00000000000000000000000").unknown


def test_a_wrong_token_is_told_apart_from_a_dead_line(between):
    between.upstream.create(one_line())
    wrong = OpenMeter("http://openmeter.test", "another", client=between.upstream.client())
    with pytest.raises(UpstreamRefusesUs, match="does not accept the token"):
        list(wrong.invoice_ids(["draft.syncing"]))
    between.upstream.unreachable = lambda _request: True
    with pytest.raises(UpstreamError, match="can't be reached"):
        list(between.bridge.ids_to_visit())
