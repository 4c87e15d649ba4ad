"""The application behind a real socket, on a shop with custom invoicing and the sandbox, and callers of every role."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import httpx
import openmeter_documents
import uvicorn
from engine_kit import Shop
from openmeter import Client

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.tokens import Role
from billhook.server import create_app
from billhook.server.run import listening as a_listener

ELSEWHERE = "elsewhere"
"""A namespace that has nothing but a token."""


class _Server(uvicorn.Server):
    """Ends when it is told to, where uvicorn looks every tenth of a second whether it was."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, ws="none", lifespan="on", timeout_graceful_shutdown=5))
        self._wake: Callable[[], object] = lambda: None

    async def main_loop(self) -> None:
        told = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), timeout=0.1)

    def end(self) -> None:
        self.should_exit = True
        self._wake()


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The application at an address on this machine, until the block ends."""
    server = _Server(app)
    with a_listener("127.0.0.1", 0) as listener:  # who calls before the server is ready waits, and is not refused
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.end()
            thread.join(timeout=20)
            assert not thread.is_alive()


@dataclass
class Served:
    """The server of one test."""

    base_url: str
    shop: Shop
    tokens: Mapping[str, str]
    """By role; ``elsewhere`` is the administrator of another namespace."""
    _clients: dict[str, httpx.Client] = field(default_factory=dict)
    _making_client: threading.Lock = field(default_factory=threading.Lock)

    @property
    def engine(self) -> Engine:
        return self.shop.engine

    @property
    def ns(self) -> Namespace:
        return self.shop.ns

    @property
    def clock(self) -> TurnedClock:
        return self.shop.clock

    def http(self, role: str | None = "admin") -> httpx.Client:
        """A caller of that role; None for one without a token."""
        name = str(role)
        with self._making_client:
            if name not in self._clients:
                headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
                self._clients[name] = httpx.Client(
                    base_url=self.base_url, headers=headers, trust_env=False, timeout=30, verify=False
                )
        return self._clients[name]

    def call(
        self, method: str, path: str, *, role: str | None = "admin", expect: int | None = None, **options: Any
    ) -> httpx.Response:
        """One call, its answer judged by OpenMeter's document where that is present. ``expect`` is the status it has to have."""
        response = self.http(role).request(method, path, **options)
        if expect is not None:
            assert response.status_code == expect, response.text
        if not path.startswith(("/api/billhook/", "/webhooks/")):
            openmeter_documents.check(method, path, response)
        return response

    def problem(self, method: str, path: str, status: int, **options: Any) -> dict[str, Any]:
        """The problem that a call is answered with."""
        response = self.call(method, path, expect=status, **options)
        assert response.headers["content-type"] == "application/problem+json"
        return dict(response.json())

    @cached_property
    def openmeter(self) -> Client:
        """The published client of OpenMeter, as an administrator."""
        return Client(endpoint=self.base_url, token=self.tokens["admin"])

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        if "openmeter" in self.__dict__:
            self.openmeter.close()


def problem_of(response: httpx.Response) -> dict[str, Any]:
    """The problem in an answer, which has to be one."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    return dict(response.json())


def make_tokens(engine: Engine, namespace: str) -> dict[str, str]:
    """A token for each role, and one for another namespace."""
    tokens = {role.value: engine.tokens.create(namespace, role).token for role in Role}
    return {**tokens, ELSEWHERE: engine.tokens.create(ELSEWHERE, Role.ADMIN).token}


@contextmanager
def serving(shop: Shop, **options: Any) -> Iterator[Served]:
    """Serve that shop's engine until the block ends. ``options`` are the application's."""
    tokens = make_tokens(shop.engine, shop.namespace)
    with listening(create_app(shop.engine, **options)) as base_url:
        served = Served(base_url, shop, tokens)
        try:
            yield served
        finally:
            served.close()
