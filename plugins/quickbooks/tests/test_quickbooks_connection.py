from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from billhook.contract import Capability, Done, Outgoing, Rejected
from billhook.engine.engine import Engine
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.simulator import SimRequest
from billhook.testing.transport import SimulatorTransport
from billhook_quickbooks import QuickBooksOwnNumbersProvider, QuickBooksProvider, QuickBooksSettings, TaxCode


def granted(desk):
    """What a person who says yes brings back."""
    batch = desk.connection(redirect_uri="http://127.0.0.1:9/back", state="abc")
    address = desk.handle.start(Capability.AUTHORIZE_URL, batch)["app"].result.url
    reply = desk.company.handle(SimRequest.from_url("GET", address))
    return {name: value for name, (value,) in parse_qs(urlsplit(reply.header("Location")).query).items()}


def renewed(desk, credentials):
    """One renewal, with those credentials."""
    steps = desk.handle.start(Capability.REFRESH_CREDENTIALS, desk.connection())
    request = next(steps)
    assert "simulated-refresh" not in repr(request)
    assert "simulated-secret" not in repr(request)
    signed = desk.handle.authenticate(
        Outgoing(request.method, request.url, request.headers, request.body), credentials, desk.clock.now()
    )
    reply = desk.transport.send(signed, 10).reply
    try:
        steps.send(reply)
    except StopIteration as end:
        return end.value["app"]
    raise AssertionError


def test_a_person_grants_access_and_the_code_becomes_tokens(desk, scene):
    back = granted(desk)
    assert (back["state"], back["realmId"]) == ("abc", scene.rules.realm)
    batch = desk.connection(code=back["code"], realmId=back["realmId"], redirect_uri="http://127.0.0.1:9/back")
    outcome = desk.drive(Capability.EXCHANGE_CODE, batch).outcomes["app"]
    assert set(outcome.result.credentials) == {"access_token", "refresh_token"}
    assert outcome.result.expires_at == desk.clock.now() + timedelta(hours=1)
    again = desk.drive(Capability.EXCHANGE_CODE, desk.connection(code=back["code"], redirect_uri="x")).outcomes["app"]
    assert isinstance(again, Rejected), "a code is taken once"


def test_signing_in_installs_the_app_of_the_company_that_was_granted(company, scene, tmp_path, clock):
    transport = SimulatorTransport({scene.url: company})
    catalog = ProviderCatalog.from_objects([QuickBooksProvider])
    given = scene.some_settings().model_dump(mode="json", exclude={"account"}, exclude_none=True)
    with Engine.open(str(tmp_path / "billhook.db"), clock=clock, catalog=catalog, transport=transport) as engine:
        connecting = engine.namespace().connecting
        secrets = {"client_secret": "simulated-secret"}
        back = "http://localhost:8731/callback"
        asked = connecting.begin("quickbooks", redirect_uri=back, settings=given, credentials=secrets)
        reply = company.handle(SimRequest.from_url("GET", asked.url))
        returned = {name: value for name, (value,) in parse_qs(urlsplit(reply.header("Location")).query).items()}
        grant = connecting.finish(asked, returned)
        (app,) = connecting.keep(grant, grant.accounts)
        assert (app.settings["account"], app.name, app.status) == (scene.rules.realm, "Acme Books", "ready")
        assert connecting.keep(grant, grant.accounts)[0].id == app.id


def test_a_grant_for_another_company_is_refused(desk):
    outcome = desk.drive(Capability.EXCHANGE_CODE, desk.connection(code="c", realmId="1", redirect_uri="x"))
    assert (outcome.outcomes["app"].issues[0].code, outcome.sent) == ("other_company", [])


def test_a_refresh_token_changes_once_a_day_and_the_old_one_still_gives_the_new(desk, scene, clock):
    credentials = scene.credentials
    first = renewed(desk, credentials)
    assert first.result.credentials["refresh_token"] == "simulated-refresh-token-0"
    clock.advance(timedelta(hours=25))
    second = renewed(desk, credentials)
    assert second.result.credentials["refresh_token"] != "simulated-refresh-token-0"
    lost_and_asked_again = renewed(desk, credentials)
    assert lost_and_asked_again.result.credentials["refresh_token"] == second.result.credentials["refresh_token"]
    clock.advance(timedelta(hours=25))
    assert isinstance(renewed(desk, credentials), Rejected)


def test_a_strict_company_takes_an_old_refresh_token_no_more(a_company, a_desk, scene, clock):
    desk = a_desk(a_company(old_refresh_valid_for=timedelta(), refresh_changes_after=timedelta()))
    assert isinstance(renewed(desk, scene.credentials), Done)
    assert renewed(desk, scene.credentials).issues[0].code == "grant_refused"


def test_an_access_token_is_let_in_for_an_hour(desk, scene, clock):
    token = renewed(desk, scene.credentials).result.credentials["access_token"]
    asked = SimRequest.from_url(
        "GET",
        f"{scene.url}/v3/company/{scene.rules.realm}/query?query=select * from CompanyInfo",
        (("Authorization", f"Bearer {token}"),),
    )
    assert desk.company.handle(asked).status == 200
    clock.advance(timedelta(hours=1))
    assert desk.company.handle(asked).status == 401


# The company against the settings.


def checked(desk):
    return desk.drive(Capability.CHECK_CONNECTION, desk.connection()).outcomes["app"]


def test_a_company_that_is_as_the_settings_say_is_named(desk_over_http, scene):
    (account,) = checked(desk_over_http).result.accounts
    assert (account.id, account.name) == (scene.rules.realm, "Acme Books")
    listed = desk_over_http.drive(Capability.LIST_ACCOUNTS, desk_over_http.connection()).outcomes["app"]
    assert listed.result.accounts == (account,)


@pytest.mark.parametrize(
    "rules, settings, code",
    [
        ({"custom_numbers": False}, {}, "custom_numbers_off"),
        ({"multicurrency": True}, {}, "multicurrency_differs"),
        ({"home_currency": "USD"}, {}, "home_currency_differs"),
        ({"closed_until": date(2026, 1, 31)}, {"closed_until": "2025-12-31"}, "books_closed"),
        ({"inactive_items": frozenset({"1"})}, {}, "item_not_active"),
        ({}, {"items": {"X": "77"}}, "item_not_active"),
        ({}, {"rounding_item": "77"}, "item_not_active"),
        (
            {"tax": "elsewhere"},
            {"tax_model": "elsewhere", "tax_codes": {"VAT": {"id": "99", "percentage": "20"}}},
            "taxcode_not_active",
        ),
    ],
)
def test_each_difference_is_told(a_company, a_desk, rules, settings, code):
    outcome = checked(a_desk(a_company(**rules), **settings))
    assert [issue.code for issue in outcome.issues] == [code]


def test_all_differences_are_told_at_once(a_company, a_desk):
    outcome = checked(a_desk(a_company(custom_numbers=False, multicurrency=True, inactive_items=frozenset({"1", "2"}))))
    assert len(outcome.issues) == 4


def test_a_company_that_expects_custom_numbers_gives_none(company, a_desk):
    assert checked(a_desk(company, QuickBooksOwnNumbersProvider)).issues[0].code == "custom_numbers_on"


# Settings.


@pytest.mark.parametrize(
    "wrong",
    [{"account": "abc"}, {"base_url": "ftp://x"}, {"base_url": "https://a:b@x.example"}, {"home_currency": "euro"}, {"default_item": "Hours"}, {"colour": "red"}],
)  # fmt: skip
def test_settings_that_can_not_be_right_are_refused(scene, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        scene.some_settings(**wrong)


def test_settings_go_through_json_and_back(scene):
    settings = scene.some_settings(
        tax_codes={"VAT": TaxCode(id="5", percentage=Decimal("19.6"))}, closed_until=date(2026, 1, 31)
    )
    assert QuickBooksSettings.model_validate_json(settings.model_dump_json()) == settings


def test_no_secret_shows_in_a_repr(scene):
    assert "simulated" not in repr(scene.credentials)
