"""Which differences between a stored and a replayed step mean something."""

from __future__ import annotations

from typing import Any

import pytest

from billhook.contract import Call, Function, Key, Request
from billhook.engine.sameness import canonical_body, difference, digest

JSON = (("Content-Type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)


def a_request(body: bytes = b'{"a":1}', **changes: Any) -> Request:
    usual = {"step": "put", "method": "POST", "url": "http://books/drafts", "headers": JSON}
    return Request(**{**usual, "body": body, **changes})


@pytest.mark.parametrize(
    "before, after",
    [
        (a_request(b'{"a":1,"b":[1,2]}'), a_request(b'{ "b": [1, 2], "a": 1 }')),
        (a_request(b'{"name":"M\\u00fcller"}'), a_request('{"name":"Müller"}'.encode())),
        (a_request(b"b=2&a=1&a=0", headers=FORM), a_request(b"a=1&b=2&a=0", headers=FORM)),
        (a_request(b"a=one+two", headers=FORM), a_request(b"a=one%20two", headers=FORM)),
        (a_request(headers=(*JSON, ("User-Agent", "sdk/1"))), a_request(headers=(*JSON, ("user-agent", "sdk/2")))),
        (a_request(headers=(*JSON, ("Accept", "x"))), a_request(headers=(("accept", "x"), *JSON))),
        (a_request(method="post"), a_request(method="POST")),
        (
            a_request(headers=(*JSON, ("X-Once", "1")), key=Key("x-once")),
            a_request(headers=(*JSON, ("X-Once", "2")), key=Key("x-once")),
        ),
    ],
    ids=["key order", "escapes", "form order", "form spelling", "agent", "header order", "method case", "key header"],
)
def test_what_carries_no_meaning_may_differ(before: Request, after: Request):
    assert difference(before, after) is None


@pytest.mark.parametrize(
    "after, named",
    [
        (a_request(b'{"a":2}'), "body"),
        (a_request(b'{"a":1.0}'), "body"),
        (a_request(b'{"a":"1"}'), "body"),
        (a_request(b'{"a":[1]}'), "body"),
        (a_request(b'{"a":1,"a2":null}'), "body"),
        (a_request(b"not json"), "body"),
        (a_request(url="http://books/drafts?x=1"), "URL"),
        (a_request(method="PUT"), "method"),
        (a_request(headers=(*JSON, ("xero-tenant-id", "other"))), "headers"),
        (a_request(headers=(*JSON, ("stripe-version", "2026-01-01"))), "headers"),
        (a_request(step="post"), "'post'"),
        (Call("put", Function("draw")), "call"),
    ],
)
def test_what_carries_meaning_must_not_differ(after: Request | Call, named: str):
    found = difference(a_request(), after)
    assert found is not None
    assert named in found


@pytest.mark.parametrize("spelling", ["1.00", "1.0", "1e0", "10e-1", "1"])
def test_the_spelling_of_a_number_is_part_of_a_request(spelling: str):
    others = {"1.00", "1.0", "1e0", "10e-1", "1"} - {spelling}
    for other in others:
        assert difference(a_request(f'{{"a":{spelling}}}'.encode()), a_request(f'{{"a":{other}}}'.encode()))


def test_a_number_keeps_every_digit():
    long = b'{"a":12345678901234567890.123456789012345678901234567890}'
    assert canonical_body(a_request(long)) != canonical_body(a_request(long.replace(b"7890}", b"7891}")))


def test_the_order_of_a_list_is_part_of_a_request():
    assert difference(a_request(b"[1,2]"), a_request(b"[2,1]"))


def test_a_body_that_is_no_text_is_compared_byte_for_byte():
    pdf = (("content-type", "application/pdf"),)
    assert difference(a_request(b"\xff\x00\x01", headers=pdf), a_request(b"\xff\x00\x01", headers=pdf)) is None
    assert difference(a_request(b"\xff\x00\x01", headers=pdf), a_request(b"\xff\x00\x02", headers=pdf))


def test_a_difference_is_shown_where_it_is():
    found = difference(a_request(b'{"total":"10.00"}'), a_request(b'{"total":"10.01"}'))
    assert found is not None
    assert "10.00" in found
    assert "10.01" in found


def test_a_call_is_its_function_and_its_arguments():
    call = Call("draw", Function("draw", {"a": 1, "b": {"c": [1]}}))
    assert difference(call, Call("draw", Function("draw", {"b": {"c": [1]}, "a": 1}))) is None
    assert difference(call, Call("draw", Function("draw", {"a": 1, "b": {"c": [2]}})))
    assert difference(call, Call("draw", Function("paint", {"a": 1, "b": {"c": [1]}})))
    assert digest(call) == digest(Call("draw", Function("draw", {"b": {"c": [1]}, "a": 1})))


def test_a_digest_is_of_the_exact_bytes():
    assert digest(a_request(b'{"a":1}')) == digest(a_request(b'{"a":1}'))
    assert digest(a_request(b'{"a":1}')) != digest(a_request(b'{"a": 1}'))
