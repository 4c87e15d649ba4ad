"""The server as a process, and the tokens that open it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

RUN = "from billhook.cli import main; main()"
PATIENCE_SECONDS = 60
ServeProcess = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def serve() -> Iterator[ServeProcess]:
    """Starts a server and gives it with its address."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", RUN, "serve", "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving at http://127.0.0.1:"), process.communicate()
        return process, line.split()[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_token_is_printed_alone_listed_without_itself_and_revoked(cli):
    made = cli("tokens", "create", "--role", "admin", "--name", "ops")
    assert made.code == 0
    assert made.out.count("\n") == 1
    assert made.out.startswith("bh_")
    listed = cli("tokens", "list", "--json")
    (token,) = listed.json["items"]
    assert (token["role"], token["name"], token["namespace"], token["revoked_at"]) == ("admin", "ops", "default", None)
    assert made.out.strip() not in listed.out
    assert cli("tokens", "list", "--namespace", "other", "--json").json == {"items": []}
    assert cli("tokens", "revoke", token["id"], "--json").json["revoked_at"] is not None
    assert cli("tokens", "revoke", token["id"], "--namespace", "other").code == 1


def test_a_token_of_an_unknown_role_is_refused(cli):
    assert cli("tokens", "create", "--role", "owner", "--json").error["path"] == "/role"


def test_the_server_answers_works_and_stops_in_order_on_sigterm(cli, serve):
    token = cli("tokens", "create", "--role", "admin").out.strip()
    process, url = serve()
    with httpx.Client(base_url=url, trust_env=False, headers={"authorization": f"Bearer {token}"}) as caller:
        assert caller.get("/healthz").status_code == 200
        assert caller.get("/readyz").json() == {"status": "ready"}
        assert caller.get("/api/v1/nowhere").status_code == 404
        metrics = caller.get("/metrics").text
        assert "billhook_worker_alive 1.0" in metrics
        assert 'route="/healthz",status="200"} 1.0' in metrics
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, said) == (0, "")


def test_an_answer_in_flight_ends_before_the_server_does(cli, serve):
    token = cli("tokens", "create", "--role", "admin").out.strip()
    process, url = serve("--no-worker")
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as caller:
        head = f"POST /api/v1/nowhere HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
        caller.sendall(f"{head}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{".encode())
        httpx.get(f"{url}/healthz", trust_env=False)  # the server has seen the first half by now
        process.send_signal(signal.SIGTERM)
        _wait_until_nobody_listens(url)
        caller.sendall(b"}")
        assert caller.recv(4096).startswith(b"HTTP/1.1 404")
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


def _wait_until_nobody_listens(url: str) -> None:
    try:
        while True:
            with suppress(httpx.RemoteProtocolError):  # it was let in at the last moment, and nobody answers any more
                httpx.get(f"{url}/healthz", trust_env=False)
    except httpx.ConnectError:
        return


def test_a_port_that_is_taken_is_told(cli):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = cli("serve", "--port", str(taken.getsockname()[1]), "--json")
    assert answer.error["code"] == "port_not_free"


def test_the_command_line_and_the_package_load_nothing_of_the_server():
    program = (
        "import sys, billhook, billhook.cli.root, billhook.engine.engine;"
        "print([name for name in ('fastapi', 'starlette', 'uvicorn', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
