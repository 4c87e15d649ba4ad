"""Credentials at rest: what a thief of the database sees, what a lost key costs, and how keys are changed."""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_kit import Shop, a_provider, bearer, careful_draft, open_shop

from billhook.contract import hookimpl
from billhook.engine.credential_keys import VARIABLE, KeyFile, new_key
from billhook.engine.standing import standing_of
from billhook.errors import ConfigError, CredentialKeyError
from billhook.store import schema

OLD, NEW = new_key(), new_key()
SECRET = "sesame-open"

OpenShop = Callable[..., Shop]


@pytest.fixture(autouse=True)
def _no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def a_tokened_provider() -> Any:
    return a_provider(credentials=True, members={"authenticate": hookimpl(bearer)}, sync_draft=careful_draft)


def a_shop_with(url: str, *keys: str) -> Shop:
    shop = open_shop(url, a_tokened_provider(), ready=False, credential_keys=keys)
    if not shop.ns.apps.list().items:
        shop.a_profile(shop.an_app(credentials={"token": SECRET}))
        shop.ns.customers.create("Jane Doe", key="jane")
    return shop


def token_sent(shop: Shop) -> str:
    shop.submit()
    shop.run()
    return dict(shop.wire.to("drafts")[-1].headers)["authorization"]


def stored(shop: Shop) -> bytes:
    (row,) = shop.rows(schema.credential)
    return bytes(row["data"])


def test_a_thief_of_the_database_reads_no_secret(store_url: str):
    shop = a_shop_with(store_url, OLD)
    everything = "\n".join(str(shop.rows(table)) for table in schema.metadata.sorted_tables)
    assert SECRET not in everything
    assert token_sent(shop) == f"Bearer {SECRET}"
    shop.close()


def test_without_a_key_nothing_is_stored_on_a_server_and_the_way_out_is_named(store_url: str):
    if not store_url.startswith("postgres"):
        pytest.skip("a file keeps its keys beside it")
    shop = open_shop(store_url, a_tokened_provider(), ready=False, credential_keys=())
    with pytest.raises(CredentialKeyError, match="billhook db make-credential-key"):
        shop.an_app()
    assert shop.rows(schema.app) == shop.rows(schema.credential) == []
    shop.close()


def test_a_file_gets_a_key_beside_it_that_only_its_owner_reads(file_url: str):
    shop = a_shop_with(file_url)
    keys = Path(f"{file_url}.keys")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert token_sent(shop) == f"Bearer {SECRET}"
    shop.restart()
    assert token_sent(shop) == f"Bearer {SECRET}"
    assert [path for path in keys.parent.iterdir() if path.name.startswith(keys.name)] == [keys]
    shop.close()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o700])
def test_a_key_file_that_others_may_use_is_refused_with_the_way_out(file_url: str, mode: int):
    path = Path(f"{file_url}.keys")
    KeyFile(path).make()
    path.chmod(mode)
    with pytest.raises(CredentialKeyError, match=f"{mode:04o}.*chmod 600 .*rotate-credentials"):
        _ = KeyFile(path).ring
    path.chmod(0o600)
    assert KeyFile(path).ring is not None


def test_a_database_without_secrets_gets_no_key_file(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft), credential_keys=())
    shop.submit()
    shop.run()
    assert not Path(f"{shop.url}.keys").exists()


def test_processes_that_make_the_key_file_at_once_use_one_key(tmp_path: Path):
    first, second = KeyFile(tmp_path / "keys"), KeyFile(tmp_path / "keys")
    assert first.make().keys == second.make().keys
    first._write([new_key()], replace=False)
    assert second.ring is not None
    assert second.ring.keys == first.make().keys


def test_a_lost_key_file_is_told_and_not_made_anew(file_url: str):
    shop = a_shop_with(file_url)
    Path(f"{file_url}.keys").unlink()
    for act in (shop.run, shop.an_app):
        with pytest.raises(CredentialKeyError, match=r"is missing. Put it back.*billhook db make-credential-key"):
            act()
    assert not Path(f"{file_url}.keys").exists()
    shop.close()


def test_a_wrong_key_stops_the_worker_and_says_which_credential_and_what_to_do(store_url: str):
    shop = a_shop_with(store_url, OLD)
    shop.restart(credential_keys=(NEW,))
    with pytest.raises(CredentialKeyError, match="Add the key that it was encrypted with behind the first") as told:
        shop.run()
    assert "acme" in str(told.value)
    assert OLD not in str(told.value)
    assert NEW not in str(told.value)
    shop.close()


def test_a_worker_that_lacks_a_key_holds_the_apps_of_it_and_works_on_the_others(store_url: str):
    shop = a_shop_with(store_url, OLD)
    with closing(open_shop(store_url, a_tokened_provider(), ready=False, credential_keys=(NEW, OLD))) as elsewhere:
        elsewhere.namespace = "other"
        for clock in (shop.clock, elsewhere.clock):
            clock.advance(timedelta(minutes=1))  # what this process lacks is what was stored last
        elsewhere.a_profile(elsewhere.an_app(credentials={"token": SECRET}))
        elsewhere.ns.customers.create("Jane Doe", key="jane")
        elsewhere.submit()
        assert token_sent(shop) == f"Bearer {SECRET}"
        assert standing_of(shop.engine.context, shop.namespace).held == 0
        standing = standing_of(shop.engine.context, "other")
        assert (standing.held, standing.needs_a_person) == (1, True)
        assert "Add the key that it was encrypted with behind the first" in standing.held_work[0].reason
        assert standing_of(elsewhere.engine.context, "other").held == 0
    shop.close()


def test_a_key_that_is_none_is_refused_without_showing_it(file_url: str):
    with pytest.raises(ConfigError, match="Key 2 of credential_keys is no key") as refused:
        a_shop_with(file_url, OLD, "sesame")
    assert "sesame" not in str(refused.value)
    assert OLD not in repr(refused.value)


def test_the_environment_gives_keys_where_nobody_else_does(store_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, f"{NEW},{OLD}")
    shop = a_shop_with(store_url)
    assert token_sent(shop) == f"Bearer {SECRET}"
    assert shop.engine.context.credential_keys.ring.is_current(stored(shop))
    assert OLD not in repr(shop.engine.context)
    shop.close()


def test_given_keys_are_changed_with_the_new_one_in_front(store_url: str):
    shop = a_shop_with(store_url, OLD)
    before = stored(shop)
    shop.restart(credential_keys=(NEW, OLD))
    assert stored(shop) == before
    (rotation, again) = shop.engine.rotate_credentials(), shop.engine.rotate_credentials()
    assert (rotation.credentials, rotation.changed, again.changed) == (1, 1, 0)
    assert shop.rows(schema.credential)[0]["version"] == 1
    shop.restart(credential_keys=(NEW,))
    assert token_sent(shop) == f"Bearer {SECRET}"
    shop.close()


def test_keys_in_a_file_are_changed_while_a_worker_is_at_work(file_url: str):
    shop = a_shop_with(file_url)
    at_work = open_shop(file_url, a_tokened_provider(), ready=False, credential_keys=())
    rotation = shop.engine.rotate_credentials()
    assert (rotation.changed, rotation.keys) == (1, f"{file_url}.keys")
    assert token_sent(at_work) == f"Bearer {SECRET}"
    assert len(Path(f"{file_url}.keys").read_text().split()) == 2
    shop.close()
    at_work.close()


def test_a_row_that_was_copied_over_another_tenants_is_not_used(store_url: str):
    shop = a_shop_with(store_url, OLD)
    other = shop.engine.namespace("other").apps.install("books", credentials={"token": "of the other"})
    mine, theirs = (row["id"] for row in sorted(shop.rows(schema.credential), key=lambda row: row["namespace"]))
    data = sa.select(schema.credential.c.data).where(schema.credential.c.id == mine).scalar_subquery()
    here = schema.credential.c.id == theirs
    shop.engine.database.write(lambda tx: tx.execute(sa.update(schema.credential).where(here).values(data=data)))
    with pytest.raises(CredentialKeyError), shop.engine.database.read() as tx:
        shop.engine.credentials.load(tx, theirs)
    assert shop.engine.namespace("other").apps.set_credentials(other.id, {"token": "anew"}).status == "ready"
    shop.close()


def test_credentials_whose_key_is_lost_are_set_anew(store_url: str):
    shop = a_shop_with(store_url, OLD)
    shop.restart(credential_keys=(NEW,))
    with pytest.raises(CredentialKeyError):
        shop.run()
    shop.ns.apps.set_credentials(shop.app.id, {"token": "anew"})
    assert token_sent(shop) == "Bearer anew"
    shop.close()


def test_a_key_file_that_cannot_be_read_is_told(tmp_path: Path):
    keys = tmp_path / "keys"
    keys.mkdir()
    with pytest.raises(CredentialKeyError, match="can't be read"):
        _ = KeyFile(keys).ring
