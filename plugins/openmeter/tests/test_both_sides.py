"""What no event told: a sweep finds wherever the two sides differ, and what needs a person says how it ends."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest
from objecting import Objection
from stand_in import OpenMeterStandIn, a_line

from billhook_openmeter import Step, UpstreamError

if TYPE_CHECKING:
    from conftest import Between

LINE = "01JANE00000000000000000001"
ADA = {"id": "01JCVST0MER00000000000000A", "name": "Ada", "key": "ada"}
GONE = {"deletedAt": "2026-03-01T00:00:00Z"}


def one_line(amount: str = "100.00", **facts: str):
    return [a_line("Seats", amount, id=LINE, **facts)]


def found(between: Between) -> dict[str, str | None]:
    """What a sweep of a bridge that has just started finds stuck."""
    bridge = between.bridge
    return {id: bridge.visit(id).stuck for id in bridge.ids_to_visit()}


# Money on one side alone.


def end_upstream(between: Between, id: str, way: str) -> None:
    stored = between.upstream.invoices[id]
    if way == "void":
        between.upstream.trigger(id, "void")
    else:
        stored.state = "deleted"


@pytest.mark.parametrize("way, state", [("void", "voided"), ("delete", "deleted")])
def test_a_sweep_finds_what_was_paid_here_and_ended_upstream_and_a_credit_note_settles_it(between, way, state):
    id = between.upstream.create(one_line())
    between.settle()
    here = between.here(id)
    between.billing.invoices.record_payment(here.id, "100.00", method="cash")
    end_upstream(between, id, way)
    stuck = found(between)[id]
    assert f"{state} upstream and paid here: give back what an app collected" in stuck
    assert f"under the key openmeter:{id}:credit (billhook credit-notes create" in stuck
    line = {"name": "Seats", "price": {"type": "flat", "amount": "100.00"}}
    note = {"type": "credit_note", "customer_key": ADA["id"], "currency": "EUR", "lines": [line]}
    between.billing.credit_notes.submit({**note, "key": f"openmeter:{id}:credit", "credited_invoice_id": here.id})
    assert between.bridge.visit(id).stuck == stuck
    between.settle()
    assert between.bridge.visit(id).stuck is None


def test_a_refund_settles_what_an_app_collected_and_upstream_ended(between):
    id = between.upstream.create(one_line(), collection_method="charge_automatically")
    between.upstream.unreachable = lambda request: b"paid" in request.content
    with pytest.raises(UpstreamError):
        between.settle()
    between.upstream.unreachable = lambda _request: False
    between.engine.run_until_idle()
    end_upstream(between, id, "void")
    assert found(between)[id] is not None
    (payment,) = between.here(id).payments
    between.billing.refunds.refund(payment.id, "100.00")
    between.settle()
    assert between.bridge.visit(id).stuck is None


def test_a_sweep_finds_what_was_voided_here_and_paid_upstream(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.billing.invoices.void(between.here(id).id)
    between.upstream.trigger(id, "paid")
    between.settle()
    assert "paid upstream and voided here: give the money back" in found(between)[id]


def test_what_is_over_on_both_sides_is_not_visited(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "void")
    between.settle()
    assert list(between.bridge.ids_to_visit()) == []


def test_what_went_upstream_is_looked_up_once_and_what_went_since_is_found(between):
    bridge = between.bridge
    ids = [between.upstream.create(one_line(), id=f"01J0000000000000000000000{n}") for n in (1, 2)]
    between.settle()
    between.upstream.trigger(ids[0], "void")
    between.settle()
    assert list(bridge.ids_to_visit()) == [ids[1]]
    between.billing.invoices.record_payment(between.here(ids[1]).id, "100.00", method="cash")
    between.upstream.trigger(ids[1], "void")
    assert list(bridge.ids_to_visit()) == [ids[1]]
    assert list(bridge.ids_to_visit()) == []


def test_a_void_that_the_provider_refused_is_found_again_by_each_sweep(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.books.fault("5xx_before", matching="/void", times=None, status=400)
    between.upstream.trigger(id, "void")
    between.settle()
    assert "the provider still has it" in found(between)[id]


# Failures.


@pytest.fixture
def objected(between_with: Callable[..., Between]):
    objection = Objection()
    between = between_with(overrides={"sandbox": [objection]})
    with between.open():
        yield between, objection


def test_what_failed_on_both_sides_says_why_and_where_it_is_mended(objected):
    between, _ = objected
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    stuck = found(between)[id]
    assert "draft.sync_failed upstream and draft.invalid here; Not this customer: mend that here" in stuck
    assert stuck.endswith("then retry it in OpenMeter")


def test_what_was_mended_here_alone_waits_for_a_retry_upstream_and_says_so(objected):
    between, objection = objected
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    objection.is_raised = False
    between.billing.invoices.retry(between.here(id).id)
    between.settle()
    assert "nothing is wrong with it here any more; retry it in OpenMeter" in found(between)[id]
    between.upstream.retry(id)
    between.settle()
    assert between.upstream.state(id) == "draft.manual_approval_needed"
    assert between.bridge.visit(id).stuck is None


def test_what_cant_be_mirrored_says_why_at_each_sweep(between):
    id = between.upstream.create(one_line("100.005"))
    between.settle()
    assert "100.005" in found(between)[id]


def test_where_openmeter_did_not_wait_a_refused_document_is_retried_here(between_with):
    objection = Objection()
    between = between_with(
        overrides={"sandbox": [objection]}, upstream=OpenMeterStandIn(draft_hook=False, issuing_hook=False)
    )
    with between.open():
        id = between.upstream.create(one_line())
        between.settle()
        here = between.here(id).id
        assert f"mend that here or at the customer, then: billhook invoices retry {here}" in found(between)[id]
        objection.is_raised = False
        between.billing.invoices.retry(here)
        between.settle()
        assert (between.here(id).status, found(between)[id]) == ("payment_processing.pending", None)


# Gone on one side.


def test_a_sweep_finds_what_was_deleted_here_while_it_is_a_draft_upstream(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.billing.invoices.delete(between.here(id).id)
    between.settle()
    assert "deleted here: delete it in OpenMeter too" in found(between)[id]
    between.upstream.delete(id)
    assert found(between) == {}


def test_what_was_deleted_here_does_not_leave_openmeter_waiting(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.billing.invoices.delete(between.here(id).id)
    between.settle()
    between.upstream.approve(id)
    between.settle()
    assert between.upstream.state(id) == "issuing.failed"
    assert "deleted here: delete it in OpenMeter too" in found(between)[id]


def test_a_delete_that_the_provider_refuses_is_found_and_says_how_it_ends(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.books.fault("5xx_before", matching="DELETE", times=None, status=400)
    between.upstream.delete(id)
    between.settle()
    here = between.here(id)
    assert here.status == "delete.failed"
    assert f"take the document away at the provider, then: billhook invoices delete {here.id}" in found(between)[id]
    between.books.clear_faults()
    between.billing.invoices.delete(here.id)
    between.settle()
    assert (between.here(id).status, found(between)) == ("deleted", {})


# Drafts that are not like others.


def test_a_draft_that_lost_every_line_goes_on_upstream_and_is_deleted_on_both_sides(between):
    id = between.upstream.create(one_line(), auto_advance=False)
    between.settle()
    between.upstream.edit(id, one_line(**GONE))
    between.settle()
    assert between.upstream.state(id) == "draft.manual_approval_needed"
    between.upstream.approve(id)
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("deleted", "deleted")
    assert [document.status for document in between.books.ledger.documents()] == ["deleted"]


def test_a_draft_that_never_had_a_line_is_not_made_here(between):
    id = between.upstream.create(one_line(**GONE))
    between.settle()
    assert between.upstream.state(id) == "deleted"
    assert between.books.ledger.documents() == ()


def test_a_draft_whose_lines_are_not_shown_but_that_comes_to_something_is_not_let_go(between):
    id = between.upstream.create(one_line(), facts={"lines": []})
    between.settle()
    assert between.upstream.state(id) == "draft.sync_failed"
    assert "its lines come to 0, and its total says 100.00" in found(between)[id]


@pytest.mark.parametrize("method", ["send_invoice", "charge_automatically"])
def test_an_invoice_over_nothing_is_issued_and_paid_on_both_sides_at_once(between, method):
    id = between.upstream.create(one_line("0"), collection_method=method)
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("paid", "paid")
    assert between.books.payments() == ()


def test_what_is_paid_upstream_while_it_is_a_draft_here_is_issued_and_paid(between_with):
    between = between_with(upstream=OpenMeterStandIn(draft_hook=False, issuing_hook=False))
    with between.open():
        id = between.upstream.create(one_line())
        assert between.bridge.visit(id).steps == (Step.MIRROR,)
        between.upstream.trigger(id, "paid")
        between.settle()
        assert between.here(id).status == "paid"
        (document,) = between.books.ledger.documents()
        assert (document.status, document.total) == ("paid", Decimal("100.00"))


# Overdue.


def test_what_is_overdue_upstream_is_so_here_and_money_ends_it(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.trigger(id, "payment_overdue")
    between.settle()
    assert between.here(id).status == "overdue"
    between.billing.invoices.record_payment(between.here(id).id, "100.00", method="cash")
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("paid", "paid")


def test_what_is_called_overdue_here_is_so_upstream(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.billing.invoices.payment_status(between.here(id).id, "payment_overdue")
    between.settle()
    assert between.upstream.state(id) == "overdue"


@pytest.mark.parametrize("side", ["upstream", "here"])
def test_a_retry_upstream_takes_overdue_back_on_both_sides(between, side):
    id = between.upstream.create(one_line())
    between.settle()
    if side == "upstream":
        between.upstream.trigger(id, "payment_overdue")
    else:
        between.billing.invoices.payment_status(between.here(id).id, "payment_overdue")
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("overdue", "overdue")
    between.upstream.retry(id)
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("payment_processing.pending",) * 2


def test_a_failed_payment_that_upstream_calls_overdue_is_overdue_on_both_sides(between):
    steered = {"openmeter.io/sandbox/target-payment-status": "failed"}
    id = between.upstream.create(one_line(), collection_method="charge_automatically", metadata=steered)
    between.settle()
    between.upstream.trigger(id, "payment_overdue")
    between.settle()
    assert (between.upstream.state(id), between.here(id).status) == ("overdue", "overdue")


# While nobody knows.


@pytest.mark.parametrize("trigger", ["payment_overdue", "payment_uncollectible", "void"])
def test_what_upstream_says_while_a_payment_is_unknown_is_asked_for_here_once(between, trigger):
    id = between.upstream.create(one_line(), collection_method="charge_automatically")
    for matching in ("POST /v1/payments", "GET /v1/payments"):
        between.books.fault("lost_response", matching=matching, times=None)
    for _ in range(8):
        between.bridge.visit(id)
        between.engine.run_until_idle()
    between.upstream.trigger(id, trigger)
    assert len(between.bridge.visit(id).steps) == 1
    assert between.bridge.visit(id).steps == ()
    between.settle()
    assert "It is not known whether Sandbox did collect_payment" in found(between)[id]


def test_a_state_that_is_not_known_is_named(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.upstream.invoices[id].state = "payment_processing_2.new"
    assert "which this version of the bridge does not know" in found(between)[id]


# Callbacks that come too late.


def overtaken(between: Between, path: str, does: Callable[[], object]) -> None:
    """Somebody else does that at the moment at which the bridge calls back."""
    answer = between.upstream._answer
    done: list[str] = []

    def answers(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(path) and not done:
            done.append(path)
            does()
        return answer(request)

    between.upstream._answer = answers


def test_a_callback_that_another_bridge_made_first_needs_nobody(between):
    id = between.upstream.create(one_line())
    other = between.bridge
    for _ in range(3):
        between.bridge.visit(id)
        between.engine.run_until_idle()
        if between.here(id).status == "draft.manual_approval_needed":
            break
    overtaken(between, "draft/synchronized", lambda: other.visit(id))
    visit = between.bridge.visit(id)
    assert between.upstream.refusals
    assert visit.stuck is None


def test_a_callback_that_is_refused_as_it_stands_is_tried_once_and_needs_a_person(between):
    id = between.upstream.create(one_line())
    between.settle()
    between.billing.invoices.record_payment(between.here(id).id, "100.00", method="cash")
    between.upstream.invoices[id].state = "payment_processing.booking_settled_failed"
    between.upstream.refusals.clear()
    assert "OpenMeter refuses tell_payment: paid is not permitted" in found(between)[id]
    assert len(between.upstream.refusals) == 1
