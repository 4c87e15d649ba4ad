"""The provider's side of the demo: a sandbox over real HTTP on this machine, reached by a name that outlives its port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from billhook.contract import Outgoing
from billhook.engine.effects import Transmission
from billhook.engine.transport import HttpTransport
from billhook.testing.sandbox import simulator

SANDBOX_URL = "http://sandbox.localhost"
TOKEN = "sandbox-token"  # noqa: S105 - the sandbox's well-known token


class SandboxTransport:
    """Sends to the sandbox, wherever it listens now.

    What was frozen before a kill is sent again byte for byte, its address included, while the sandbox has another port by then. So the
    address is a name, and this resolves it.
    """

    def __init__(self, sandbox_url: str) -> None:
        self._sandbox_url = sandbox_url
        # A proxy that the environment names could not reach this machine's loopback.
        self._http = HttpTransport(httpx.Client(trust_env=False))

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of the request."""
        url = self._sandbox_url + request.url.removeprefix(SANDBOX_URL)
        return self._http.send(replace(request, url=url), timeout_seconds)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


@contextmanager
def serving(ledger: Path) -> Iterator[str]:
    """The sandbox with its books in that file, served until the block ends. Gives its address."""
    sandbox = simulator(ledger)
    try:
        with sandbox.serve() as served:
            yield served.url
    finally:
        sandbox.close()
