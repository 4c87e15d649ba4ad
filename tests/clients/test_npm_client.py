"""OpenMeter's published npm client tells the same story against `billhook serve` in node; see story.mjs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from openmeter import Client
from openmeter.models import MarketplaceInstallRequestPayload
from receiving import Receiver
from server_process import ServerProcess

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent
STORY = ("package.json", "story.mjs")
IN_SCOPE = ("apps.", "billing.", "customers.", "notifications.")

OUT_OF_SCOPE = (
    "apps.stripe.",
    "customers.entitlements",
    "customers.getAccess",
    "customers.listSubscriptions",
    "customers.stripe.",
)
"""Methods of these groups that are about entitlements, subscriptions and Stripe's own pages."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the story and the client that it needs."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: the npm client needs both")
    folder = tmp_path_factory.mktemp("npm")
    for name in STORY:
        shutil.copy(HERE / name, folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"npm can't install the client: {done.stderr[-500:]}")
    return folder


def test_a_shop_lives_by_the_client(story: Path, server: ServerProcess, token: str, receiver: Receiver):
    with Client(endpoint=server.url, token=token) as client:
        # The npm client can't install an app without credentials.
        app = client.marketplace.install("custom_invoicing", MarketplaceInstallRequestPayload(name="Books")).app
    command = ["node", "story.mjs", server.url, token, receiver.url, app["id"]]
    done = subprocess.run(command, cwd=story, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    never_called = [method for method in json.loads(done.stdout) if method.startswith(IN_SCOPE)]
    assert [method for method in never_called if not method.startswith(OUT_OF_SCOPE)] == []
    assert len(receiver.ids) == len(set(receiver.ids)) + 1  # one was sent again
