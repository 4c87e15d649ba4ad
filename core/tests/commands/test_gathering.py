from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.domain.parsing import parse
from billhook.domain.period import Period, RecurringPeriod
from billhook.domain.price import UnitPrice
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.collection import cut_off, last_recurrence
from billhook.engine.pending_lines import namespaces_with_due_lines
from billhook.errors import Conflict, InvalidInput, NotFound
from billhook.store import schema
from billhook.testing.builders import a_line, an_id

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)  # when the desk's clock stands still
HOUR = timedelta(hours=1)
APRIL = Period(start=datetime(2026, 4, 1, tzinfo=UTC), end=datetime(2026, 5, 1, tzinfo=UTC))


def due(*, after=timedelta(), **changes):
    return a_line(**{"invoice_at": NOON + after, **changes})


def metered(name="Calls", **changes):
    return due(**{"name": name, "quantity": None, "feature_key": "calls", "period": APRIL, **changes})


class Meter:
    """Answers as it was told, and remembers what it was asked."""

    def __init__(self, answers) -> None:
        self.answers, self.asked = answers, []

    def quantities(self, questions):
        self.asked += questions
        return {question.line_id: self.answers[question.feature_key] for question in questions}


@pytest.fixture
def customer(desk, profile):
    return desk.customers.create("Test Customer", key="test")


class TestAdding:
    def test_lines_of_a_customer_and_currency_share_one_pool_with_a_number(self, desk, customer):
        pending = desk.pending()
        first = pending.add(customer.id, "EUR", [due(), due(name="Other")])
        second = pending.add(customer.id, "EUR", [due()])
        third = pending.add(customer.id, "USD", [due()])

        assert first.gathering == second.gathering
        assert (first.is_new, second.is_new, third.is_new) == (True, False, True)
        assert [g.gathering.number for g in (first, third)] == ["GATHER-TECU-EUR-1", "GATHER-TECU-USD-2"]
        assert pending.list(customer_id=customer.id).total_count == 4

    def test_a_line_comes_back_as_it_went_in(self, desk, customer):
        line = metered(id=an_id(7), metadata={"a": "b"}, price=UnitPrice(amount=Decimal("0.000120")), tax_config=None)
        gathered = desk.pending().add(customer.id, "EUR", [line])
        stored = desk.pending().list().items
        assert stored == gathered.lines
        assert (stored[0].id, stored[0].line) == (an_id(7), line)

    def test_every_line_that_could_never_be_invoiced_is_named(self, desk, customer):
        lines = [due(invoice_at=None), due(), metered(feature_key=None, period=None)]
        with pytest.raises(InvalidInput) as refused:
            desk.pending().add(customer.id, "EUR", lines)
        assert [(problem.code, problem.path) for problem in refused.value.problems] == [
            ("line_invoice_at_missing", "/lines/0/invoice_at"),
            ("line_feature_key_missing", "/lines/2/feature_key"),
            ("line_period_missing", "/lines/2/period"),
        ]
        assert desk.all(schema.gathering) == []

    def test_an_unknown_currency_and_a_taken_id_leave_nothing_behind(self, desk, customer):
        with pytest.raises(InvalidInput) as refused:
            desk.pending().add(customer.id, "XXQ", [due()])
        assert refused.value.code == "currency_unknown"
        desk.pending().add(customer.id, "EUR", [due(id=an_id(7))])
        for lines in ([due(), due(id=an_id(7))], [due(id=an_id(8)), due(id=an_id(8))]):
            with pytest.raises(Conflict) as taken:
                desk.pending().add(customer.id, "USD", lines)
            assert taken.value.code == "line_id_taken"
        assert desk.pending().list().total_count == len(desk.all(schema.gathering)) == 1

    def test_lines_are_removed_all_or_none(self, desk, customer):
        ids = [line.id for line in desk.pending().add(customer.id, "EUR", [due(), due()]).lines]
        with pytest.raises(NotFound):
            desk.pending().remove([ids[0], an_id(9)])
        assert desk.pending().list().total_count == 2
        desk.pending().remove(ids)
        assert desk.pending().list().total_count == 0

    def test_two_processes_make_one_pool(self, desk, second_desk, customer):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda other: other.pending().add(customer.id, "EUR", [due()]), [desk, second_desk] * 8))
        assert len(desk.all(schema.gathering)) == 1
        assert desk.pending().list().total_count == 16


class TestInvoicingNow:
    def test_due_lines_go_onto_one_invoice_a_currency_and_keep_their_ids(self, desk, customer, submitted):
        pending = desk.pending()
        euro = pending.add(customer.id, "EUR", [due(after=-HOUR), due(), due(after=HOUR, name="Later")]).lines
        dollar = pending.add(customer.id, "USD", [due()]).lines

        invoice_ids = desk.gathering(submitted).invoice_now(customer.id)

        drafts = [draft for draft, _ in submitted.drafts]
        assert [(draft.currency, [line.id for line in draft.lines]) for draft in drafts] == [
            ("EUR", [euro[0].id, euro[1].id]),
            ("USD", [dollar[0].id]),
        ]
        assert {draft.customer_id for draft in drafts} == {customer.id}
        assert set(invoice_ids) == {row["id"] for row in desk.all(schema.invoice)}
        assert [line.id for line in pending.list().items] == [euro[2].id]

    def test_what_is_refused_stays_pending(self, desk, customer, submitted):
        desk.pending().add(customer.id, "EUR", [due()])
        desk.pending().add(customer.id, "USD", [due()])
        submitted.refusal = InvalidInput("quantity_missing", "No usage was found.")
        with pytest.raises(InvalidInput):
            desk.gathering(submitted).invoice_now(customer.id)
        assert desk.all(schema.invoice) == []
        assert desk.pending().list().total_count == 2

    def test_only_the_named_lines(self, desk, customer, submitted):
        first, second, later = desk.pending().add(customer.id, "EUR", [due(), due(), due(after=HOUR)]).lines
        gathering = desk.gathering(submitted)
        with pytest.raises(InvalidInput) as early:
            gathering.invoice_now(customer.id, line_ids=[first.id, later.id])
        assert early.value.code == "invoice_lines_not_billable"
        with pytest.raises(NotFound):
            gathering.invoice_now(customer.id, line_ids=[an_id(9)])

        gathering.invoice_now(customer.id, line_ids=[second.id])
        assert [line.id for line in submitted.drafts[0][0].lines] == [second.id]

    def test_as_of_an_earlier_time_but_no_later_one(self, desk, customer, submitted):
        early, _ = desk.pending().add(customer.id, "EUR", [due(after=-2 * HOUR), due()]).lines
        gathering = desk.gathering(submitted)
        gathering.invoice_now(customer.id, as_of=NOON - HOUR)
        assert [line.id for line in submitted.drafts[0][0].lines] == [early.id]
        with pytest.raises(InvalidInput) as refused:
            gathering.invoice_now(customer.id, as_of=NOON + HOUR)
        assert refused.value.code == "as_of_in_future"

    def test_nothing_due_makes_nothing(self, desk, customer, submitted):
        desk.pending().add(customer.id, "EUR", [due(after=HOUR)])
        with pytest.raises(InvalidInput) as refused:
            desk.gathering(submitted).invoice_now(customer.id)
        assert refused.value.code == "invoice_create_no_lines"
        assert submitted.drafts == []

    def test_usage_is_asked_for_metered_lines_alone(self, desk, customer, submitted):
        line = desk.pending().add(customer.id, "EUR", [metered(), due(), metered(quantity=Decimal(3))]).lines[0]
        meter = Meter({"calls": Decimal("1234.5")})
        desk.gathering(submitted, meter).invoice_now(customer.id)

        assert [(asked.line_id, asked.customer_id, asked.feature_key, asked.period) for asked in meter.asked] == [
            (line.id, customer.id, "calls", APRIL)
        ]
        draft, quantities = submitted.drafts[0]
        assert quantities == {line.id: Decimal("1234.5")}
        assert draft.period == APRIL

    def test_two_at_once_invoice_a_line_once(self, desk, second_desk, customer, submitted):
        desk.pending().add(customer.id, "EUR", [due() for _ in range(5)])

        def outcome(other) -> str:
            try:
                return f"{len(other.gathering(submitted).invoice_now(customer.id))} invoice"
            except (Conflict, InvalidInput) as refusal:
                return refusal.code

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(outcome, [desk, second_desk] * 4))
        assert outcomes.count("1 invoice") == len(desk.all(schema.invoice)) == 1
        assert set(outcomes) <= {"1 invoice", "pending_lines_changed", "invoice_create_no_lines"}


class TestCollecting:
    def test_every_customers_due_lines_are_invoiced_and_the_rest_waits(self, desk, customer, submitted):
        other, early = desk.customers.create("Other"), desk.customers.create("Early")
        for id, after in ((customer.id, timedelta()), (other.id, -HOUR), (early.id, HOUR)):
            desk.pending().add(id, "EUR", [due(after=after)])

        collected = desk.gathering(submitted).collect_due()
        assert len(collected.invoice_ids) == 2
        assert [line.customer_id for line in desk.pending().list().items] == [early.id]
        assert desk.gathering(submitted).collect_due().invoice_ids == ()

    def test_anchored_collection_waits_for_its_day(self, desk, customer, submitted):
        anchored = {
            "collection_alignment": "anchored",
            "collection_anchor": {"interval": "P1M", "anchor": "2026-01-15T00:00:00Z"},
        }
        desk.overrides.set(customer.id, workflow=parse(WorkflowConfig, anchored))
        desk.pending().add(customer.id, "EUR", [due()])
        gathering = desk.gathering(submitted)
        assert gathering.collect_due().invoice_ids == ()

        desk.clock.advance(timedelta(days=14))
        assert len(gathering.collect_due().invoice_ids) == 1

    def test_invoice_now_does_not_wait_for_the_anchor(self, desk, customer, submitted):
        anchored = {
            "collection_alignment": "anchored",
            "collection_anchor": {"interval": "P1M", "anchor": "2026-01-15T00:00:00Z"},
        }
        desk.overrides.set(customer.id, workflow=parse(WorkflowConfig, anchored))
        desk.pending().add(customer.id, "EUR", [due()])
        assert len(desk.gathering(submitted).invoice_now(customer.id)) == 1

    def test_a_customer_that_cannot_be_invoiced_hinders_nobody_and_is_logged(self, desk, customer, submitted, caplog):
        other = desk.customers.create("Other")
        for id in (customer.id, other.id):
            desk.pending().add(id, "EUR", [due()])

        def refuse_the_first(unit, draft, *, quantities):
            if draft.customer_id == customer.id:
                raise InvalidInput("quantity_missing", "No usage was found.")
            return submitted(unit, draft, quantities=quantities)

        collected = desk.gathering(refuse_the_first).collect_due()
        assert len(collected.invoice_ids) == 1
        assert {id: error.code for id, error in collected.refused.items()} == {customer.id: "quantity_missing"}
        assert [line.customer_id for line in desk.pending().list().items] == [customer.id]
        (record,) = caplog.records
        assert (record.name, record.getMessage()) == ("billhook", "The pending lines of a customer stay pending.")
        assert (record.billhook_customer, record.billhook_reason) == (customer.id, "No usage was found.")

    def test_each_namespace_collects_its_own(self, desk, customer, submitted):
        desk.pending().add(customer.id, "EUR", [due()])
        elsewhere = desk.beside("other")
        assert elsewhere.gathering(submitted).collect_due().invoice_ids == ()
        with pytest.raises(NotFound):
            elsewhere.gathering(submitted).invoice_now(customer.id)
        with pytest.raises(NotFound):
            elsewhere.pending().remove([desk.pending().list().items[0].id])
        with desk.context.database.read() as tx:
            assert namespaces_with_due_lines(tx, desk.clock.now()) == ["acme"]
        assert elsewhere.pending().list().total_count == 0


class TestAnchors:
    @pytest.mark.parametrize(
        "interval,anchor,now,last",
        [
            ("P1M", "2026-01-31T00:00:00Z", "2026-03-30T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("P1M", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("P1Y", "2024-02-29T00:00:00Z", "2026-05-01T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("P7D", "2026-01-05T09:00:00Z", "2026-05-04T08:59:59Z", "2026-04-27T09:00:00Z"),
            ("P1M", "2030-01-15T00:00:00Z", "2026-05-01T00:00:00Z", "2026-04-15T00:00:00Z"),
            ("P1M", "1900-12-31T00:00:00Z", "2026-05-01T00:00:00Z", "2026-04-30T00:00:00Z"),
            ("P0D", "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
        ],
    )
    def test_the_last_recurrence_is_counted_from_the_anchor(self, interval, anchor, now, last):
        recurring = parse(RecurringPeriod, {"interval": interval, "anchor": anchor})
        assert last_recurrence(recurring, datetime.fromisoformat(now)) == datetime.fromisoformat(last)

    def test_subscription_alignment_collects_up_to_now(self):
        assert cut_off(WorkflowConfig(), NOON) == NOON
