"""What single apps know of a customer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from billhook.engine.customer_apps import CustomerAppEntry
from billhook.engine.work import CLAIMED, Lane
from billhook.errors import Conflict, Deleted, InvalidInput, NotFound
from billhook.store import schema


@pytest.fixture
def ada(desk):
    return desk.customers.create("Ada", key="ada")


def put_link(desk, customer, app, **more):
    link = {"customer_id": customer.id, "app_id": app.id, "synced_revision": 1, **more}
    desk.write(lambda tx: tx.execute(sa.insert(schema.customer_link).values(link)))


def test_a_host_names_the_customer_that_is_at_the_provider_already(desk, ada):
    app = desk.an_app()
    (known,) = desk.customer_apps.set(
        ada.id, [CustomerAppEntry(app.id, external_id="cus_1", payment_method="pm_1", data={"mandate": "MD1"})]
    )
    assert (known.external_id, known.payment_method, known.data) == ("cus_1", "pm_1", {"mandate": "MD1"})
    assert desk.customer_apps.list(ada.id) == (known,)


def test_what_an_entry_leaves_out_stays(desk, ada):
    app = desk.an_app()
    put_link(desk, ada, app, external_id="cus_1", app_data='{"a": "b"}')
    (known,) = desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, payment_method="pm_1")])
    assert (known.external_id, known.payment_method, known.data) == ("cus_1", "pm_1", {"a": "b"})
    assert desk.all(schema.customer_link)[0]["synced_revision"] == 1


def test_another_external_id_is_brought_up_to_date_when_it_is_next_needed(desk, ada):
    app = desk.an_app()
    put_link(desk, ada, app, external_id="cus_1", failure='[{"code": "x"}]')
    (known,) = desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, external_id="cus_2")])
    assert not known.is_refused
    assert desk.all(schema.customer_link)[0]["synced_revision"] is None


def test_the_external_id_does_not_change_while_the_customer_is_being_brought_there(desk, ada):
    app = desk.an_app()
    put_link(desk, ada, app, external_id="cus_1")
    work = {"item_id": ada.id, "operation": "sync_customer", "app_id": app.id, "subject_id": ada.id, "due": 0}
    desk.write(lambda tx: tx.execute(sa.insert(schema.work).values(work | {"state": CLAIMED, "lane": Lane.BULK})))
    for command in (
        lambda: desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, external_id="cus_2")]),
        lambda: desk.customer_apps.delete(ada.id, app.id),
    ):
        with pytest.raises(Conflict) as refused:
            command()
        assert refused.value.code == "customer_under_way"
    (known,) = desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, payment_method="pm_1")])
    assert known.external_id == "cus_1"


def test_all_entries_or_none(desk, ada):
    app = desk.an_app()
    with pytest.raises(NotFound):
        desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, external_id="cus_1"), CustomerAppEntry(ada.id)])
    with pytest.raises(InvalidInput) as refused:
        desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, data={"": "no name"})])
    assert refused.value.path.startswith("/data")
    assert desk.customer_apps.list(ada.id) == ()


def test_forgetting_twice_is_fine_and_an_uninstalled_app_knows_nobody(desk, ada):
    app, other = desk.an_app(), desk.an_app("duty")
    desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id, data={"a": "b"}), CustomerAppEntry(other.id)])
    assert {known.app_id for known in desk.customer_apps.list(ada.id)} == {app.id, other.id}
    desk.customer_apps.delete(ada.id, app.id)
    desk.customer_apps.delete(ada.id, app.id)
    desk.apps.uninstall(other.id)
    assert desk.customer_apps.list(ada.id) == ()
    with pytest.raises(NotFound):
        desk.customer_apps.set(ada.id, [CustomerAppEntry(other.id)])


def test_nothing_is_kept_for_a_deleted_customer(desk, ada):
    app = desk.an_app()
    desk.customers.delete(ada.id)
    for command in (
        lambda: desk.customer_apps.list(ada.id),
        lambda: desk.customer_apps.set(ada.id, [CustomerAppEntry(app.id)]),
        lambda: desk.customer_apps.delete(ada.id, app.id),
    ):
        with pytest.raises(Deleted):
            command()


def test_the_apps_of_the_next_invoice_come_once_each(desk, ada):
    books, duty = desk.an_app(), desk.an_app("duty")
    desk.a_profile(books, tax_app_id=duty.id)
    assert desk.customer_apps.profile_apps(ada.id) == (books, duty)


def test_the_apps_of_the_profile_that_serves_from_now_on_are_told(desk, ada):
    books, duty = desk.an_app(), desk.an_app()
    desk.a_profile(books)
    other = desk.a_profile(duty, is_default=False)

    def tell_the_first(apps):
        return [CustomerAppEntry(apps[0].id, data={"a": "b"})]

    assert desk.customer_apps.pin_and_set(ada.id, other.id, tell_the_first).profile == other
    assert [known.app_id for known in desk.customer_apps.list(ada.id)] == [duty.id]
    (known,) = desk.customer_apps.set(ada.id, tell_the_first)
    assert known.app_id == duty.id


def test_a_customer_is_not_pinned_where_the_apps_can_not_be_told(desk, ada):
    desk.a_profile()
    other = desk.a_profile(is_default=False)
    with pytest.raises(NotFound):
        desk.customer_apps.pin_and_set(ada.id, other.id, lambda apps: [CustomerAppEntry(ada.id)])
    assert desk.all(schema.customer_override) == []


def test_another_namespace_knows_nothing_of_it(desk, ada):
    app, elsewhere = desk.an_app(), desk.beside("other")
    for command in (
        lambda: elsewhere.customer_apps.list(ada.id),
        lambda: elsewhere.customer_apps.set(ada.id, [CustomerAppEntry(app.id)]),
        lambda: elsewhere.customer_apps.delete(ada.id, app.id),
    ):
        with pytest.raises(NotFound):
            command()
    bob = elsewhere.customers.create("Bob")
    with pytest.raises(NotFound):
        elsewhere.customer_apps.set(bob.id, [CustomerAppEntry(app.id)])
    assert elsewhere.apps.by_id([app.id]) == {}
    assert desk.apps.by_id([app.id, ada.id]) == {app.id: app}
