from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from billhook.contract import MappedLine, hookimpl
from billhook.domain.states import State
from billhook.engine.apps import Apps
from billhook.engine.credentials import Credentials
from billhook.engine.records import AppStatus
from billhook.engine.work import CLAIMED, READY
from billhook.errors import ConfigError, Conflict, InUse, InvalidInput, NotFound, ProviderLoadError
from billhook.store import schema
from billhook.testing.builders import a_content, a_view, an_invoice

RULES = {"rules": [{"name": "the rest", "then": {"account": "260"}}]}


def credential_of(desk, app_id):
    """What is stored for the app."""
    with desk.context.database.read() as tx:
        credential_id = desk.context.apps.get(tx, app_id).credential_id
        return Credentials(desk.clock, desk.context.credential_keys).load(tx, credential_id)


class TestInstalling:
    def test_an_app_is_installed_with_a_lease_to_work_on(self, desk):
        app = desk.apps.install(
            "books", credentials={"api_key": "sesame"}, settings={"ledger": "uk"}, labels={"team": "a"}
        )

        assert desk.apps.get(app.id) == app
        assert (app.name, app.status, app.enabled, app.settings) == ("Books", AppStatus.READY, True, {"ledger": "uk"})
        assert [row["app_id"] for row in desk.all(schema.app_lease)] == [app.id]

    def test_an_app_without_its_credentials_waits_for_them(self, desk):
        app = desk.apps.install("books")
        assert app.status is AppStatus.UNAUTHORIZED

        assert desk.apps.set_credentials(app.id, {"api_key": "sesame"}).status is AppStatus.READY

    def test_an_unknown_type_is_answered_with_the_types_there_are(self, desk):
        with pytest.raises(ProviderLoadError, match=r"books, duty.*pip install .*xero"):
            desk.apps.install("xero")
        assert desk.apps.list().total_count == 0

    def test_settings_that_the_provider_does_not_take_leave_nothing_behind(self, desk):
        with pytest.raises(ConfigError, match="legder"):
            desk.apps.install("books", settings={"legder": "uk"})
        assert desk.all(schema.app) == desk.all(schema.app_lease) == desk.all(schema.credential) == []

    def test_mapping_rules_that_say_nothing_are_refused_by_name(self, desk):
        with pytest.raises(InvalidInput, match="seats"):
            desk.apps.install("duty", mapping={"rules": [{"name": "seats", "then": {}}]})

    def test_an_empty_name_is_refused(self, desk):
        with pytest.raises(InvalidInput) as refused:
            desk.apps.install("duty", name="")
        assert refused.value.path == "/name"


class TestSecrets:
    def test_no_result_and_no_error_shows_a_secret(self, desk):
        app = desk.apps.install("books", credentials={"api_key": "sesame-open"})
        with pytest.raises(ConfigError) as refused:
            desk.apps.set_credentials(app.id, {"api_kee": "sesame-shut"})
        with desk.context.database.read() as tx:
            handle = desk.context.apps.get(tx, app.id)
            credential = Credentials(desk.clock, desk.context.credential_keys).load(tx, handle.credential_id)

        shown = f"{app!r} {app.model_dump_json()} {handle!r} {credential!r} {refused.value}"
        assert "sesame" not in shown
        assert credential.secrets == {"api_key": "sesame-open"}

    def test_credentials_that_are_not_named_stay_and_one_is_taken_back(self, desk):
        app = desk.an_app()
        until = desk.clock.now() + timedelta(hours=1)
        desk.apps.set_credentials(app.id, {"api_key": "sesame"}, expire_at=until)

        desk.apps.set_credentials(app.id, {"webhook_key": "hook"})
        assert credential_of(desk, app.id).secrets == {"api_key": "sesame", "webhook_key": "hook"}
        assert credential_of(desk, app.id).expires_at == until
        desk.apps.set_credentials(app.id, {}, unset=["webhook_key"])
        assert credential_of(desk, app.id).secrets == {"api_key": "sesame"}

    def test_credentials_that_had_expired_are_tried_anew_once_they_are_changed(self, desk):
        app = desk.an_app()
        desk.apps.set_credentials(app.id, {"api_key": "old"}, expire_at=desk.clock.now())

        desk.apps.set_credentials(app.id, {"webhook_key": "hook"})
        assert credential_of(desk, app.id).expires_at == desk.clock.now()
        desk.apps.set_credentials(app.id, {"api_key": "new"})
        assert credential_of(desk, app.id).expires_at is None

    @pytest.mark.parametrize(
        "name, told",
        [("webhook_key", "no credential 'webhook_key'.*it has api_key"), ("api_key", "api_key: it is")],
    )
    def test_a_credential_that_is_not_there_or_that_is_needed_is_not_taken_back(self, desk, name, told):
        app = desk.an_app()
        before = credential_of(desk, app.id)
        with pytest.raises(ConfigError, match=told):
            desk.apps.set_credentials(app.id, {}, unset=[name])
        assert credential_of(desk, app.id) == before

    def test_only_one_of_two_refreshes_wins(self, desk):
        app = desk.an_app()
        credentials = Credentials(desk.clock, desk.context.credential_keys)
        id = desk.all(schema.app)[0]["credential_id"]

        assert desk.write(lambda tx: credentials.swap(tx, id, 1, {"api_key": "first"}))
        assert not desk.write(lambda tx: credentials.swap(tx, id, 1, {"api_key": "second"}))
        with desk.context.database.read() as tx:
            kept = credentials.load(tx, id)
        assert (kept.version, kept.secrets) == (2, {"api_key": "first"})
        assert desk.apps.get(app.id).status is AppStatus.READY

    def test_new_credentials_set_parked_work_going(self, desk):
        app = desk.an_app()
        here = schema.app.c.id == app.id
        desk.write(lambda tx: tx.execute(sa.update(schema.app).where(here).values(status="unauthorized")))
        woken = desk.context.wakeups.count

        assert desk.apps.set_credentials(app.id, {"api_key": "new"}).status is AppStatus.READY

        assert desk.all(schema.app_lease)[0]["next_due"] is not None
        assert desk.context.wakeups.count > woken
        assert desk.watcher.seen == [("ready", True)]

    def test_apps_that_share_a_grant_become_ready_together_and_the_last_one_takes_it_away(self, desk):
        first, second = desk.an_app(), desk.apps.install("books")
        id = desk.all(schema.credential)[0]["id"]
        shared = sa.update(schema.app).where(schema.app.c.id == second.id).values(credential_id=id)
        desk.write(lambda tx: tx.execute(shared))

        desk.apps.set_credentials(first.id, {"api_key": "new"})
        assert desk.apps.get(second.id).status is AppStatus.READY
        desk.apps.uninstall(first.id)
        assert len(desk.all(schema.credential)) == 1
        desk.apps.uninstall(second.id)
        assert desk.all(schema.credential) == []


class TestChanging:
    def test_settings_are_replaced_and_the_engine_sees_it_although_the_clock_stands_still(self, desk):
        app = desk.an_app(settings={"ledger": "uk"})
        with desk.context.database.read() as tx:
            before = desk.context.apps.get(tx, app.id)
        desk.apps.update(app.id, settings={"ledger": "us"}, mapping=RULES)
        with desk.context.database.read() as tx:
            after = desk.context.apps.get(tx, app.id)
            again = desk.context.apps.get(tx, app.id)

        assert (before.settings.ledger, after.settings.ledger) == ("uk", "us")
        assert before.mapping is None
        assert after.mapping is not None
        assert again is after

    def test_another_process_sees_the_change_too(self, desk, second_desk):
        app = desk.an_app(settings={"ledger": "uk"})
        with second_desk.context.database.read() as tx:
            assert second_desk.context.apps.get(tx, app.id).settings.ledger == "uk"
        desk.apps.update(app.id, settings={"ledger": "us"})
        with second_desk.context.database.read() as tx:
            assert second_desk.context.apps.get(tx, app.id).settings.ledger == "us"

    def test_a_status_that_changes_in_the_same_instant_is_seen(self, desk):
        app = desk.an_app()
        with desk.context.database.read() as tx:
            assert desk.context.apps.get(tx, app.id).status == "ready"
        desk.write(lambda tx: tx.execute(sa.update(schema.app).values(status="unauthorized")))
        with desk.context.database.read() as tx:
            assert desk.context.apps.get(tx, app.id).status == "unauthorized"

    def test_what_is_left_out_stays_and_none_clears(self, desk):
        app = desk.an_app(description="Ours", labels={"a": "b"}, mapping=RULES)
        changed = desk.apps.update(app.id, description=None)

        assert changed.description is None
        assert (changed.labels, changed.mapping, changed.has_credentials) == ({"a": "b"}, app.mapping, True)
        assert desk.apps.update(app.id, mapping=None).mapping is None

    def test_disabling_leaves_the_status_and_enabling_sets_work_going(self, desk):
        app = desk.an_app()
        assert (desk.apps.disable(app.id).enabled, desk.apps.get(app.id).status) == (False, AppStatus.READY)
        assert desk.all(schema.app_lease)[0]["next_due"] is None
        desk.clock.advance(timedelta(hours=1))

        assert desk.apps.enable(app.id).enabled
        assert desk.all(schema.app_lease)[0]["next_due"] is not None
        assert desk.watcher.seen == [("ready", False), ("ready", True)]


class TestUninstalling:
    def test_refused_while_a_billing_profile_needs_it(self, desk):
        app, other = desk.an_app(), desk.an_app()
        profile = desk.a_profile(app)
        with pytest.raises(InUse, match=f"billing profile {profile.id}"):
            desk.apps.uninstall(app.id)

        desk.a_profile(other)
        desk.profiles.delete(profile.id)
        desk.apps.uninstall(app.id)
        assert desk.apps.get(app.id).deleted_at is not None
        assert desk.all(schema.app_lease)[0]["app_id"] == other.id

    @pytest.mark.parametrize(
        "state", [State.DRAFT_SYNCING, State.ISSUING_FAILED, State.PAYMENT_PENDING, State.OVERDUE, State.DELETE_FAILED]
    )
    def test_refused_while_an_open_invoice_needs_it(self, desk, state):
        app = desk.an_app()
        profile = desk.a_profile(app)
        desk.a_profile(desk.an_app())
        desk.profiles.delete(profile.id)
        invoice_id = desk.put_invoice(profile, state)
        with pytest.raises(InUse, match=invoice_id):
            desk.apps.uninstall(app.id)

        desk.set_state(invoice_id, State.PAID)
        desk.apps.uninstall(app.id)

    @pytest.mark.parametrize(
        "table,open_state,closed_state,told",
        [
            (schema.payment, "action_required", "succeeded", "payment row-1"),
            (schema.refund, "processing", "succeeded", "refund row-1"),
            (schema.credit_note, "failed", "issued", "credit note row-1"),
            (schema.work, CLAIMED, READY, "a running operation for row-1"),
        ],
    )
    def test_refused_while_money_a_credit_note_or_an_operation_is_under_way(
        self, desk, table, open_state, closed_state, told
    ):
        app = desk.an_app()
        row = {
            column.name: 0 if column.type.python_type is int else "" for column in table.columns if not column.nullable
        }
        named = {"id": "row-1", "item_id": "row-1", "namespace": "acme", "app_id": app.id, "state": open_state}
        desk.write(lambda tx: tx.execute(sa.insert(table).values({**row, **{k: named[k] for k in named if k in row}})))
        with pytest.raises(InUse, match=told):
            desk.apps.uninstall(app.id)

        desk.write(lambda tx: tx.execute(sa.update(table).values(state=closed_state)))
        desk.apps.uninstall(app.id)
        assert desk.all(schema.work) == []

    def test_another_namespaces_invoices_hinder_nobody(self, desk):
        app, elsewhere = desk.an_app(), desk.beside("other")
        elsewhere.put_invoice(elsewhere.a_profile(), State.DRAFT_SYNCING)
        desk.apps.uninstall(app.id)

    def test_twice_is_fine_and_then_nothing_can_be_changed(self, desk):
        app = desk.an_app()
        desk.apps.uninstall(app.id)
        desk.apps.uninstall(app.id)
        with pytest.raises(Conflict) as refused:
            desk.apps.update(app.id, name="Again")
        assert refused.value.code == "app_deleted"
        assert desk.apps.list().items == ()
        assert [listed.id for listed in desk.apps.list(include_deleted=True).items] == [app.id]


class TestNamespaces:
    @pytest.mark.parametrize(
        "command",
        [
            lambda apps, app_id: apps.get(app_id),
            lambda apps, app_id: apps.update(app_id, name="Mine"),
            lambda apps, app_id: apps.disable(app_id),
            lambda apps, app_id: apps.set_credentials(app_id, {"api_key": "mine"}),
            lambda apps, app_id: apps.uninstall(app_id),
        ],
    )
    def test_an_app_of_another_namespace_is_not_found(self, desk, command):
        app = desk.an_app()
        with pytest.raises(NotFound):
            command(desk.beside("other").apps, app.id)
        assert desk.apps.get(app.id) == app
        assert desk.beside("other").apps.list().total_count == 0


class Override:
    def __init__(self, account: str, only: str | None = None) -> None:
        self.account, self.only = account, only

    @hookimpl
    def map_line(self, line):
        if self.only not in (None, line.name):
            return None
        return MappedLine(line.id, line.name, "override", account=self.account)


class TestMapping:
    def account(self, desk, app, overrides):
        apps = Apps(desk.context.apps.catalog, overrides)
        view = a_view(a_content(an_invoice(lines=1)))
        with desk.context.database.read() as tx:
            mapped = apps.map_line(apps.get(tx, app.id), view.lines[0], view)
        return None if mapped is None else (mapped.rule, mapped.account)

    def test_the_host_comes_before_the_rules_and_nobody_means_none(self, desk):
        with_rules, bare = desk.an_app(mapping=RULES), desk.an_app()
        assert self.account(desk, bare, {}) is None
        assert self.account(desk, with_rules, {}) == ("the rest", "260")
        assert self.account(desk, with_rules, {"books": [Override("1")]}) == ("override", "1")
        assert self.account(desk, with_rules, {"books": [Override("1", only="Other")]}) == ("the rest", "260")

    def test_an_override_for_one_app_comes_before_the_one_for_its_type(self, desk):
        app, other = desk.an_app(), desk.an_app()
        overrides = {"books": [Override("type")], app.id: [Override("app")]}
        assert self.account(desk, app, overrides) == ("override", "app")
        assert self.account(desk, other, overrides) == ("override", "type")
