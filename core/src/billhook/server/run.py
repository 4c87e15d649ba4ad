"""The server as a process: the application, the worker and the dispatcher beside it, and an end in order.

On SIGTERM or Ctrl-C nothing new is taken and answers in flight end, then dispatcher and worker let their requests land, then the caller
closes the engine.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from billhook.engine.engine import Engine
from billhook.engine.notifications.running import RunningDispatcher
from billhook.engine.running import RunningWorker
from billhook.errors import InvalidInput
from billhook.server.app import create_app
from billhook.server.connections import OAuth2Client
from billhook.server.v1.notification_wire import renderer

GRACE_SECONDS = 20
"""For so long answers in flight may take once the server was told to stop."""
KEEP_ALIVE_SECONDS = 30


def run(
    engine: Engine,
    *,
    host: str,
    port: int,
    worker_threads: int | None,
    oauth2_clients: Mapping[str, OAuth2Client],
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. To be called in the main thread.

    ``on_ready`` is told the address once requests are answered; port 0 takes a free one. Without ``worker_threads`` no worker runs here.
    Raises InvalidInput where it can't listen there, and whatever the worker died of.
    """
    app = create_app(engine, oauth2_clients=oauth2_clients)
    with (
        listening(host, port) as listener,
        _working(app, engine, worker_threads),
        _notifying(app, engine),
        _signals_taken(),
    ):
        Server(app, lambda: on_ready(_url(host, listener))).run(sockets=[listener])


class Server(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, app: ASGIApp, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell."""
        await super().startup(sockets)
        if self.started:
            self._on_started()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at that place; port 0 takes a free one. Raises InvalidInput where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InvalidInput(
            "port_not_free",
            f"The server can't listen on {host}, port {port}: {error.strerror}. Give another --port or --host.",
        ) from error
    with listener:
        # Inherited by each connection: else the kernel may hold the end of an answer back for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def _working(app: FastAPI, engine: Engine, threads: int | None) -> Iterator[None]:
    """A worker beside the application until the block ends, if one is wanted. While it is dead the server is not ready."""
    if threads is None:
        yield
        return
    with engine.worker(threads=threads) as worker:
        app.state.readiness.checks.append(lambda: _why_dead(worker))
        app.state.metrics.worker_alive.set_function(lambda: int(worker.is_alive))
        yield


@contextmanager
def _notifying(app: FastAPI, engine: Engine) -> Iterator[None]:
    """Notifications are sent until the block ends, with a worker here or without. While nobody sends them the server is not ready."""
    with engine.dispatcher(renderer(engine.catalog)) as dispatcher:
        app.state.readiness.checks.append(lambda: _why_dead(dispatcher, "dispatcher of notifications"))
        yield


def _why_dead(running: RunningWorker | RunningDispatcher, name: str = "worker") -> str | None:
    return None if running.is_alive else f"The {name} has died; the log says of what. Start this process again."


@contextmanager
def _signals_taken() -> Iterator[None]:
    # After its graceful end uvicorn raises the signal again, for whoever had it before. That is us, and we want to end in order.
    def ignore(number: int, frame: FrameType | None) -> None:
        return

    before = {number: signal.signal(number, ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
