"""What a plugin's errors say is stored and shown, but never an app's secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, bearer, put
from pydantic import BaseModel, SecretStr

from billhook.contract import Batch, hookimpl
from billhook.engine.telling import told
from billhook.store import schema

OpenShop = Callable[..., Shop]
SECRET = "s3cret-of-the-books"


class Grant(BaseModel):
    tenant: str = "acme"
    token: SecretStr = SecretStr(SECRET)
    spare: dict[str, list[SecretStr]] = {"keys": [SecretStr(f"{SECRET}-2"), SecretStr("a")]}


def test_an_error_is_told_without_the_secrets_that_it_quotes():
    text = told(ValueError(f"acme may not use {SECRET}-2, nor {SECRET}"), Grant())
    assert text == "ValueError: acme may not use [secret], nor [secret]"


def test_a_secret_at_the_end_of_a_long_error_is_not_shown_in_part():
    assert SECRET[:5] not in told(ValueError("x" * 995 + SECRET), Grant())


def reads_out_what_it_got(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("put", batch)
    raise ValueError(f"what is this: {reply.body.decode()}")


def test_a_token_that_a_provider_echoes_is_neither_stored_nor_logged_by_a_plugin_that_stumbles_over_it(
    a_shop: OpenShop, caplog: pytest.LogCaptureFixture
):
    shop = a_shop(
        a_provider(credentials=True, members={"authenticate": hookimpl(bearer)}, sync_draft=reads_out_what_it_got)
    )
    shop.ns.apps.set_credentials(shop.app.id, {"token": SECRET})
    shop.wire.plan(answers(200, {"token": SECRET}))
    id = shop.submit()
    with caplog.at_level(logging.ERROR, "billhook"):
        shop.run()
    assert "what is this" in (shop.get(id).waiting_for or "")
    assert SECRET not in repr(shop.get(id))
    assert SECRET not in repr(shop.rows(schema.operation))
    assert SECRET not in repr([vars(record) for record in caplog.records])
    assert any("what is this" in repr(vars(record)) for record in caplog.records)
