from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from billhook.domain.party import Address
from billhook.domain.states import State
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.customer_search import CustomerField, CustomerFilter, CustomerMatch, CustomerOrder, Match
from billhook.engine.resolving import resolve
from billhook.engine.work import CLAIMED, Lane
from billhook.errors import Conflict, Deleted, InUse, InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.testing.builders import a_line


class TestKeeping:
    def test_a_customer_is_found_by_id_and_by_key(self, desk):
        customer = desk.customers.create(
            "Ada Lovelace",
            key="ada",
            email="ada@example.org",
            tax_id="GB123",
            addresses=[Address(country="GB", city="London")],
            subject_keys=["engine-1"],
            currency="GBP",
            description="Keeps the engine",
            metadata={"crm": "7"},
        )
        assert desk.customers.get(customer.id) == desk.customers.get("ada") == customer
        assert (customer.party.id, customer.revision) == (customer.id, 1)

    def test_a_key_belongs_to_one_customer(self, desk):
        ada, bob = desk.customers.create("Ada", key="ada"), desk.customers.create("Bob")
        for command in (
            lambda: desk.customers.create("Other", key="ada"),
            lambda: desk.customers.update(bob.id, key="ada"),
        ):
            with pytest.raises(Conflict, match=ada.id) as refused:
                command()
            assert refused.value.code == "customer_key_taken"
        assert desk.customers.list().total_count == 2

    def test_wrong_values_leave_nothing_behind(self, desk):
        for values, code in (
            ({"currency": "XXQ"}, "currency_unknown"),
            ({"email": "nobody"}, "string_pattern_mismatch"),
        ):
            with pytest.raises(InvalidInput) as refused:
                desk.customers.create("Ada", **values)
            assert refused.value.code == code
        assert desk.all(schema.customer) == []

    def test_lists_come_in_pages(self, desk):
        names = [f"Customer {number}" for number in range(5)]
        for name in names:
            desk.customers.create(name)
            desk.clock.advance(timedelta(seconds=1))
        page = desk.customers.list(page=2, page_size=2)
        assert ([customer.name for customer in page.items], page.total_count) == (names[2:4], 5)
        with pytest.raises(InvalidInput) as refused:
            desk.customers.list(page=0)
        assert refused.value.code == "page_invalid"


class TestEditing:
    def know(self, desk, customer, app):
        link = {"customer_id": customer.id, "app_id": app.id, "synced_revision": 1, "external_id": "remote-1"}
        desk.write(lambda tx: tx.execute(sa.insert(schema.customer_link).values(link)))

    def test_an_edit_counts_the_revision_and_reaches_every_app_that_knows_the_customer(self, desk):
        customer, knowing, _ignorant = desk.customers.create("Ada", key="ada"), desk.an_app(), desk.an_app()
        self.know(desk, customer, knowing)
        edited = desk.customers.update("ada", email="ada@example.org", key=None)

        assert desk.customers.get(customer.id) == edited
        assert (edited.name, edited.key, edited.revision) == ("Ada", None, 2)
        work = desk.all(schema.work)
        assert [(row["item_id"], row["operation"], row["app_id"], row["lane"]) for row in work] == [
            (customer.id, "sync_customer", knowing.id, Lane.INTERACTIVE)
        ]
        assert next(row for row in desk.all(schema.app_lease) if row["app_id"] == knowing.id)["next_due"] is not None

    def test_an_edit_that_changes_nothing_asks_nobody(self, desk):
        customer = desk.customers.create("Ada")
        self.know(desk, customer, desk.an_app())
        assert desk.customers.update(customer.id, name="Ada") == customer
        assert desk.all(schema.work) == []

    def test_an_operation_under_way_is_not_taken_from_its_worker(self, desk):
        customer, app = desk.customers.create("Ada"), desk.an_app()
        self.know(desk, customer, app)
        desk.customers.update(customer.id, name="Ada L.")
        desk.write(lambda tx: tx.execute(sa.update(schema.work).values(state=CLAIMED, operation_id="op")))
        desk.customers.update(customer.id, name="Ada Lovelace")
        assert [(row["state"], row["operation_id"]) for row in desk.all(schema.work)] == [(CLAIMED, "op")]


class TestDeleting:
    def test_refused_while_an_invoice_is_open(self, desk):
        customer, profile = desk.customers.create("Ada"), desk.a_profile()
        invoice_id = desk.put_invoice(profile, State.PAYMENT_PENDING, customer.id)
        with pytest.raises(InUse, match=invoice_id):
            desk.customers.delete(customer.id)
        desk.set_state(invoice_id, State.PAID)
        desk.customers.delete(customer.id)
        assert desk.customers.get(customer.id).deleted_at is not None

    def test_refused_while_a_line_is_pending(self, desk):
        customer, _ = desk.customers.create("Ada"), desk.a_profile()
        gathered = desk.pending().add(customer.id, "EUR", [a_line(invoice_at=desk.clock.now())])
        with pytest.raises(InUse, match=gathered.gathering.id):
            desk.customers.delete(customer.id)

    def test_the_key_is_free_again_and_the_override_gone(self, desk):
        profile = desk.a_profile(is_default=False)
        customer = desk.customers.create("Ada", key="ada")
        desk.overrides.set(customer.id, profile_id=profile.id)
        desk.customers.delete("ada")
        desk.customers.delete(customer.id)

        another = desk.customers.create("Ada again", key="ada")
        assert desk.customers.get("ada") == another
        assert desk.customers.get(customer.id).key == "ada"
        assert [listed.id for listed in desk.customers.list().items] == [another.id]
        desk.profiles.delete(profile.id)

    def test_then_nothing_can_be_changed_or_invoiced(self, desk):
        desk.a_profile()
        customer = desk.customers.create("Ada")
        desk.customers.delete(customer.id)
        for command in (
            lambda: desk.customers.update(customer.id, name="Bob"),
            lambda: desk.overrides.resolve(customer.id),
            lambda: desk.pending().add(customer.id, "EUR", [a_line(invoice_at=desk.clock.now())]),
        ):
            with pytest.raises(Deleted) as refused:
                command()
            assert refused.value.code == "customer_deleted"


class TestOverrides:
    def test_the_workflow_is_the_profiles_with_what_the_override_states(self, desk):
        workflow = WorkflowConfig(auto_advance=False, due_after="P14D", collection_interval="PT2H")
        profile = desk.a_profile(workflow=workflow)
        customer = desk.customers.create("Ada")
        # The same value as OpenMeter's default, but stated: it wins over the profile's.
        desk.overrides.set(customer.id, workflow=WorkflowConfig(auto_advance=True))

        resolved = desk.overrides.resolve(customer.id)
        assert resolved.profile == profile
        assert resolved.customer == customer
        assert resolved.workflow == workflow.model_copy(update={"auto_advance": True})

    def test_a_pinned_profile_wins_over_the_default(self, desk):
        default, pinned = desk.a_profile(), desk.a_profile(is_default=False)
        customer = desk.customers.create("Ada")
        assert desk.overrides.resolve(customer.id).profile == default
        desk.overrides.set(customer.id, profile_id=pinned.id)
        assert desk.overrides.resolve(customer.id).profile == pinned
        desk.overrides.delete(customer.id)
        assert desk.overrides.resolve(customer.id).profile == default

    def test_by_key_within_the_callers_transaction(self, desk):
        desk.a_profile()
        customer = desk.customers.create("Ada", key="ada")
        resolved = desk.write(lambda tx: resolve(tx, "acme", customer_key="ada"))
        assert resolved.customer == customer

    def test_setting_again_replaces_and_keeps_the_day_of_the_first(self, desk):
        desk.a_profile()
        customer = desk.customers.create("Ada")
        first = desk.overrides.set(customer.id, workflow=WorkflowConfig(auto_advance=False))
        desk.clock.advance(timedelta(days=1))
        second = desk.overrides.set(customer.id, workflow=WorkflowConfig(due_after="P7D"))

        assert desk.overrides.get(customer.id) == second
        assert (second.created_at, second.updated_at) == (first.created_at, desk.clock.now())
        assert desk.overrides.resolve(customer.id).workflow.auto_advance
        assert desk.overrides.list().items == (second,)

    def test_switching_tax_off_for_one_customer_does_not_leave_it_enforced(self, desk):
        desk.a_profile(workflow=WorkflowConfig(tax_enforced=True))
        customer = desk.customers.create("Ada")
        desk.overrides.set(customer.id, workflow=WorkflowConfig(tax_enabled=False))
        workflow = desk.overrides.resolve(customer.id).workflow
        assert (workflow.tax_enabled, workflow.tax_enforced) == (False, False)

    def test_none_is_told_from_no_customer(self, desk):
        customer = desk.customers.create("Ada")
        for command in (desk.overrides.get, desk.overrides.delete):
            with pytest.raises(NotFound) as missing:
                command(customer.id)
            assert missing.value.code == "customer_override_not_found"
        with pytest.raises(NotFound) as unserved:
            desk.overrides.resolve(customer.id)
        assert unserved.value.code == "default_profile_not_found"
        with pytest.raises(NotFound) as unknown:
            desk.overrides.set("nobody", profile_id=None)
        assert unknown.value.kind == "customer"

    def test_a_deleted_or_foreign_profile_cannot_be_named(self, desk):
        customer, gone = desk.customers.create("Ada"), desk.a_profile(is_default=False)
        desk.profiles.delete(gone.id)
        with pytest.raises(NotAllowed):
            desk.overrides.set(customer.id, profile_id=gone.id)
        with pytest.raises(NotFound):
            desk.overrides.set(customer.id, profile_id=desk.beside("other").a_profile().id)
        assert desk.all(schema.customer_override) == []


class TestPinning:
    def test_a_pinned_customer_keeps_the_workflow_that_was_overridden(self, desk):
        default, other = desk.a_profile(), desk.a_profile(is_default=False)
        customer = desk.customers.create("Ada")
        desk.overrides.set(customer.id, workflow=WorkflowConfig(due_after="P7D"))

        pinned = desk.overrides.pin(customer.id, other.id)
        assert (pinned.profile, pinned.override.profile_id) == (other, other.id)
        assert pinned.workflow.due_after == timedelta(days=7)
        unpinned = desk.overrides.pin(customer.id, None)
        assert (unpinned.profile, unpinned.override.profile_id) == (default, None)
        assert unpinned.workflow.due_after == timedelta(days=7)

    def test_nothing_is_stored_where_no_profile_would_serve(self, desk):
        customer = desk.customers.create("Ada")
        with pytest.raises(NotFound) as refused:
            desk.overrides.pin(customer.id, None)
        assert refused.value.code == "default_profile_not_found"
        assert desk.all(schema.customer_override) == []


class TestFinding:
    @pytest.fixture
    def found(self, desk):
        """Finds names, in the order in which the customers were made."""
        desk.customers.create("Ada Lovelace", key="ADA", email="ada@example.org", subject_keys=["engine-1", "loom"])
        desk.clock.advance(timedelta(seconds=1))
        desk.customers.create("Jürgen GROSS", key="jg", subject_keys=["engine-2"])
        desk.clock.advance(timedelta(seconds=1))
        desk.customers.create("100% Tea_Ltd", email="tea@example.com")

        def find(*matches: CustomerMatch) -> list[str]:
            return [customer.name for customer in desk.customers.list(CustomerFilter(tuple(matches))).items]

        return find

    @pytest.mark.parametrize(
        "field, part, names",
        [
            ("name", "LOVE", ["Ada Lovelace"]),
            ("name", "JÜRGEN", ["Jürgen GROSS"]),
            ("name", "groß", ["Jürgen GROSS"]),
            ("name", "0% tea_", ["100% Tea_Ltd"]),
            ("name", "_", ["100% Tea_Ltd"]),
            ("key", "ad", ["Ada Lovelace"]),
            ("email", "EXAMPLE", ["Ada Lovelace", "100% Tea_Ltd"]),
            ("subject_key", "engine", ["Ada Lovelace", "Jürgen GROSS"]),
            ("key", "nobody", []),
        ],
    )
    def test_by_a_part_whatever_its_case(self, found, field, part, names):
        assert found(CustomerMatch(CustomerField(field), Match.CONTAINS, (part,))) == names

    def test_by_the_whole_word_as_it_is_written(self, found):
        assert found(CustomerMatch(CustomerField.KEY, Match.EQUALS, ("ADA",))) == ["Ada Lovelace"]
        assert found(CustomerMatch(CustomerField.KEY, Match.EQUALS, ("ada",))) == []
        assert found(CustomerMatch(CustomerField.KEY, Match.EQUALS, ("ADA", "jg"))) == ["Ada Lovelace", "Jürgen GROSS"]

    def test_by_what_is_not_there(self, found):
        assert found(CustomerMatch(CustomerField.EMAIL, negated=True)) == ["Jürgen GROSS"]
        assert found(CustomerMatch(CustomerField.KEY)) == ["Ada Lovelace", "Jürgen GROSS"]
        assert found(CustomerMatch(CustomerField.SUBJECT_KEY, Match.EQUALS, ("loom",), negated=True)) == [
            "Jürgen GROSS",
            "100% Tea_Ltd",
        ]

    def test_by_several_things_at_once(self, found):
        engine = CustomerMatch(CustomerField.SUBJECT_KEY, Match.CONTAINS, ("engine",))
        assert found(engine, CustomerMatch(CustomerField.KEY, Match.AFTER, ("ZZZ",))) == ["Jürgen GROSS"]

    def test_an_edited_customer_is_found_by_its_new_words_alone(self, desk, found):
        desk.customers.update("ADA", name="Countess", subject_keys=[])
        assert found(CustomerMatch(CustomerField.NAME, Match.CONTAINS, ("ada",))) == []
        assert found(CustomerMatch(CustomerField.NAME, Match.CONTAINS, ("count",))) == ["Countess"]
        assert found(CustomerMatch(CustomerField.SUBJECT_KEY, Match.CONTAINS, ("loom",))) == []

    def test_in_the_order_that_is_asked_for(self, desk, found):
        def names(order: CustomerOrder, *, descending: bool = False) -> list[str]:
            listed = desk.customers.list(order=order, descending=descending).items
            return [customer.name.split()[0] for customer in listed]

        assert names(CustomerOrder.NAME) == ["100%", "Ada", "Jürgen"]
        assert names(CustomerOrder.EMAIL) == ["Jürgen", "Ada", "100%"]
        assert names(CustomerOrder.ID, descending=True) == ["100%", "Jürgen", "Ada"]

    def test_by_the_profile_that_serves_them(self, desk):
        default, other = desk.a_profile(), desk.a_profile(is_default=False)
        ada = desk.customers.create("Ada")
        desk.clock.advance(timedelta(seconds=1))
        bob = desk.customers.create("Bob")
        desk.clock.advance(timedelta(seconds=1))
        eve = desk.customers.create("Eve")
        desk.overrides.pin(bob.id, other.id)
        desk.overrides.set(eve.id, workflow=WorkflowConfig(due_after="P7D"))

        def served(**wanted) -> list[str]:
            return [customer.id for customer in desk.customers.list(CustomerFilter(**wanted)).items]

        assert served(profile_ids=(default.id,)) == served(not_profile_ids=(other.id,)) == [ada.id, eve.id]
        assert served(profile_ids=(other.id,)) == [bob.id]
        assert served(ids=(ada.id, bob.id), profile_ids=(other.id,)) == [bob.id]

        def resolved(**wanted) -> list[str]:
            return [entry.customer.id for entry in desk.overrides.list_customers(**wanted).items]

        assert resolved() == [ada.id, bob.id, eve.id]
        assert resolved(overridden=True) == [bob.id, eve.id]
        assert resolved(unpinned=True) == [ada.id, eve.id]
        assert resolved(wanted=CustomerFilter(profile_ids=(other.id,))) == [bob.id]
        assert resolved(wanted=CustomerFilter(profile_ids=(default.id,)), overridden=True) == [eve.id]
        assert resolved(order=CustomerOrder.NAME, descending=True, page_size=2) == [eve.id, bob.id]

    def test_customers_that_no_profile_serves_are_left_out(self, desk):
        pinned = desk.a_profile(is_default=False)
        desk.customers.create("Ada")
        bob = desk.customers.create("Bob")
        desk.overrides.pin(bob.id, pinned.id)
        page = desk.overrides.list_customers()
        assert ([entry.profile for entry in page.items], page.total_count) == ([pinned], 1)


class TestNamespaces:
    @pytest.mark.parametrize(
        "command",
        [
            lambda desk, customer_id: desk.customers.get(customer_id),
            lambda desk, customer_id: desk.customers.get("ada"),
            lambda desk, customer_id: desk.customers.update(customer_id, name="Mine"),
            lambda desk, customer_id: desk.customers.delete(customer_id),
            lambda desk, customer_id: desk.overrides.set(customer_id, workflow=WorkflowConfig(auto_advance=False)),
            lambda desk, customer_id: desk.overrides.pin(customer_id, None),
            lambda desk, customer_id: desk.overrides.get(customer_id),
            lambda desk, customer_id: desk.overrides.delete(customer_id),
            lambda desk, customer_id: desk.overrides.resolve(customer_id),
            lambda desk, customer_id: desk.pending().add(customer_id, "EUR", [a_line(invoice_at=desk.clock.now())]),
        ],
    )
    def test_a_customer_of_another_namespace_is_not_found(self, desk, command):
        desk.a_profile()
        customer = desk.customers.create("Ada", key="ada")
        desk.overrides.set(customer.id, workflow=WorkflowConfig(auto_advance=True))
        elsewhere = desk.beside("other")
        elsewhere.a_profile()
        with pytest.raises(NotFound):
            command(elsewhere, customer.id)
        assert desk.customers.get("ada") == customer
        assert desk.overrides.list().total_count == 1
        assert elsewhere.overrides.list_customers().total_count == 0
        assert elsewhere.overrides.list().total_count == elsewhere.customers.list().total_count == 0

    def test_the_same_key_may_be_used_in_each(self, desk):
        mine, theirs = desk.customers.create("Ada", key="ada"), desk.beside("other").customers.create("Ada", key="ada")
        assert desk.customers.get("ada") == mine
        assert desk.beside("other").customers.get("ada") == theirs
