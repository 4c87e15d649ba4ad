from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billhook.contract import hookimpl
from billhook.domain.numbering import Gap, IssuedNumber, Series, SeriesKind, SeriesReset, SeriesScope
from billhook.engine.apps import Apps
from billhook.engine.number_series import SeriesCommands
from billhook.engine.numbers import NumberedDocument, Numbers
from billhook.engine.unit import Unit
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound
from billhook.store import schema

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def a_document(id: str, **changes) -> NumberedDocument:
    usual = {"namespace": "acme", "customer_id": "c1", "customer_name": "Test Customer", "customer_key": "test"}
    return NumberedDocument(**{"id": id, "profile": "Usual", "currency": "EUR", "at": NOON, **usual, **changes})


def take(desk, numbers, document, series="invoice", app=None):
    return desk.write(lambda tx: numbers.take(Unit(desk.context, tx), series, document, app))


def independent(desk, numbers, document, series="draft"):
    return desk.write(lambda tx: numbers.next_independent(Unit(desk.context, tx), series, document))


@pytest.fixture
def numbers(desk):
    return Numbers(desk.context)


class TestGapless:
    def test_numbers_follow_each_other_and_belong_to_their_documents_for_ever(self, desk, numbers):
        first, second = take(desk, numbers, a_document("d1")), take(desk, numbers, a_document("d2"))
        assert (first.number, second.number) == ("INV-TECU-1", "INV-TECU-2")
        assert take(desk, numbers, a_document("d1", customer_name="Renamed")) == first
        assert numbers.audit("acme", "invoice")["invoice"].is_whole

    def test_a_rolled_back_transaction_takes_nothing(self, desk, numbers):
        def take_and_fail(tx):
            numbers.take(Unit(desk.context, tx), "invoice", a_document("d1"))
            raise InvalidInput("no", "Not issued after all.")

        with pytest.raises(InvalidInput):
            desk.write(take_and_fail)
        assert take(desk, numbers, a_document("d2")).sequence == 1

    def test_sixteen_threads_of_two_processes_leave_no_gap_and_repeat_nothing(self, desk, second_desk):
        at = [(desk, Numbers(desk.context)), (second_desk, Numbers(second_desk.context))]
        ids = [f"d{count}" for count in range(128)]
        with ThreadPoolExecutor(16) as pool:
            # Every document is asked for by both.
            both = [[pool.submit(take, *side, a_document(id)) for side in at] for id in ids]
            taken = [[future.result() for future in pair] for pair in both]

        assert all(left == right for left, right in taken)
        assert sorted(left.sequence for left, _ in taken) == list(range(1, 129))
        audit = at[0][1].audit("acme", "invoice")
        assert list(audit) == ["invoice"]
        assert audit["invoice"].is_whole

    def test_each_namespace_counts_for_itself(self, desk, numbers):
        mine, theirs = take(desk, numbers, a_document("d1")), take(desk, numbers, a_document("d2", namespace="other"))
        assert (mine.sequence, theirs.sequence) == (1, 1)
        assert list(numbers.audit("other", "invoice")) == ["invoice"]
        assert numbers.audit("third", "invoice") == {}

    def test_none_is_taken_in_a_hosts_transaction(self, desk, numbers):
        with pytest.raises(NotAllowed) as refused:
            desk.write(lambda tx: numbers.take(Unit(desk.context, tx, bound=True), "invoice", a_document("d1")))
        assert refused.value.code == "number_in_host_transaction"
        assert desk.all(schema.sequence) == []

    def test_an_unknown_series_is_not_found(self, desk, numbers):
        with pytest.raises(NotFound):
            take(desk, numbers, a_document("d1"), "proforma")


class TestClaiming:
    """A worker numbers a whole batch outside the transaction, and has it confirmed inside."""

    def test_a_batch_is_claimed_as_a_whole_or_not_at_all(self, desk, numbers):
        def rows(first):
            return [IssuedNumber(first + place, f"INV-{first + place}", f"d{first + place}") for place in range(3)]

        with desk.context.database.read() as tx:
            _, counter = numbers.counter(tx, "invoice", a_document("d1"))
            following = numbers.peek(tx, counter)
        assert following == 1
        assert desk.write(lambda tx: numbers.claim(tx, counter, following, rows(1)))
        assert not desk.write(lambda tx: numbers.claim(tx, counter, following, rows(1)))

        with desk.context.database.read() as tx:
            assert numbers.peek(tx, counter) == 4
            assert numbers.bound(tx, ["d2", "d9"]) == {"d2": IssuedNumber(2, "INV-2", "d2")}
        assert take(desk, numbers, a_document("d4")).sequence == 4

    def test_two_processes_that_claim_the_same_values_get_them_once(self, desk, second_desk):
        def claim_one(side, id):
            numbers = Numbers(side.context)
            document = a_document(id)
            while True:
                with side.context.database.read() as tx:
                    _, counter = numbers.counter(tx, "invoice", document)
                    following = numbers.peek(tx, counter)
                row = IssuedNumber(following, f"INV-{following}", id)
                if side.write(lambda tx: numbers.claim(tx, counter, following, [row])):  # noqa: B023 - waits
                    return following

        with ThreadPoolExecutor(8) as pool:
            sides = [desk, second_desk] * 16
            taken = list(pool.map(claim_one, sides, [f"d{count}" for count in range(32)]))
        assert sorted(taken) == list(range(1, 33))
        assert Numbers(desk.context).audit("acme", "invoice")["invoice"].is_whole

    def test_values_that_do_not_follow_each_other_are_a_mistake(self, desk, numbers):
        with desk.context.database.read() as tx:
            _, counter = numbers.counter(tx, "invoice", a_document("d1"))
        with pytest.raises(ValueError, match="follow each other"):
            desk.write(lambda tx: numbers.claim(tx, counter, 1, [IssuedNumber(2, "INV-2", "d2")]))


class TestAudit:
    def test_a_cancelled_number_is_no_gap(self, desk, numbers):
        for id in ("d1", "d2", "d3"):
            take(desk, numbers, a_document(id))
        desk.write(lambda tx: numbers.cancel(Unit(desk.context, tx), "d2"))

        audit = numbers.audit("acme", "invoice")["invoice"]
        assert audit.is_whole
        assert [issued.document_id for issued in audit.cancelled] == ["d2"]
        assert take(desk, numbers, a_document("d2")).cancelled

    def test_what_somebody_removed_is_found_at_the_end_too(self, desk, numbers):
        for id in ("d1", "d2", "d3", "d4"):
            take(desk, numbers, a_document(id))
        gone = schema.taken_number.c.document_id.in_(["d2", "d4"])
        desk.write(lambda tx: tx.execute(sa.delete(schema.taken_number).where(gone)))
        assert numbers.audit("acme", "invoice")["invoice"].gaps == (Gap(2, 2), Gap(4, 4))

    def test_a_number_bears_the_year_that_it_is_where_the_seller_is(self, desk, numbers):
        series = SeriesCommands(desk.context, "acme")
        in_berlin = Series(
            name="invoice", template="{year}-{month}-{sequence}", reset="yearly", timezone="Europe/Berlin"
        )
        series.define(in_berlin)
        ends = [datetime(2026, 12, 31, hour, 30, tzinfo=UTC) for hour in (22, 23)]
        taken = [take(desk, numbers, a_document(f"d{at.hour}", at=at)).number for at in ends]
        assert taken == ["2026-12-1", "2027-01-1"]
        series.define(in_berlin.model_copy(update={"timezone": "UTC"}))
        assert take(desk, numbers, a_document("d24", at=ends[1])).number == "2026-12-2"

    def test_every_counter_of_a_series_is_looked_through(self, desk, numbers):
        series = Series(
            name="yearly", template="{year}-{customer_key}-{sequence:04d}", scope="customer", reset="yearly"
        )
        SeriesCommands(desk.context, "acme").define(series)
        new_year = NOON + timedelta(days=365)
        documents = [
            a_document("d1"),
            a_document("d2"),
            a_document("d3", at=new_year),
            a_document("d4", customer_id="c2", customer_key="two"),
        ]
        taken = [take(desk, numbers, document, "yearly").number for document in documents]

        assert taken == ["2026-test-0001", "2026-test-0002", "2027-test-0001", "2026-two-0001"]
        audits = numbers.audit("acme", "yearly")
        assert sorted(audits) == [
            "yearly/customer=c1/year=2026",
            "yearly/customer=c1/year=2027",
            "yearly/customer=c2/year=2026",
        ]
        assert all(audit.is_whole for audit in audits.values())


class TestIndependent:
    def test_numbers_never_repeat_although_each_process_reserves_its_own(self, desk, second_desk):
        sides = [(desk, Numbers(desk.context)), (second_desk, Numbers(second_desk.context))]
        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(independent, *sides[count % 2], a_document(f"d{count}")) for count in range(300)]
            given = [future.result() for future in futures]
        assert len(set(given)) == 300

    def test_a_block_reserved_in_a_rolled_back_transaction_is_not_used(self, desk, second_desk, numbers):
        def number_and_fail(tx):
            numbers.next_independent(Unit(desk.context, tx), "draft", a_document("d1"))
            raise InvalidInput("no", "Not kept after all.")

        with pytest.raises(InvalidInput):
            desk.write(number_and_fail)
        other = Numbers(second_desk.context)
        given = [independent(second_desk, other, a_document(f"a{count}")) for count in range(5)]
        given += [independent(desk, numbers, a_document(f"b{count}")) for count in range(5)]
        assert len(set(given)) == 10

    def test_many_in_one_transaction_cost_few_reservations(self, desk, numbers):
        def number_fifty(tx):
            unit = Unit(desk.context, tx)
            return [numbers.next_independent(unit, "draft", a_document(f"d{count}")) for count in range(50)]

        assert desk.write(number_fifty) == [f"DRAFT-TECU-{sequence}" for sequence in range(1, 51)]
        assert independent(desk, numbers, a_document("next")) == "DRAFT-TECU-51"

    def test_a_host_that_rolls_back_gives_nothing_back_twice_and_keeps_nobody_waiting(self, desk, numbers):
        database = desk.context.database
        with database.backend.engine.connect() as host, host.begin() as transaction:
            host.exec_driver_sql("BEGIN IMMEDIATE" if database.dialect == "sqlite" else "SELECT 1")
            with database.bind(host) as tx:
                given = [numbers.next_independent(Unit(desk.context, tx, bound=True), "draft", a_document("d1"))]
            # On PostgreSQL the host does not lock the counter; on SQLite everybody waits for a host that writes.
            if database.dialect == "postgresql":
                given.append(independent(desk, Numbers(desk.context), a_document("d2")))
            transaction.rollback()
        committed = [independent(desk, numbers, a_document(f"e{count}")) for count in range(5)]
        assert len(set(committed)) == 5
        assert database.dialect == "sqlite" or not set(committed) & set(given)

    def test_a_gapless_series_is_not_given_away_in_blocks(self, desk, numbers):
        with pytest.raises(InvalidInput) as refused:
            independent(desk, numbers, a_document("d1"), "invoice")
        assert refused.value.code == "number_series_of_other_kind"
        with pytest.raises(InvalidInput):
            take(desk, numbers, a_document("d1"), "draft")


class TestSeries:
    @pytest.fixture
    def series(self, desk):
        return SeriesCommands(desk.context, "acme")

    def test_a_new_template_goes_on_with_the_same_counter(self, desk, numbers, series):
        take(desk, numbers, a_document("d1"))
        series.define(Series(name="invoice", template="{year}/{sequence:05d}"))
        assert take(desk, numbers, a_document("d2")).number == "2026/00002"

    def test_once_it_counts_only_the_template_changes(self, desk, numbers, series):
        yearly = Series(name="invoice", template="{year}/{sequence:05d}", reset=SeriesReset.YEARLY)
        series.define(yearly)
        assert series.get("invoice") == yearly
        take(desk, numbers, a_document("d1"))
        with pytest.raises(Conflict) as refused:
            series.define(yearly.model_copy(update={"reset": SeriesReset.NEVER}))
        assert refused.value.code == "number_series_in_use"

    def test_two_series_never_write_the_same_numbers(self, series):
        with pytest.raises(Conflict) as refused:
            series.define(Series(name="other", template="INV-{customer_prefix}-{sequence}"))
        assert refused.value.code == "number_template_taken"

    def test_drafts_stay_independent(self, series):
        with pytest.raises(InvalidInput) as refused:
            series.define(Series(name="draft", template="D-{sequence}", kind=SeriesKind.GAPLESS))
        assert refused.value.code == "number_series_kind_fixed"

    def test_the_list_holds_defaults_and_own_ones_of_this_namespace(self, desk, series):
        series.define(Series(name="proforma", template="PF-{profile}-{sequence}", scope=SeriesScope.PROFILE))
        assert [one.name for one in series.list()] == ["credit-note", "draft", "gathering", "invoice", "proforma"]
        elsewhere = SeriesCommands(desk.context, "other")
        assert len(elsewhere.list()) == 4
        with pytest.raises(NotFound):
            elsewhere.get("proforma")


class Stamp:
    @hookimpl
    def assign_number(self, number):
        return f"{number.sequence}-{number.customer_key}" if number.currency == "EUR" else None


class TestShaping:
    def app(self, desk, overrides=None):
        apps = Apps(desk.context.apps.catalog, overrides or {})
        id = desk.an_app().id
        with desk.context.database.read() as tx:
            return apps.get(tx, id)

    def test_the_host_may_shape_the_reserved_value(self, desk, numbers):
        app = self.app(desk, {"books": [Stamp()]})
        assert take(desk, numbers, a_document("d1"), app=app).number == "1-test"
        assert take(desk, numbers, a_document("d2", currency="USD"), app=app).number == "INV-TECU-2"

    def test_a_number_that_the_app_does_not_take_is_not_used_up(self, desk, numbers):
        long = a_document("d1", customer_key="a-very-long-customer-key")
        with pytest.raises(InvalidInput, match="Books takes 20") as refused:
            take(desk, numbers, long, app=self.app(desk, {"books": [Stamp()]}))
        assert refused.value.code == "number_too_long"
        assert take(desk, numbers, long).sequence == 1

    def test_where_values_may_be_left_out_no_gap_is_told(self, desk, numbers):
        independent(desk, numbers, a_document("d1"))
        with pytest.raises(InvalidInput, match="nothing to audit") as refused:
            numbers.audit("acme", "draft")
        assert refused.value.code == "number_series_of_other_kind"
