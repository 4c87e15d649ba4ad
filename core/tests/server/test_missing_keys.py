"""A server that lacks the key of stored credentials: who calls learns that it is not their fault, and the log says which key it is."""

from __future__ import annotations

from typing import Any

import pytest
from engine_kit import a_provider, bearer, careful_draft, open_shop
from server_kit import serving

from billhook.contract import Batch, ConnectionResult, Done, hookimpl
from billhook.engine.credential_keys import new_key

OWN = "/api/billhook/v1"
OLD, NEW = new_key(), new_key()


def check_connection(self: Any, batch: Batch[Any, Any]) -> Any:
    return {batch.only.id: Done(ConnectionResult())}
    yield


def test_what_needs_a_key_that_is_missing_is_answered_with_503_and_logged(
    store_url: str, caplog: pytest.LogCaptureFixture
):
    books = a_provider(
        credentials=True,
        members={"authenticate": hookimpl(bearer)},
        sync_draft=careful_draft,
        check_connection=check_connection,
    )
    shop = open_shop(store_url, books, ready=False, credential_keys=(OLD,))
    app = shop.an_app(credentials={"token": "sesame"})
    shop.close()
    shop = open_shop(store_url, books, ready=False, credential_keys=(NEW,))
    with serving(shop) as served:
        told = served.problem("POST", f"{OWN}/apps/{app.id}/check", 503)
        assert told["extensions"]["code"] == "credential_key"
        assert "want of a key" in told["detail"]
        assert not any(secret in str(told) for secret in (OLD, NEW, app.id))
        served.call("GET", f"{OWN}/apps/{app.id}", expect=200)
    shop.close()
    (logged,) = [record for record in caplog.records if record.message == "Credentials can't be read."]
    assert "Add the key that it was encrypted with behind the first" in str(logged.exc_info)
