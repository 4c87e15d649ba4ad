"""A host that connects apps by itself: it sends a person to the provider, and takes in what they come back with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from engine_kit import NOON, a_provider, careful_draft
from granting import CLIENT_SECRET, GrantServer, GrantSettings, GrantsProvider
from pydantic import BaseModel, ConfigDict

from billhook.clock import TurnedClock
from billhook.contract import Account, Batch, Call, ConnectionResult, Done, OperationRules, registered
from billhook.contract.requests import Outgoing, Reply
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.errors import ConfigError, NotFound, Unsupported
from billhook.plugins.catalog import ProviderCatalog
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS

BACK = "https://host.test/back"
SECRET = {"client_secret": CLIENT_SECRET}


class RealmSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = GrantSettings.model_fields["base_url"].default
    client_id: str = GrantSettings.model_fields["client_id"].default
    realm: str


class RealmsProvider(GrantsProvider):
    """The same, but each app names its company itself."""

    declaration = GrantsProvider.declaration.model_copy(update={"type": "realms", "settings": RealmSettings})


@pytest.fixture
def server() -> GrantServer:
    return GrantServer(TurnedClock(NOON))


@pytest.fixture
def engine(store_url: str, server: GrantServer) -> Iterator[Engine]:
    catalog = ProviderCatalog.from_objects([GrantsProvider, RealmsProvider, a_provider(sync_draft=careful_draft)])
    with Engine.open(
        store_url, clock=server.clock, catalog=catalog, transport=server, credential_keys=CREDENTIAL_KEYS
    ) as opened:
        yield opened


@pytest.fixture
def billing(engine: Engine) -> Namespace:
    return engine.namespace()


@pytest.fixture
def visit(server: GrantServer) -> Callable[[Any], dict[str, str]]:
    """A person goes to the address, says yes, and comes back with this."""

    def go(authorization: Any) -> dict[str, str]:
        reply = server.answer(Outgoing("GET", authorization.url, (), b""))
        return dict(parse_qsl(urlsplit(reply.header("location") or "").query))

    return go


def test_every_account_that_is_chosen_gets_an_app_on_one_grant(billing, visit, server, engine):
    authorization = billing.connecting.begin("grants", redirect_uri=BACK, credentials=SECRET)
    grant = billing.connecting.finish(authorization, visit(authorization))
    apps = billing.connecting.keep(grant, grant.accounts[:2])
    assert [(app.name, app.settings["account"], app.status) for app in apps] == [
        ("North", "north", "ready"),
        ("South", "south", "ready"),
    ]
    server.clock.advance(grant.expires_at - server.clock.now())
    assert len(engine.check_connection(apps[1].id).accounts) == 3
    assert engine.check_connection(apps[0].id)
    assert server.refreshes == 1


def test_nothing_that_is_held_meanwhile_shows_a_secret(billing, visit):
    authorization = billing.connecting.begin("grants", redirect_uri=BACK, credentials=SECRET)
    grant = billing.connecting.finish(authorization, visit(authorization))
    shown = f"{authorization!r} {grant!r}"
    for secret in (CLIENT_SECRET, authorization.state, authorization.code_verifier, *grant.secrets.values()):
        assert secret not in shown.replace(authorization.url, "")


def test_what_an_app_has_besides_the_grant_stays_when_its_account_is_connected_again(billing, visit, engine):
    def connect(*names: str) -> list[Any]:
        authorization = billing.connecting.begin("grants", redirect_uri=BACK, credentials=SECRET)
        grant = billing.connecting.finish(authorization, visit(authorization))
        return billing.connecting.keep(grant, [one for one in grant.accounts if one.id in names])

    (south,) = connect("south")
    billing.apps.set_credentials(south.id, {"webhook_secret": "hook"})
    apps = connect("north", "south")
    assert {app.name for app in apps} == {"North", "South"}
    with engine.database.read() as tx:
        ids = {str(engine.context.apps.get(tx, app.id).credential_id) for app in apps}
        stored = engine.credentials.load_many(tx, [*ids])
    assert [credential.secrets["webhook_secret"] for credential in stored.values()] == ["hook"]


def test_two_apps_that_name_their_companies_themselves_are_not_taken_for_one(billing, visit):
    apps = []
    for realm in ("one", "two", "one"):
        settings = {"realm": realm}
        authorization = billing.connecting.begin("realms", redirect_uri=BACK, settings=settings, credentials=SECRET)
        grant = billing.connecting.finish(authorization, visit(authorization))
        apps += billing.connecting.keep(grant, grant.accounts)
    assert [app.settings["realm"] for app in apps] == ["one", "two", "one"]
    assert apps[0].id == apps[2].id != apps[1].id


def test_a_setting_that_is_missing_is_told_before_anybody_signs_in(billing):
    with pytest.raises(ConfigError, match="realm: it is needed"):
        billing.connecting.begin("realms", redirect_uri=BACK, credentials=SECRET)
    with pytest.raises(ConfigError, match="base_ulr"):
        billing.connecting.begin("grants", redirect_uri=BACK, settings={"base_ulr": "x"}, credentials=SECRET)


def test_a_code_is_of_no_use_to_whoever_did_not_ask_for_it(billing, visit, server):
    first = billing.connecting.begin("grants", redirect_uri=BACK, credentials=SECRET)
    second = billing.connecting.begin("grants", redirect_uri=BACK, credentials=SECRET)
    stolen = visit(first)
    with pytest.raises(ConfigError, match="not asked for here"):
        billing.connecting.finish(second, stolen)
    with pytest.raises(ConfigError, match="refuses the connection"):
        billing.connecting.finish(second, {**stolen, "state": second.state})
    assert server.grants == {}


def test_a_grant_that_does_not_reach_the_apps_account_is_refused(billing, visit):
    app = billing.apps.install("grants", settings={"account": "east"}, credentials=SECRET)
    authorization = billing.connecting.begin_again(app.id, redirect_uri=BACK)
    grant = billing.connecting.finish(authorization, visit(authorization))
    with pytest.raises(ConfigError, match="reaches North, South, West, but not the account east"):
        billing.connecting.keep(grant, ())


def test_another_tenants_app_cannot_be_connected(engine, billing):
    app = billing.apps.install("grants", settings={"account": "north"}, credentials=SECRET)
    with pytest.raises(NotFound):
        engine.namespace("other").connecting.begin_again(app.id, redirect_uri=BACK)
    with pytest.raises(NotFound):
        engine.namespace("other").apps.install("grants", settings={"account": "north"}, credentials_of=app.id)


def test_credentials_are_shared_only_within_a_provider(billing):
    grants = billing.apps.install("grants", settings={"account": "north"}, credentials=SECRET)
    bare = billing.apps.install("grants", settings={"account": "south"})
    with pytest.raises(ConfigError, match="can't share"):
        billing.apps.install("realms", settings={"realm": "one"}, credentials_of=grants.id)
    with pytest.raises(ConfigError, match="can't share"):
        billing.apps.share_credentials(grants.id, bare.id)
    assert billing.apps.share_credentials(bare.id, grants.id).status == "ready"


def test_credentials_that_nobody_uses_any_more_are_forgotten(billing, engine):
    first = billing.apps.install("grants", settings={"account": "north"}, credentials=SECRET)
    second = billing.apps.install("grants", settings={"account": "south"}, credentials=SECRET)
    billing.apps.share_credentials(second.id, first.id)
    with engine.database.read() as tx:
        assert len(tx.all(schema.credential.select())) == 1
    billing.apps.uninstall(first.id)
    with engine.database.read() as tx:
        assert len(tx.all(schema.credential.select())) == 1
    billing.apps.uninstall(second.id)
    with engine.database.read() as tx:
        assert tx.all(schema.credential.select()) == []


def test_a_provider_that_nobody_signs_in_to_says_how_it_is_installed(billing):
    with pytest.raises(Unsupported, match="billhook apps install books"):
        billing.connecting.begin("books", redirect_uri=BACK)


def test_a_connection_that_is_asked_by_an_sdk_says_what_is_wrong_as_any_other(server: GrantServer, store_url: str):
    came: list[Any] = [RuntimeError("s3cret"), Reply.of({}, status=401), Reply.of({"id": "north"})]

    def ask(self: Any, credentials: Any) -> Any:
        answer = came.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def check_connection(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield Call("ask", self.function("ask"), safe=True)
        return {batch.only.id: Done(ConnectionResult((Account(reply.json()["id"], "North"),)))}

    catalog = ProviderCatalog.from_objects(
        [a_provider(check_connection=check_connection, members={"ask": registered(ask)})]
    )
    with Engine.open(store_url, clock=server.clock, catalog=catalog, transport=server) as engine:
        app = engine.namespace().apps.install("books", settings={})
        with pytest.raises(ConfigError, match=r"can't be reached \(ask failed: RuntimeError\)"):
            engine.check_connection(app.id)
        with pytest.raises(ConfigError, match="answered 401 to step 'ask'"):
            engine.check_connection(app.id)
        assert [account.id for account in engine.check_connection(app.id).accounts] == ["north"]


def test_an_app_whose_account_its_credentials_do_not_reach_says_so_when_it_is_asked(
    server: GrantServer, store_url: str
):
    class Organised(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

        account: str

    def check_connection(self: Any, batch: Batch[Any, Any]) -> Any:
        return {batch.only.id: Done(ConnectionResult((Account("north", "North"), Account("south", "South"))))}

    rules = {"check_connection": OperationRules(local=True)}
    catalog = ProviderCatalog.from_objects(
        [a_provider(check_connection=check_connection, rules=rules, settings=Organised)]
    )
    with Engine.open(store_url, clock=server.clock, catalog=catalog, transport=server) as engine:
        billing = engine.namespace()
        ours = billing.apps.install("books", settings={"account": "south"})
        theirs = billing.apps.install("books", settings={"account": "west"})
        assert len(engine.check_connection(ours.id).accounts) == 2
        with pytest.raises(ConfigError, match="reach north, south, and its setting account is west"):
            engine.check_connection(theirs.id)
