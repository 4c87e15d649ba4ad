"""Apps and the catalog in both forms of the API and in our own: installing, showing, changing, taking away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from engine_kit import NOON, Shop, a_provider, careful_draft, dice
from granting import CLIENT_SECRET, GrantServer, GrantsProvider
from openmeter.models import CustomInvoicingAppReplaceUpdate, MarketplaceInstallRequestPayload
from server_kit import ELSEWHERE, Served, serving

from billhook.clock import TurnedClock
from billhook.contract.requests import Outgoing
from billhook.engine.engine import Engine
from billhook.plugins.catalog import ProviderCatalog
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.server.connections import PATIENCE, OAuth2Client
from billhook.testing.builders import CREDENTIAL_KEYS, an_id
from billhook.testing.sandbox import provider as sandbox

V3 = "/api/v3/openmeter"
OWN = "/api/billhook/v1"
BOOKS = a_provider(sync_draft=careful_draft, credentials=True)
Serve = Callable[..., Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    """With a provider that OpenMeter knows nothing of, and that is let in by a token."""
    return serve(custom_invoicing, sandbox, BOOKS)


def an_update(**changes: Any) -> dict[str, Any]:
    usual = {
        "type": "custom_invoicing",
        "name": "Ours",
        "enableDraftSyncHook": True,
        "enableIssuingSyncHook": False,
    }
    return {**usual, **changes}


# The catalog.


def test_the_catalog_lists_what_the_document_has_types_for(served):
    page = served.call("GET", "/api/v1/marketplace/listings", expect=200).json()
    assert [item["type"] for item in page["items"]] == ["custom_invoicing", "sandbox"]
    assert (page["totalCount"], page["page"], page["pageSize"]) == (2, 1, 100)
    custom = page["items"][0]
    assert custom["installMethods"] == ["no_credentials_required"]
    assert [each["type"] for each in custom["capabilities"]] == ["calculateTax", "invoiceCustomers", "collectPayments"]
    second = served.call("GET", "/api/v1/marketplace/listings", params={"page": 2, "pageSize": 1}, expect=200).json()
    assert [item["type"] for item in second["items"]] == ["sandbox"]
    page = served.call("GET", f"{V3}/app-catalog", expect=200).json()
    assert [item["type"] for item in page["data"]] == ["external_invoicing", "sandbox"]
    assert page["meta"] == {"page": {"number": 1, "size": 100, "total": 2}}


def test_one_item_of_the_catalog(served):
    assert served.call("GET", "/api/v1/marketplace/listings/sandbox", expect=200).json()["name"] == "Sandbox"
    item = served.call("GET", f"{V3}/app-catalog/external_invoicing", expect=200).json()
    assert item["name"] == "Custom Invoicing"
    served.problem("GET", "/api/v1/marketplace/listings/stripe", 404)
    served.problem("GET", f"{V3}/app-catalog/stripe", 404)


def test_a_way_to_install_that_can_not_carry_what_the_provider_needs_is_not_offered(served):
    listing = served.call("GET", "/api/v1/marketplace/listings/sandbox", expect=200).json()
    assert listing["installMethods"] == []
    assert served.call("GET", f"{V3}/app-catalog/sandbox", expect=200).json()["install_methods"] == []
    told = served.problem(
        "POST", "/api/v1/marketplace/listings/sandbox/install/apikey", 400, json={"name": "S", "apiKey": "x"}
    )
    assert told["detail"].startswith("Sandbox needs settings: base_url.")
    assert "POST /api/billhook/v1/apps" in told["detail"]


def test_our_own_list_has_every_provider_with_what_it_takes(served):
    providers = served.call("GET", f"{OWN}/providers", expect=200).json()["data"]
    assert [each["type"] for each in providers] == ["books", "custom_invoicing", "sandbox"]
    one = served.call("GET", f"{OWN}/providers/books", expect=200).json()
    assert one["credentials_schema"]["required"] == ["token"]
    served.problem("GET", f"{OWN}/providers/none", 404)


# Installing.


def test_custom_invoicing_is_installed_without_credentials(served):
    body = {"name": "Mine", "createBillingProfile": False}
    answer = served.call("POST", "/api/v1/marketplace/listings/custom_invoicing/install", json=body, expect=200).json()
    assert answer["defaultForCapabilityTypes"] == []
    app = answer["app"]
    assert (app["type"], app["name"], app["status"]) == ("custom_invoicing", "Mine", "ready")
    assert (app["enableDraftSyncHook"], app["enableIssuingSyncHook"]) == (False, False)
    unnamed = served.call("POST", "/api/v1/marketplace/listings/custom_invoicing/install", json={}, expect=200).json()
    assert unnamed["app"]["name"] == "Custom Invoicing"


def test_the_third_form_installs_it_as_external_invoicing(served):
    body = {"type": "external_invoicing", "name": "Mine", "create_billing_profile": False}
    answer = served.call("POST", f"{V3}/app-catalog/install", json=body, expect=201).json()
    assert answer["app"]["type"] == "external_invoicing"
    assert served.ns.apps.get(answer["app"]["id"]).type == "custom_invoicing"


def test_a_provider_is_installed_by_its_key_which_is_never_shown(served):
    body = {"name": "Books", "apiKey": "very-secret"}
    answer = served.call("POST", "/api/v1/marketplace/listings/books/install/apikey", json=body, expect=200)
    app = answer.json()["app"]
    assert (app["type"], app["status"], app["metadata"]) == ("custom_invoicing", "ready", {"billhook.type": "books"})
    body = {"type": "books", "name": "Books", "create_billing_profile": True, "api_key": "very-secret"}
    third = served.call("POST", f"{V3}/app-catalog/install", json=body, expect=201)
    assert third.json()["app"]["labels"] == {"billhook.type": "books"}
    own = served.call("GET", f"{OWN}/apps/{app['id']}", expect=200)
    assert (own.json()["type"], own.json()["has_credentials"]) == ("books", True)
    for shown in (answer, third, own, served.call("GET", "/api/v1/apps"), served.call("GET", f"{OWN}/apps")):
        assert "very-secret" not in shown.text


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("/api/v1/marketplace/listings/books/install", {}, 400),
        ("/api/v1/marketplace/listings/custom_invoicing/install/apikey", {"apiKey": "x"}, 400),
        ("/api/v1/marketplace/listings/books/install/apikey", {}, 400),
        ("/api/v1/marketplace/listings/none/install", {}, 404),
        ("/api/v1/marketplace/listings/custom_invoicing/install", {"name": ""}, 400),
        ("/api/v1/marketplace/listings/custom_invoicing/install", {"name": "x" * 257}, 400),
        ("/api/v1/marketplace/listings/custom_invoicing/install", {"name": "a\0b"}, 400),
        (f"{V3}/app-catalog/install", {"type": "books", "name": "B", "create_billing_profile": False}, 400),
        (f"{V3}/app-catalog/install", {"type": "none", "name": "B", "create_billing_profile": False}, 404),
        (f"{V3}/app-catalog/install", {"type": "sandbox", "name": "B"}, 400),
        (f"{V3}/app-catalog/install", {"type": "external_invoicing", "name": "B", "create_billing_profile": 1, "x": 2}, 400),
        (f"{OWN}/apps", {"type": "books", "settings": {"ledger": 7}}, 400),
        (f"{OWN}/apps", {"type": "books", "settings": {"unknown": "x"}}, 400),
        (f"{OWN}/apps", {"type": "books", "credentials": {"token": 7}}, 400),
        (f"{OWN}/apps", {"type": "books", "owner": "me"}, 400),
    ],
)  # fmt: skip
def test_what_can_not_be_installed(served, path, body, status):
    before = served.shop.counts()
    served.problem("POST", path, status, json=body)
    assert served.shop.counts() == before


# Showing and changing.


def test_apps_are_listed_page_by_page(served):
    for number in range(3):
        served.ns.apps.install("custom_invoicing", name=f"App {number}")
    page = served.call("GET", "/api/v1/apps", params={"pageSize": 2, "page": 2}, expect=200).json()
    assert [item["name"] for item in page["items"]] == ["App 1", "App 2"]
    assert page["totalCount"] == 4
    page = served.call("GET", f"{V3}/apps", params={"page[size]": 1, "page[number]": 4}, expect=200).json()
    assert [item["name"] for item in page["data"]] == ["App 2"]
    assert served.call("GET", f"{OWN}/apps", expect=200).json()["meta"]["page"]["total"] == 4
    assert served.call("GET", "/api/v1/apps", role=ELSEWHERE, expect=200).json()["totalCount"] == 0


@pytest.mark.parametrize("params", [{"page": 0}, {"pageSize": 1001}, {"page": "x"}, {"page": "9" * 400}])
def test_a_page_that_can_not_be_is_refused(served, params):
    served.problem("GET", "/api/v1/apps", 400, params=params)
    third = {f"page[{'size' if name == 'pageSize' else 'number'}]": value for name, value in params.items()}
    problem = served.problem("GET", f"{V3}/apps", 400, params=third)
    assert problem["invalid_parameters"][0]["field"] == next(iter(third))


def test_an_update_replaces_everything_that_can_be_said(served):
    id = served.shop.app.id
    update = an_update(description="For us", metadata={"team": "billing"})
    app = served.call("PUT", f"/api/v1/apps/{id}", json=update, expect=200).json()
    assert (app["name"], app["description"], app["metadata"]) == ("Ours", "For us", {"team": "billing"})
    assert (app["enableDraftSyncHook"], app["enableIssuingSyncHook"]) == (True, False)
    app = served.call("PUT", f"/api/v1/apps/{id.lower()}", json=an_update(name="Bare"), expect=200).json()
    assert "description" not in app
    assert "metadata" not in app
    body = {
        "type": "external_invoicing",
        "name": "Third",
        "labels": {"env": "test"},
        "enable_draft_sync_hook": False,
        "enable_issuing_sync_hook": True,
    }
    app = served.call("PUT", f"{V3}/apps/{id}", json=body, expect=200).json()
    assert (app["labels"], app["enable_draft_sync_hook"], app["enable_issuing_sync_hook"]) == (
        {"env": "test"},
        False,
        True,
    )


def test_a_sandbox_has_no_hooks(served):
    settings = {"base_url": "http://127.0.0.1:1"}
    id = served.ns.apps.install("sandbox", settings=settings, credentials={"token": "t"}).id
    app = served.call("PUT", f"/api/v1/apps/{id}", json={"type": "sandbox", "name": "Play"}, expect=200).json()
    assert (app["type"], app["name"]) == ("sandbox", "Play")
    served.problem("PUT", f"/api/v1/apps/{id}", 400, json=an_update())
    third = served.call("PUT", f"{V3}/apps/{id}", json={"type": "sandbox", "name": "Three"}, expect=200).json()
    assert third["name"] == "Three"
    assert served.ns.apps.get(id).settings["base_url"] == "http://127.0.0.1:1"


def test_another_provider_keeps_its_settings_and_its_type_through_an_update(served):
    id = served.ns.apps.install("books", settings={"ledger": "north"}, credentials={"token": "t"}).id
    shown = served.call("GET", f"/api/v1/apps/{id}", expect=200).json()
    body = {name: shown[name] for name in ("type", "metadata", "enableDraftSyncHook", "enableIssuingSyncHook")}
    changed = served.call("PUT", f"/api/v1/apps/{id}", json={**body, "name": "North"}, expect=200).json()
    assert changed["metadata"] == {"billhook.type": "books"}
    app = served.ns.apps.get(id)
    assert (app.name, app.settings, app.labels) == ("North", {"ledger": "north"}, {})
    problem = served.problem("PUT", f"/api/v1/apps/{id}", 400, json=an_update())
    assert problem["extensions"]["code"] == "app_without_hooks"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": None},
        {"type": "stripe"},
        {"name": ""},
        {"name": None},
        {"enableDraftSyncHook": None},
        {"enableDraftSyncHook": "yes please"},
        {"description": "x" * 1025},
        {"metadata": {"a": 1}},
        {"metadata": {"a\0": "1"}},
        {"metadata": {str(number): "x" for number in range(65)}},
    ],
)
def test_an_update_that_is_not_as_the_document_says_changes_nothing(served, changes):
    before = served.ns.apps.get(served.shop.app.id)
    served.problem("PUT", f"/api/v1/apps/{before.id}", 400, json=an_update(**changes))
    assert served.ns.apps.get(before.id) == before


def test_an_update_without_its_type_is_refused(served):
    body = an_update()
    del body["type"]
    served.problem("PUT", f"/api/v1/apps/{served.shop.app.id}", 400, json=body)
    third = {"name": "x", "enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}
    served.problem("PUT", f"{V3}/apps/{served.shop.app.id}", 400, json=third)


def test_the_third_form_refuses_what_it_does_not_know(served):
    body = {
        "type": "external_invoicing",
        "name": "x",
        "enable_draft_sync_hook": True,
        "enable_issuing_sync_hook": True,
        "enableDraftSyncHook": True,
    }
    problem = served.problem("PUT", f"{V3}/apps/{served.shop.app.id}", 400, json=body)
    assert problem["invalid_parameters"][0]["rule"] == "unknown_property"


def test_an_app_of_another_namespace_is_not_there(served):
    id = served.shop.app.id
    for base in ("/api/v1/apps", f"{V3}/apps", f"{OWN}/apps"):
        served.problem("GET", f"{base}/{id}", 404, role=ELSEWHERE)
        served.problem("DELETE", f"{base}/{id}", 404, role=ELSEWHERE)
    served.problem("PUT", f"/api/v1/apps/{id}", 404, role=ELSEWHERE, json=an_update())
    served.problem("POST", f"{OWN}/apps/{id}/check", 404, role=ELSEWHERE)
    served.problem("PUT", f"{OWN}/apps/{id}/credentials", 404, role=ELSEWHERE, json={"credentials": {}})
    assert served.call("GET", f"/api/v1/apps/{an_id(5)}").status_code == 404
    served.problem("GET", "/api/v1/apps/nonsense", 400)
    served.problem("GET", f"{V3}/apps/{id.lower()}", 400)


def test_roles(served):
    id = served.shop.app.id
    for role in ("read", "integrate"):
        assert served.call("GET", f"/api/v1/apps/{id}", role=role).status_code == 200
        served.problem("PUT", f"/api/v1/apps/{id}", 403, role=role, json=an_update())
        served.problem("DELETE", f"{V3}/apps/{id}", 403, role=role)
        served.problem("POST", "/api/v1/marketplace/listings/custom_invoicing/install", 403, role=role, json={})
        served.problem("POST", f"{OWN}/apps", 403, role=role, json={"type": "books"})


# Taking away.


def test_an_app_that_is_in_use_stays_and_another_goes(served):
    for base in ("/api/v1/apps", f"{V3}/apps"):
        problem = served.problem("DELETE", f"{base}/{served.shop.app.id}", 409)
        assert "billing profile" in problem["detail"]
        id = served.ns.apps.install("custom_invoicing").id
        assert served.call("DELETE", f"{base}/{id}", expect=204).content == b""
        served.call("DELETE", f"{base}/{id}", expect=204)
        shown = served.call("GET", f"{base}/{id}", expect=200).json()
        assert "deletedAt" in shown or "deleted_at" in shown
    served.problem("PUT", f"/api/v1/apps/{id}", 409, json=an_update())


# In full.


def test_an_app_in_full_is_installed_changed_switched_and_checked(served):
    body = {"type": "books", "settings": {"ledger": "north"}, "labels": {"a": "b"}, "description": "B"}
    app = served.call("POST", f"{OWN}/apps", json=body, expect=201).json()
    assert (app["type"], app["status"], app["settings"]) == ("books", "unauthorized", {"ledger": "north"})
    place = f"{OWN}/apps/{app['id']}"
    ready = served.call("PUT", f"{place}/credentials", json={"credentials": {"token": "t"}}, expect=200).json()
    assert ready["status"] == "ready"
    unknown = served.problem("PUT", f"{place}/credentials", 400, json={"unset": ["secret"]})
    assert "it has token" in unknown["detail"]
    change = {"name": "South", "settings": {"ledger": "south"}, "description": None, "enabled": False}
    changed = served.call("PATCH", place, json=change, expect=200).json()
    assert (changed["name"], changed["settings"], changed["enabled"]) == ("South", {"ledger": "south"}, False)
    assert changed["labels"] == {"a": "b"}
    assert "description" not in changed
    assert served.call("PATCH", place, json={"enabled": True}, expect=200).json()["enabled"] is True
    assert served.call("POST", f"{place}/check", expect=200).json() == {"accounts": []}
    served.call("DELETE", place, expect=204)


def test_openmeters_client_has_its_way_with_apps(served):
    client = served.openmeter
    installed = client.marketplace.install("custom_invoicing", MarketplaceInstallRequestPayload(name="Theirs"))
    id = installed.app["id"]
    assert client.marketplace.list().total_count == 2
    assert client.marketplace.get("sandbox").name == "Sandbox"
    assert [app["id"] for app in client.apps.list().items_property][-1] == id
    update = CustomInvoicingAppReplaceUpdate(
        type="custom_invoicing", name="Renamed", enable_draft_sync_hook=True, enable_issuing_sync_hook=True
    )
    assert client.apps.update(id, update)["name"] == "Renamed"
    assert client.apps.get(id)["enableDraftSyncHook"] is True
    assert client.apps.uninstall(id) is None


# By a person's consent.

BACK = "https://host.test/back"
CLIENT = OAuth2Client(BACK, {"client_secret": CLIENT_SECRET})


@pytest.fixture
def grants() -> GrantServer:
    return GrantServer(TurnedClock(NOON))


@pytest.fixture
def consenting(file_url: str, grants: GrantServer) -> Iterator[Served]:
    """A server with a provider that has to be asked for access, and with a client of its own there."""
    catalog = ProviderCatalog.from_objects([GrantsProvider])
    options = {"upgrade": False, "catalog": catalog, "credential_keys": CREDENTIAL_KEYS, "randomness": dice}
    with Engine.open(Path(file_url), clock=grants.clock, transport=grants, **options) as engine:
        shop = Shop(file_url, grants.clock, None, None, engine, {}, [])
        with serving(shop, oauth2_clients={"grants": CLIENT}) as served:
            yield served


def visit(grants: GrantServer, url: str) -> dict[str, str]:
    """A person goes there, says yes, and comes back with this."""
    return dict(parse_qsl(urlsplit(grants.answer(Outgoing("GET", url, (), b"")).header("location") or "").query))


def test_a_provider_is_connected_as_openmeters_clients_do_it(consenting, grants):
    place = "/api/v1/marketplace/listings/grants/install/oauth2"
    url = consenting.call("GET", place, expect=200).json()["url"]
    answer = consenting.call("GET", f"{place}/authorize", params=visit(grants, url), expect=303)
    apps = consenting.ns.apps.list().items
    assert answer.headers["location"] == f"/api/v1/apps/{apps[0].id}"
    assert [(app.name, app.status) for app in apps] == [("North", "ready"), ("South", "ready"), ("West", "ready")]
    shown = consenting.call("GET", answer.headers["location"], expect=200).json()
    assert shown["listing"]["installMethods"] == ["with_oauth2"]


def test_a_provider_is_connected_with_a_client_that_comes_with_the_request(consenting, grants):
    begin = {"type": "grants", "redirect_uri": BACK, "credentials": {"client_secret": CLIENT_SECRET}}
    begun = consenting.call("POST", f"{OWN}/connections", json=begin, expect=201).json()
    assert CLIENT_SECRET not in str(begun)
    place = f"{OWN}/connections/{begun['state']}"
    consenting.problem("POST", f"{place}/apps", 400, json={})
    body = {"query": visit(grants, begun["url"])}
    consenting.problem("POST", f"{place}/finish", 404, json=body, role=ELSEWHERE)
    accounts = consenting.call("POST", f"{place}/finish", json=body, expect=200).json()["accounts"]
    assert [account["name"] for account in accounts] == ["North", "South", "West"]
    consenting.problem("POST", f"{place}/apps", 400, json={"accounts": ["nowhere"]})
    made = consenting.call("POST", f"{place}/apps", json={"accounts": [accounts[1]["id"]]}, expect=201).json()["data"]
    assert [(app["name"], app["type"], app["status"]) for app in made] == [("South", "grants", "ready")]
    consenting.problem("POST", f"{place}/apps", 404, json={})
    again = {"app_id": made[0]["id"], "redirect_uri": BACK}
    begun = consenting.call("POST", f"{OWN}/connections", json=again, expect=201).json()
    place = f"{OWN}/connections/{begun['state']}"
    consenting.call("POST", f"{place}/finish", json={"query": visit(grants, begun["url"])}, expect=200)
    assert len(consenting.call("POST", f"{place}/apps", json={}, expect=201).json()["data"]) == 1


def test_a_connection_is_redeemed_once_however_often_that_is_asked_and_again_where_no_answer_came(consenting, grants):
    begin = {"type": "grants", "redirect_uri": BACK, "credentials": {"client_secret": CLIENT_SECRET}}
    begun = consenting.call("POST", f"{OWN}/connections", json=begin, expect=201).json()
    place, body = f"{OWN}/connections/{begun['state']}", {"query": visit(grants, begun["url"])}
    grants.fault = lambda _place: "lost"
    assert "try again" in consenting.problem("POST", f"{place}/finish", 400, json=body)["detail"]
    grants.fault = lambda _place: None
    first, again = (consenting.call("POST", f"{place}/finish", json=body, expect=200).json() for _ in range(2))
    assert first == again
    assert len(consenting.call("POST", f"{place}/apps", json={}, expect=201).json()["data"]) == 3
    assert consenting.problem("POST", f"{place}/apps", 404, json={})["detail"].endswith("Begin again.")


def test_what_comes_back_late_twice_or_from_nowhere_is_refused(consenting, grants):
    place = "/api/v1/marketplace/listings/grants/install/oauth2"
    consenting.problem("GET", f"{place}/authorize", 404, params={"state": "guess", "code": "c"})
    returned = visit(grants, consenting.call("GET", place).json()["url"])
    consenting.problem("GET", f"{place}/authorize", 404, params=returned, role=ELSEWHERE)
    consenting.call("GET", f"{place}/authorize", params=returned, expect=303)
    consenting.problem("GET", f"{place}/authorize", 404, params=returned)
    returned = visit(grants, consenting.call("GET", place).json()["url"])
    consenting.clock.advance(PATIENCE)
    consenting.problem("GET", f"{place}/authorize", 404, params=returned)


def test_a_server_without_a_client_for_a_provider_says_where_to_give_one(served):
    problem = served.problem("GET", "/api/v1/marketplace/listings/books/install/oauth2", 400)
    assert "/api/billhook/v1/connections" in problem["detail"]
    for body in ({"redirect_uri": BACK}, {"redirect_uri": BACK, "type": "books", "app_id": an_id(1)}):
        served.problem("POST", f"{OWN}/connections", 400, json=body)
    served.problem("POST", f"{OWN}/connections", 400, json={"redirect_uri": BACK, "type": "books"})
