from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from billhook.domain.parsing import parse
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.profile_commands import ProfileOrder
from billhook.engine.records import BillingProfile
from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.testing.builders import a_supplier


class TestTheDefault:
    def test_a_new_default_takes_the_place_of_the_one_before(self, desk):
        first = desk.a_profile(name="First")
        second = desk.a_profile(name="Second")

        assert desk.profiles.default() == second
        assert not desk.profiles.get(first.id).is_default

    def test_an_update_can_make_a_profile_the_default(self, desk):
        first, second = desk.a_profile(), desk.a_profile(is_default=False)
        desk.profiles.update(second.id, is_default=True)
        assert [profile.id for profile in desk.profiles.list().items if profile.is_default] == [second.id]
        assert not desk.profiles.get(first.id).is_default

    def test_it_can_neither_be_unset_nor_deleted(self, desk):
        profile = desk.a_profile()
        with pytest.raises(NotAllowed) as unset:
            desk.profiles.update(profile.id, is_default=False)
        with pytest.raises(NotAllowed) as deleted:
            desk.profiles.delete(profile.id)
        codes = (unset.value.code, deleted.value.code)
        assert codes == ("default_profile_cannot_be_unset", "default_profile_cannot_be_deleted")
        assert desk.profiles.default() == profile

    def test_without_one_the_error_says_so(self, desk):
        desk.a_profile(is_default=False)
        with pytest.raises(NotFound) as missing:
            desk.profiles.default()
        assert missing.value.code == "default_profile_not_found"


class TestTheApps:
    def test_the_three_may_differ(self, desk):
        books, duty, other = desk.an_app(), desk.an_app("duty"), desk.an_app("duty")
        profile = desk.a_profile(books, tax_app_id=duty.id, payment_app_id=other.id)
        assert desk.profiles.get(profile.id) == profile

    def test_the_invoicing_app_must_be_able_to_issue(self, desk):
        with pytest.raises(InvalidInput, match="Duty does not declare issue") as refused:
            desk.a_profile(desk.an_app("duty"))
        assert refused.value.path == "/invoicing_app_id"
        assert desk.all(schema.profile) == []

    def test_an_app_of_another_namespace_or_an_uninstalled_one_is_not_found(self, desk):
        elsewhere, gone = desk.beside("other").an_app(), desk.an_app()
        desk.apps.uninstall(gone.id)
        for app in (elsewhere, gone):
            with pytest.raises(NotFound, match=app.id):
                desk.a_profile(app)


class TestChanging:
    def test_everything_but_the_apps_can_change(self, desk):
        profile = desk.a_profile(description="Old", metadata={"a": "b"})
        desk.clock.advance(timedelta(hours=1))
        workflow = WorkflowConfig(auto_advance=False, draft_period="P1M")
        changed = desk.profiles.update(
            profile.id, name="New", description=None, supplier=a_supplier(name="Other"), workflow=workflow
        )

        assert desk.profiles.get(profile.id) == changed
        assert (changed.name, changed.description, changed.supplier.name) == ("New", None, "Other")
        assert (changed.workflow, changed.metadata) == (workflow, {"a": "b"})
        assert changed.updated_at > profile.updated_at

    def test_the_whole_workflow_survives_storing(self, desk):
        anchored = {
            "collection_alignment": "anchored",
            "collection_anchor": {"interval": "P1M", "anchor": "2026-01-31T00:00:00Z"},
            "default_tax_config": {"behavior": "inclusive", "rates": [{"name": "VAT", "percentage": "19"}]},
            "tax_enforced": True,
        }
        profile = desk.a_profile(workflow=parse(WorkflowConfig, anchored))
        assert desk.profiles.get(profile.id).workflow == profile.workflow

    def test_tax_can_be_enforced_only_where_it_is_enabled(self):
        with pytest.raises(InvalidInput) as refused:
            parse(WorkflowConfig, {"tax_enabled": False, "tax_enforced": True})
        assert refused.value.code == "tax_enforced_while_off"

    @pytest.mark.parametrize("name", ["", "x" * 257])
    def test_a_name_has_1_to_256_characters(self, desk, name):
        with pytest.raises(InvalidInput) as refused:
            desk.a_profile(name=name)
        assert refused.value.path == "/name"


class TestAmending:
    def test_what_is_not_stated_stays(self, desk):
        supplier = a_supplier(name="ACME", email="billing@acme.example")
        profile = desk.a_profile(supplier=supplier, workflow=WorkflowConfig(overdue_after_due=True, due_after="P14D"))
        changed = desk.profiles.amend(
            profile.id, name="New", supplier={"name": "ACME Ltd"}, workflow={"due_after": "P7D"}
        )

        assert (changed.name, changed.supplier) == ("New", supplier.model_copy(update={"name": "ACME Ltd"}))
        assert changed.workflow == WorkflowConfig(overdue_after_due=True, due_after="P7D")
        assert desk.profiles.get(profile.id) == changed

    def test_tax_rates_stay_where_a_tax_configuration_states_none(self, desk):
        rates = [{"name": "VAT", "percentage": "19"}]
        profile = desk.a_profile(workflow=parse(WorkflowConfig, {"default_tax_config": {"rates": rates}}))
        inclusive = desk.profiles.amend(profile.id, workflow={"default_tax_config": {"behavior": "inclusive"}})
        tax = inclusive.workflow.default_tax_config
        assert (tax.behavior, [rate.name for rate in tax.rates]) == ("inclusive", ["VAT"])

        without = desk.profiles.amend(profile.id, workflow={"default_tax_config": None})
        assert without.workflow.default_tax_config is None

    def test_what_would_not_fit_together_is_refused(self, desk):
        profile = desk.a_profile(workflow=WorkflowConfig(tax_enforced=True))
        with pytest.raises(InvalidInput) as refused:
            desk.profiles.amend(profile.id, workflow={"tax_enabled": False})
        assert refused.value.code == "tax_enforced_while_off"
        assert desk.profiles.get(profile.id) == profile


class TestListing:
    def test_profiles_come_in_the_order_that_is_asked_for(self, desk):
        beta = desk.a_profile(name="Beta", is_default=False)
        desk.a_profile(name="Alpha")
        desk.clock.advance(timedelta(hours=1))
        desk.profiles.update(beta.id, description="Changed")

        def names(order: ProfileOrder, *, descending: bool = False) -> list[str]:
            return [profile.name for profile in desk.profiles.list(order=order, descending=descending).items]

        assert names(ProfileOrder.NAME) == names(ProfileOrder.UPDATED_AT) == ["Alpha", "Beta"]
        assert names(ProfileOrder.DEFAULT) == names(ProfileOrder.NAME, descending=True) == ["Beta", "Alpha"]


class TestDeleting:
    def test_refused_while_an_override_names_it(self, desk):
        desk.a_profile()
        pinned = desk.a_profile(is_default=False)
        customer = desk.customers.create("Ada")
        desk.overrides.set(customer.id, profile_id=pinned.id)
        with pytest.raises(NotAllowed, match=customer.id) as refused:
            desk.profiles.delete(pinned.id)
        assert refused.value.code == "profile_referenced"

        desk.overrides.delete(customer.id)
        desk.profiles.delete(pinned.id)

    def test_a_deleted_one_stays_readable_and_can_be_deleted_again_but_not_changed(self, desk):
        profile = desk.a_profile(is_default=False)
        desk.profiles.delete(profile.id)
        desk.profiles.delete(profile.id)

        assert desk.profiles.get(profile.id).deleted_at is not None
        assert desk.profiles.list().items == ()
        assert desk.profiles.list(include_deleted=True).total_count == 1
        with pytest.raises(NotAllowed) as refused:
            desk.profiles.update(profile.id, name="Again")
        assert refused.value.code == "profile_already_deleted"


class TestNamespaces:
    @pytest.mark.parametrize(
        "command",
        [
            lambda profiles, profile_id: profiles.get(profile_id),
            lambda profiles, profile_id: profiles.update(profile_id, name="Mine"),
            lambda profiles, profile_id: profiles.delete(profile_id),
        ],
    )
    def test_a_profile_of_another_namespace_is_not_found(self, desk, command):
        profile = desk.a_profile(is_default=False)
        with pytest.raises(NotFound):
            command(desk.beside("other").profiles, profile.id)
        assert desk.profiles.get(profile.id) == profile

    def test_each_namespace_has_a_default_of_its_own(self, desk):
        mine, theirs = desk.a_profile(), desk.beside("other").a_profile()
        assert (desk.profiles.default(), desk.beside("other").profiles.default()) == (mine, theirs)


def test_two_processes_that_make_a_default_at_once_end_with_one(desk, second_desk):
    app = desk.an_app()
    usual = {"supplier": a_supplier(), "tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}

    def create_in(other) -> BillingProfile:
        return other.profiles.create("Usual", is_default=True, **usual)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create_in, [desk, second_desk] * 8))
    defaults = [row["id"] for row in desk.all(schema.profile) if row["is_default"]]
    assert len(made) == 16
    assert len(defaults) == 1
