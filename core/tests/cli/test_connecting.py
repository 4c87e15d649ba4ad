"""`billhook apps connect`, with a person who signs in, over real HTTP on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

KIT = Path(__file__).resolve().parents[1] / "kit"
sys.path.insert(0, str(KIT))

from granting import CLIENT_SECRET, GrantServer  # noqa: E402 - found once the kit is on the path

from billhook.clock import SystemClock  # noqa: E402

RUN = "from billhook.cli import main; main()"
PERSON = "import sys, httpx; httpx.get(sys.argv[1], follow_redirects=True)"


@pytest.fixture
def grants() -> GrantServer:
    return GrantServer(SystemClock())


@pytest.fixture
def address(grants: GrantServer) -> Iterator[str]:
    with grants.serve() as url:
        yield url


@pytest.fixture(autouse=True)
def _provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider `grants`, as if it were installed."""
    info = tmp_path / "site" / "grants-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: grants\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[billhook.providers]\ngrants = granting:GrantsProvider\n")
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.setenv("GRANTS_SECRET", CLIENT_SECRET)


Command = subprocess.Popen[str]


@pytest.fixture
def connect(address: str) -> Iterator[Callable[..., Command]]:
    """Starts the command in a process of its own."""
    started: list[Command] = []

    def start(what: str = "grants", *options: str, **environment: str) -> Command:
        new = ("--set", f"base_url={address}", "--credential-env", "client_secret=GRANTS_SECRET")
        given = new if what == "grants" else ()
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", RUN, "apps", "connect", what, "--json", "--port", "0", *given, *options]
        started.append(subprocess.Popen(command, env=env, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def address_shown(command: Command) -> str:
    assert command.stderr is not None
    assert "grant access" in command.stderr.readline()
    return command.stderr.readline().strip()


def answer(command: Command, input: str = "") -> Any:
    out, err = command.communicate(input, timeout=60)
    assert command.returncode == 0, err
    return json.loads(out)["items"]


def refusal(command: Command, input: str = "") -> str:
    _, err = command.communicate(input, timeout=60)
    assert command.returncode == 1
    return str(json.loads(err.splitlines()[-1])["error"]["message"])


def test_a_person_signs_in_and_the_app_is_ready(connect, cli, grants):
    command = connect("grants", "--no-browser", "--account", "south", "--name", "Books")
    page = httpx.get(address_shown(command), follow_redirects=True)
    assert "You can close this window" in page.text
    (app,) = answer(command)
    assert (app["type"], app["name"], app["status"], app["settings"]["account"]) == (
        "grants",
        "Books",
        "ready",
        "south",
    )
    checked = cli("apps", "check", app["id"], "--json")
    assert [account["id"] for account in checked.json["accounts"]] == ["north", "south", "west"]
    assert grants.mistakes == []


def test_nothing_shown_holds_a_secret(connect, cli, grants):
    command = connect("grants", "--no-browser", "--account", "south")
    shown = address_shown(command)
    httpx.get(shown, follow_redirects=True)
    out, err = command.communicate(timeout=60)
    said = shown + out + err + cli("apps", "list", "--json").out
    grant = grants.grants["person"]
    for secret in (CLIENT_SECRET, grant.refresh_token, *grant.access):
        assert secret not in said
    stored = b"".join(path.read_bytes() for path in Path.cwd().glob("billhook.db*") if path.is_file())
    assert grant.refresh_token.encode() not in stored


def test_a_browser_is_opened(connect, grants):
    command = connect("grants", "--account", "north", BROWSER=f"{sys.executable} -c '{PERSON}' %s")
    (app,) = answer(command)
    assert app["status"] == "ready"


def test_accounts_of_one_sign_in_share_its_grant_and_a_second_sign_in_adds_none(connect, cli, grants):
    for _ in range(2):
        command = connect("grants", "--no-browser", "--account", "north", "--account", "west")
        httpx.get(address_shown(command), follow_redirects=True)
        apps = answer(command)
        assert [app["name"] for app in apps] == ["North", "West"]
    assert len(cli("apps", "list", "--json").json["items"]) == 2
    grants.revoke("person")
    for app in apps:
        assert cli("apps", "check", app["id"]).code == 1
    assert {app["status"] for app in cli("apps", "list", "--json").json["items"]} == {"unauthorized"}


def test_a_dead_app_is_connected_again_by_its_id(connect, cli, grants):
    command = connect("grants", "--no-browser", "--account", "north")
    httpx.get(address_shown(command), follow_redirects=True)
    (app,) = answer(command)
    grants.revoke("person")
    assert cli("apps", "check", app["id"]).code == 1
    command = connect(app["id"], "--no-browser")
    httpx.get(address_shown(command), follow_redirects=True)
    assert answer(command)[0]["status"] == "ready"
    assert cli("apps", "check", app["id"]).code == 0


def test_where_the_browser_cannot_come_back_its_address_is_pasted(connect):
    command = connect("grants", "--account", "north", "--redirect-uri", "https://acme.test/back")
    ended = httpx.get(address_shown(command)).headers["location"]
    assert ended.startswith("https://acme.test/back?")
    assert answer(command, f"{ended}\n")[0]["status"] == "ready"


def test_an_answer_that_nobody_asked_for_is_not_taken(connect):
    command = connect("grants", "--account", "north", "--redirect-uri", "https://acme.test/back")
    address_shown(command)
    assert "not asked for here" in refusal(command, "https://acme.test/back?code=stolen&state=strange\n")


def test_a_stranger_at_the_door_is_sent_away_and_the_person_still_comes_in(connect):
    command = connect("grants", "--no-browser", "--account", "north")
    shown = address_shown(command)
    door = dict(parse_qsl(urlsplit(shown).query))["redirect_uri"]
    for target in (f"{door}?code=stolen&state=strange", f"{door}?code=stolen", door.replace("callback", "favicon.ico")):
        assert httpx.get(target).status_code == 404
    httpx.get(shown, follow_redirects=True)
    assert answer(command)[0]["status"] == "ready"


@pytest.mark.parametrize(
    "options, told",
    [
        (("--set", "client_id=denied"), "access_denied. Begin again"),
        ((), "several accounts: North (north), South (south), West (west). Name those to install with --account"),
        (("--account", "east"), "does not reach an account 'east'"),
    ],
)
def test_what_goes_wrong_says_what_to_do(connect, cli, options, told):
    command = connect("grants", "--no-browser", *options)
    httpx.get(address_shown(command), follow_redirects=True)
    assert told in refusal(command)
    assert cli("apps", "list", "--json").json["items"] == []


def test_a_provider_without_a_sign_in_says_how_it_is_connected(cli):
    refused = cli("apps", "connect", "sandbox", "--json")
    assert refused.error["code"] == "unsupported"
    assert "billhook apps install sandbox" in refused.error["message"]


def test_a_missing_secret_of_the_client_is_named_before_anybody_signs_in(cli):
    refused = cli("apps", "connect", "grants", "--no-browser", "--json", "--port", "0")
    assert refused.error["code"] == "config_invalid"
    assert "client_secret" in refused.error["message"]


def test_an_app_that_was_installed_without_credentials_says_how_to_connect_it(connect, cli, address):
    installed = cli("apps", "install", "grants", "--set", f"base_url={address}", "--set", "account=north")
    assert "billhook apps connect" in installed.err
    app_id = installed.err.split()[-1]
    command = connect(app_id, "--no-browser", "--credential-env", "client_secret=GRANTS_SECRET")
    httpx.get(address_shown(command), follow_redirects=True)
    assert answer(command)[0]["status"] == "ready"
