from __future__ import annotations

import socket
import subprocess
import sys
from datetime import timedelta

import pytest

from billhook.testing.sandbox import simulator
from billhook.testing.sandbox.desk import RateLimit, SandboxRules
from billhook.testing.simulator import SimRequest


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer guessed"}])
def test_a_caller_without_a_listed_token_gets_401_and_does_nothing(shop, headers):
    answer = shop.http.post("/v1/invoices", json={"items": [shop.item()]}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert shop.sandbox.documents() == ()


class TestWithARateLimit:
    @pytest.fixture
    def rules(self):
        return SandboxRules(
            tokens=("sandbox-token", "other"), rate_limit=RateLimit(calls=3, window=timedelta(minutes=1))
        )

    def test_too_many_calls_get_429_until_the_window_turns(self, shop, clock):
        clock.advance(timedelta(seconds=90))
        answers = [shop.http.get("/v1/account") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[-1].headers["Retry-After"] == "30"
        clock.advance(timedelta(seconds=30))
        assert shop.http.get("/v1/account").status_code == 200

    def test_each_token_has_its_own_budget(self, shop):
        statuses = [shop.http.get("/v1/account").status_code for _ in range(3)]
        assert statuses[-1] == 429
        assert shop.http.get("/v1/account", headers={"Authorization": "Bearer other"}).status_code == 200


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/v1/nowhere", b"", 404),
        ("DELETE", "/v1/account", b"", 405),
        ("POST", "/v1/invoices", b"{", 400),
        ("POST", "/v1/invoices", b"[]", 422),
        ("GET", "/v1/invoices?limit=all", b"", 422),
        ("GET", "/v1/invoices/inv_000404", b"", 404),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_reason(shop, method, path, body, status):
    answer = shop.http.request(method, path, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_body_in_chunks_is_refused(shop):
    assert shop.http.post("/v1/invoices", content=iter([b"{}"])).status_code == 411


def test_connections_are_kept_alive_and_every_call_is_logged(shop):
    opened = []
    for _ in range(3):
        answer = shop.http.get("/v1/account")
        opened.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(set(opened)) == 1
    logged = [(call.method, call.path, call.key, call.verdict, call.status) for call in shop.sandbox.calls()[-3:]]
    assert logged == [("GET", "/v1/account", None, "answered", 200)] * 3


def test_the_stated_latency_is_said_in_process_and_turns_no_clock(clock):
    slow = simulator(clock=clock, latency_seconds=0.25)
    before = clock.now()
    assert slow.handle(SimRequest("GET", "/v1/account")).after_seconds == 0.25
    assert clock.now() == before
    slow.close()


def test_nothing_listens_any_more_when_the_block_ends(sandbox):
    with sandbox.serve() as served:
        port = int(served.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_importing_the_sandbox_brings_no_server_and_no_database():
    told = "import sys, billhook.testing.sandbox; print(sorted({'http.server', 'sqlite3', 'httpx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
