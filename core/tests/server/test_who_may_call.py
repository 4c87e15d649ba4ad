"""Tokens, roles and namespaces; and the shapes of refusals."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from server_kit import ELSEWHERE, listening, problem_of

from billhook.engine.tokens import REMEMBERED_FOR, Role
from billhook.errors import InvalidInput, NotFound
from billhook.server import create_app
from billhook.store import schema


def test_a_call_without_a_token_is_refused_before_anything_else(served):
    for headers in (
        {},
        {"authorization": "Basic abc"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer nonsense"},
    ):
        for method, path in (
            ("GET", "/api/v1/nowhere"),
            ("POST", "/api/v3/openmeter/apps"),
            ("PUT", "/v3/openmeter/x"),
        ):
            answer = served.http(None).request(method, path, headers=headers, content=b"{not json")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert problem_of(answer)["title"] == "Unauthorized"


def test_probes_need_no_token(served):
    assert served.http(None).get("/healthz").json() == {"status": "ok"}
    assert served.http(None).get("/readyz").json() == {"status": "ready"}


def test_a_revoked_token_lets_nobody_in(served):
    made = served.engine.tokens.create("acme", "read", name="for a while")
    headers = {"authorization": f"Bearer {made.token}"}
    assert served.http(None).get("/api/v1/nowhere", headers=headers).status_code == 404
    served.engine.tokens.revoke("acme", made.record.id)
    assert served.http(None).get("/api/v1/nowhere", headers=headers).status_code == 401


def test_another_process_sees_a_revocation_a_little_later(served_anywhere):
    served = served_anywhere
    made = served.engine.tokens.create("acme", "read")
    assert served.engine.tokens.identify(made.token) is not None
    other = type(served.engine.tokens)(served.engine.context)
    other.revoke("acme", made.record.id)
    assert served.engine.tokens.identify(made.token) is not None
    served.clock.advance(REMEMBERED_FOR)
    assert served.engine.tokens.identify(made.token) is None


def test_only_a_digest_of_a_token_is_stored(served_anywhere):
    made = served_anywhere.engine.tokens.create("acme", "admin")
    secret = made.token[len("bh_") + 26 :]
    assert len(secret) > 32
    assert secret not in str(served_anywhere.shop.rows(schema.api_token))
    assert secret not in repr(made)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.replace("bh_", ""),
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:29] + "_",
        lambda token: "bh_" + "0" * 26 + token[29:],
    ],
)
def test_a_token_that_is_nearly_right_is_wrong(served, spoil):
    made = served.engine.tokens.create("acme", "admin")
    assert served.engine.tokens.identify(spoil(made.token)) is None


def test_tokens_are_listed_and_revoked_in_their_own_namespace(served_anywhere):
    tokens = served_anywhere.engine.tokens
    made = tokens.create("acme", Role.INTEGRATE, name="the bridge")
    assert [token.name for token in tokens.list("acme")][-1] == "the bridge"
    with pytest.raises(NotFound):
        tokens.revoke(ELSEWHERE, made.record.id)
    revoked = tokens.revoke("acme", made.record.id)
    served_anywhere.clock.advance(REMEMBERED_FOR)
    assert tokens.revoke("acme", made.record.id) == revoked
    assert tokens.list("acme")[-1].revoked_at is not None


@pytest.mark.parametrize("namespace, role", [("", "admin"), ("acme", "owner"), ("a\0b", "read"), ("a" * 300, "read")])
def test_a_token_needs_a_namespace_and_a_role(served, namespace, role):
    with pytest.raises(InvalidInput):
        served.engine.tokens.create(namespace, role)


def test_roles_include_those_below_them():
    assert [(role, [needed.value for needed in Role if role.covers(needed)]) for role in Role] == [
        (Role.READ, ["read"]),
        (Role.INTEGRATE, ["read", "integrate"]),
        (Role.ADMIN, ["read", "integrate", "admin"]),
    ]


def test_a_problem_has_the_shape_of_the_form_that_was_called(served):
    first = problem_of(served.http().get("/api/v1/nowhere", headers={"x-request-id": "abc-1"}))
    assert first["instance"] == "urn:request:abc-1"
    assert (first["type"], first["status"], first["extensions"]["code"]) == ("about:blank", 404, "not_found")
    third = problem_of(served.http().get("/v3/openmeter/nowhere", headers={"x-request-id": "abc-2"}))
    assert (third["instance"], third["status"], third["title"]) == ("kong:trace:abc-2", 404, "Not Found")


def test_an_id_of_a_request_that_is_unfit_is_replaced(served):
    answer = served.http().get("/api/v1/nowhere", headers={"x-request-id": "<script>"})
    assert answer.headers["x-request-id"] != "<script>"
    assert answer.headers["x-request-id"] in answer.json()["instance"]


def test_an_application_in_a_host_answers_under_the_hosts_prefix(served):
    host = FastAPI()
    host.mount("/billing", create_app(served.engine))
    headers = {"authorization": f"Bearer {served.tokens['read']}"}
    with listening(host) as url, httpx.Client(base_url=url, trust_env=False) as caller:
        assert caller.get("/billing/healthz").status_code == 200
        assert caller.get("/billing/api/v1/apps").status_code == 401
        assert caller.get("/billing/api/v1/apps", headers=headers).json()["totalCount"] == 1
        third = caller.get("/billing/v3/openmeter/nowhere", headers=headers)
        assert third.json()["instance"].startswith("kong:trace:")
        assert caller.get("/api/v1/apps").status_code == 404
