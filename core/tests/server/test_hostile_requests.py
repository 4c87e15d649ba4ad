"""Requests that mean harm, against every operation of our own document: a clear refusal each time, nothing stored, nothing told."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import httpx
import pytest
from engine_kit import a_provider
from pydantic import BaseModel, ConfigDict, field_validator
from server_kit import Served, problem_of

from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.server.limits import DEEPEST_JSON, LARGEST_BODY, json_of
from billhook.server.problems import Refusal
from billhook.testing.builders import an_id

CALLBACK = f"/api/v1/apps/custom-invoicing/{an_id(1)}/draft/synchronized"
DEEP = b'{"a":' * (DEEPEST_JSON + 1) + b"1" + b"}" * (DEEPEST_JSON + 1)
# Refused before anybody looks which operation is meant.
BROKEN: dict[str, bytes] = {
    "no JSON": b"{not json",
    "half a text": b'{"name": "',
    "too deep": DEEP,
    "far too deep": b"[" * 100_000,
    "not a number": b'{"name": NaN, "trigger": Infinity}',
    "a key twice": b'{"name": "a", "name": "b"}',
    "no UTF-8": b'{"name": "\xff"}',
    "a huge number": b'{"name": ' + b"9" * 5000 + b', "limit": 1e999999}',
    "an endless number": b'{"name": 1e999999}',
}
SOME = 3
"""Of what is refused everywhere by the same few lines each operation gets so many, in turn."""
# Read by the operation.
STRANGE: dict[str, bytes] = {
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"1",
    "nothing": b"null",
    "half a letter": b'{"name": "\\ud800", "trigger": "\\ud800", "type": "\\ud800"}',
    "a NUL": b'{"name": "a\\u0000b", "trigger": "a\\u0000", "type": "a\\u0000"}',
    "empty objects": b'{"name": {}, "type": {}, "trigger": {}, "invoicing": {"invoiceNumber": {}}, "labels": []}',
    "prototypes": b'{"__proto__": {"admin": true}, "constructor": null, "type": "custom_invoicing"}',
}
NO_IDS = ("%00", "..%2f..%2fetc", "%ff%fe", "🧾", "' OR 1=1 --", "A" * 3000, "-1")
IDS_OF_NOBODY = (an_id(77), an_id(77).lower())
JSON = {"content-type": "application/json"}


def operations(served: Served) -> Iterator[tuple[str, str, dict[str, Any]]]:
    document = served.http(None).get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def filled(path: str, segment: str) -> str:
    parts = [segment if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


def assert_refused(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, (answer.request.method, str(answer.request.url)[:300], answer.text)
    assert problem_of(answer)["status"] == answer.status_code


def test_no_body_breaks_any_operation(served):
    before, broken = served.shop.counts(), cycle(BROKEN.values())
    for method, path, operation in operations(served):
        if "requestBody" not in operation:
            continue
        for body in (*STRANGE.values(), *islice(broken, SOME)):
            answer = served.http().request(method, filled(path, an_id(77)), content=body, headers=JSON)
            assert_refused(answer)
    assert served.shop.counts() == before


def test_no_path_and_no_query_breaks_any_operation(served):
    query = {"page": "-1", "pageSize": "x" * 2000, "page[size]": "\0", "sort": "\0", "filter[x][y]": "z", "state": "\0"}
    before, no_ids = served.shop.counts(), cycle(NO_IDS)
    for method, path, _ in operations(served):
        for segment in (*IDS_OF_NOBODY, *islice(no_ids, SOME)) if "{" in path else ():
            answer = served.http().request(method, filled(path, segment), headers=JSON, content=b"{}")
            assert_refused(answer)
        if method == "GET":
            assert served.http().get(filled(path, an_id(77)), params=query).status_code < 500
    assert served.shop.counts() == before


def test_every_operation_needs_a_token(served):
    for method, path, _ in operations(served):
        if path.startswith("/api/"):
            assert served.http(None).request(method, filled(path, an_id(1)), content=b"{").status_code == 401


def test_an_oversized_body_is_refused_before_it_is_read(served):
    announced = served.http().post(CALLBACK, content=b" " * (LARGEST_BODY + 1), headers=JSON)
    assert (announced.status_code, problem_of(announced)["extensions"]["code"]) == (413, "body_too_large")
    chunks = (b" " * 65_536 for _ in range(LARGEST_BODY // 65_536 + 1))
    assert served.http().post(CALLBACK, content=chunks, headers=JSON).status_code == 413


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_is_not_called_json_is_refused(served, content_type):
    answer = served.http().post(CALLBACK, content=b'{"invoicing": {}}', headers={"content-type": content_type})
    assert (answer.status_code, problem_of(answer)["extensions"]["code"]) == (415, "content_type_not_json")


def test_a_charset_is_fine(served):
    headers = {"content-type": "application/json; charset=utf-8"}
    assert served.http().post(CALLBACK, content=b'{"invoicing": {}}', headers=headers).status_code == 404


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_deep_and_broken_json_is_refused_alike(body):
    with pytest.raises(Refusal):
        json_of(body)


def test_brackets_in_texts_and_in_lists_side_by_side_are_not_deep():
    text = "[" * 500 + '\\"{' * 10
    flat = [{"a": [text]} for _ in range(200)]
    assert json_of(json.dumps(flat).encode()) == flat
    assert json_of(b"[" * DEEPEST_JSON + b"]" * DEEPEST_JSON)


class BreakingSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger: str = ""

    @field_validator("ledger")
    @classmethod
    def _break(cls, ledger: str) -> str:
        raise RuntimeError("the cause")


def test_an_answer_to_what_breaks_the_server_says_nothing_of_it(serve, caplog):
    served = serve(custom_invoicing, a_provider(credentials=True, settings=BreakingSettings))
    caplog.set_level(logging.DEBUG)
    body = {"type": "books", "settings": {"ledger": "x"}, "credentials": {"token": "very-secret-key"}}
    answer = served.http().post("/api/billhook/v1/apps", json=body, headers={"x-request-id": "id-1"})
    assert answer.status_code == 500
    assert "the cause" not in answer.text
    assert problem_of(answer)["instance"] == "urn:request:id-1"
    record = next(record for record in caplog.records if record.name == "billhook.server")
    assert (record.billhook_request_id, record.exc_info[1].args) == ("id-1", ("the cause",))
    admin = served.tokens["admin"]
    for secret in ("very-secret-key", admin, admin.split("_", 2)[2]):
        assert secret not in caplog.text


def test_no_secret_of_a_refused_request_is_logged_or_told(served, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "sk_live_very_secret"
    path = "/api/v1/marketplace/listings/sandbox/install/apikey"
    for body in ({"apiKey": [secret]}, {"apiKey": secret, "name": 7}, {"apiKey": secret}):
        answer = served.http().post(path, json=body)
        assert answer.status_code == 400
        assert secret not in answer.text
    own = {"type": "sandbox", "credentials": {"token": [secret], "other": secret}, "settings": {"base_url": secret}}
    assert secret not in served.http().post("/api/billhook/v1/apps", json=own).text
    assert secret not in caplog.text
