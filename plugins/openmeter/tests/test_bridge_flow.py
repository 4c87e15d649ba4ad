"""An invoice that OpenMeter computes is delivered and paid by a provider here, and OpenMeter hears of it at every pause."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from objecting import Objection
from stand_in import OpenMeterStandIn, a_line

from billhook import InvoiceView, ValidationIssue, hookimpl
from billhook_openmeter import Bridge, OpenMeter, Step, UpstreamError, UpstreamRefusesUs

LINE = "01JANE00000000000000000001"
ADA = {"id": "01JCVST0MER00000000000000A", "name": "Ada", "key": "ada"}


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


def test_what_openmeter_calls_paid_is_recorded_at_the_provider_once(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "paid")
    between.settle()
    between.settle()
    assert [(each.origin, each.amount) for each in between.books.payments()] == [("recorded", Decimal("100.00"))]


@pytest.mark.parametrize("states", [("overdue", "uncollectible", "voided"), ("uncollectible", "voided")])
def test_a_sweep_finds_what_became_uncollectible_and_then_void(between, states):
    id = between.upstream.create(one_line())
    between.settle()
    for trigger in states:
        between.upstream.trigger(id, TRIGGER_TO[trigger])
        between.settle()
    assert between.here(id).status == "voided"
    assert [document.status for document in between.books.ledger.documents()] == ["void"]


def test_what_is_paid_upstream_while_a_payment_is_under_way_here_is_for_a_person(between):
    steered = {"openmeter.io/sandbox/target-payment-status": "authorized"}
    id = between.upstream.create(one_line(), collection_method="charge_automatically", metadata=steered)
    between.settle()
    between.upstream.trigger(id, "paid")
    assert "a payment is under way here" in between.bridge.visit(id).stuck
    (payment,) = between.books.payments()
    assert payment.status == "authorized"


def test_what_a_provider_would_not_void_is_named_though_both_sides_call_it_void(between):
    id = between.upstream.create(one_line())
    between.settle()
    (document,) = between.books.ledger.documents()
    between.books.ledger.put_document(replace(document, status="paid"))
    between.upstream.trigger(id, "void")
    between.settle()
    assert (between.here(id).status, between.upstream.state(id)) == ("voided", "voided")
    assert "the provider still has it: " in between.bridge.visit(id).stuck


TRIGGER_TO = {"overdue": "payment_overdue", "uncollectible": "payment_uncollectible", "voided": "void"}


def test_money_that_comes_here_after_openmeter_gave_it_up_is_told(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "payment_uncollectible")
    between.settle()
    between.billing.invoices.record_payment(between.here(id).id, "100.00", method="cash")
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("paid", "paid")


@pytest.mark.parametrize("issuing_hook", [True, False])
def test_an_edit_that_passes_the_pause_without_waiting_is_brought_before_it_is_issued(between_with, issuing_hook):
    between = between_with(upstream=OpenMeterStandIn(issuing_hook=issuing_hook))
    with between.open():
        id = between.upstream.create(one_line(), auto_advance=False)
        between.settle()
        between.upstream.edit(id, one_line("80.00"), echoes_marks=True)
        assert between.upstream.state(id) == "draft.manual_approval_needed"
        between.upstream.approve(id)
        between.settle()
        (document,) = between.books.ledger.documents()
        assert (document.status, document.total) == ("issued", Decimal("80.00"))


def test_it_is_issued_on_the_dates_that_openmeter_gave_it(between):
    id = between.upstream.create(one_line())
    between.settle()
    stored, here = between.upstream.invoices[id], between.here(id).invoice
    assert (here.issued_at, here.due_at) == (stored.issued_at, stored.due_at)
    (document,) = between.books.ledger.documents()
    assert (document.issue_date, document.due_date) == (
        stored.issued_at.date().isoformat(),
        stored.due_at.date().isoformat(),
    )


def test_the_marks_of_openmeters_own_pauses_are_no_change(between):
    id = between.upstream.create(one_line())
    between.settle()
    assert between.upstream.invoices[id].metadata
    assert between.here(id).invoice.revision == 1


def test_a_draft_that_is_to_be_sent_instead_of_charged_is_sent(between):
    id = between.upstream.create(one_line(), auto_advance=False, collection_method="charge_automatically")
    between.settle()
    between.upstream.edit(id, collection_method="send_invoice")
    between.settle()
    between.upstream.approve(id)
    between.settle()
    assert between.upstream.state(id) == "payment_processing.pending"
    assert between.here(id).invoice.sent_to_customer_at is not None
    assert between.books.payments() == ()


def test_a_draft_that_is_made_out_to_another_name_is_so_here(between):
    id = between.upstream.create(one_line(), customer=ADA, auto_advance=False)
    between.settle()
    between.upstream.edit(id, customer={**ADA, "name": "Ada Holdings", "addresses": [{"country": "gb", "city": ""}]})
    between.settle()
    customer = between.here(id).invoice.customer
    assert (customer.name, customer.addresses[0].country) == ("Ada Holdings", "GB")


def test_an_old_invoice_keeps_the_old_name_and_the_customer_the_new_one(between):
    between.upstream.customers[ADA["id"]] = {"name": "Ada Holdings"}
    id = between.upstream.create(one_line(), customer=ADA)
    between.settle()
    assert between.here(id).invoice.customer.name == "Ada"
    assert between.billing.customers.get(ADA["id"]).name == "Ada Holdings"
    assert len(between.books.ledger.documents()) == 1


def test_what_openmeter_knows_of_the_customer_comes_along_beside_what_is_known_here(between):
    between.billing.customers.create("Ada", key=ADA["id"], metadata={"ours": "kept"})
    between.upstream.customers[ADA["id"]] = {"currency": "EUR", "metadata": {"stripe_customer_id": "cus_1"}}
    between.upstream.create(one_line(), customer=ADA)
    between.settle()
    customer = between.billing.customers.get(ADA["id"])
    told = {"ours": "kept", "stripe_customer_id": "cus_1", "known_as": "ada"}
    assert (customer.currency, customer.metadata) == ("EUR", told)


@pytest.mark.parametrize(
    "stated, metadata, known_as",
    [
        (ADA, {}, "ada"),
        ({"id": ADA["id"], "name": "Ada"}, {}, "00000A"),
        (ADA, {"known_as": "Leeds"}, "Leeds"),
    ],
    ids=["a key", "no key", "said in OpenMeter"],
)
def test_providers_are_told_what_people_know_the_customer_as(between, stated, metadata, known_as):
    between.upstream.customers[ADA["id"]] = {"metadata": metadata}
    between.upstream.create(one_line(), customer=stated)
    between.settle()
    assert between.billing.customers.get(ADA["id"]).metadata["known_as"] == known_as


@pytest.mark.parametrize("shown", [None, {"status": 403}])
def test_a_customer_who_is_not_shown_to_us_keeps_what_is_known_here(between, shown):
    between.billing.customers.create("Ada", key=ADA["id"], email="ada@example.com")
    id = between.upstream.create(one_line(), customer=ADA, auto_advance=False)
    between.upstream.customers[ADA["id"]] = shown
    between.settle()
    assert between.here(id).invoice.customer.email == "ada@example.com"


@pytest.mark.parametrize("told", ["a@x.com, b@y.com", "none", " "])
def test_what_is_no_address_to_mail_to_stops_nothing(between, told):
    between.upstream.customers[ADA["id"]] = {"primaryEmail": told}
    id = between.upstream.create(one_line(), customer=ADA)
    between.settle()
    assert between.here(id).invoice.customer.email is None
    assert between.upstream.state(id) == "payment_processing.pending"


def test_what_cant_be_mirrored_fails_upstream_where_it_can_be_mended(between):
    id = between.upstream.create([a_line("Seats", "100.005", id=LINE)])
    assert "100.005" in between.bridge.visit(id).stuck
    assert between.upstream.state(id) == "draft.sync_failed"
    between.upstream.edit(id, one_line())
    between.settle()
    assert between.upstream.state(id) == "payment_processing.pending"


def test_an_answer_that_cant_be_read_is_for_a_person_and_keeps_no_other_invoice_waiting(between):
    odd = between.upstream.create(one_line(), facts={"totals": {"total": "much"}})
    id = between.upstream.create([a_line("Seats", "100.00", id="01JANE00000000000000000002")])
    visits = between.settle()
    assert "can't be read" in visits[odd].stuck
    assert between.upstream.state(id) == "payment_processing.pending"


def test_amounts_that_no_currency_has_stop_the_invoice_before_anything_is_sent(between):
    id = between.upstream.create([a_line("Seats", "100.005", id=LINE)])
    assert "100.005, which is no amount of EUR" in between.bridge.visit(id).stuck
    between.settle()
    assert not between.books.ledger.documents()


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


def test_the_customers_e_mail_address_comes_along_though_it_stands_on_no_invoice(between):
    between.upstream.customers[ADA["id"]] = {"primaryEmail": "ada@example.com"}
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
        between.upstream.customers[ADA["id"]] = {"primaryEmail": "ada@example.com"}
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
