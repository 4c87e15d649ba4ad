"""The two servers that are measured side by side: ours, and one that writes what it was told beforehand. Each is a process."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from billhook.testing.bench.recording import Write
from billhook.testing.bench.stores import committing

Commit = Callable[[Sequence[Write]], None]


def main() -> None:
    """Serve until SIGTERM: ``billhook URL SCRIPT`` or ``bare URL SCRIPT``."""
    _, kind, url, script = sys.argv if len(sys.argv) == 4 else ["", *sys.argv[-3:]]
    serve_bare(url, pickle.loads(Path(script).read_bytes())) if kind == "bare" else serve_billhook(url)  # noqa: S301 - we wrote it


def serve_billhook(url: str) -> None:
    """The server as `billhook serve --no-worker` runs it."""
    from billhook.engine.garbage import collected_seldom
    from billhook.server.run import run
    from billhook.testing.bench.scene import engine_on

    with engine_on(url) as engine, collected_seldom():
        run(
            engine,
            host="127.0.0.1",
            port=0,
            worker_threads=None,
            oauth2_clients={},
            on_ready=_tell,
        )


def serve_bare(url: str, writes: Mapping[str, Sequence[Any]]) -> None:
    """A plain route that looks up what to write, and answers once that is committed."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from billhook.engine.garbage import collected_seldom
    from billhook.server.run import Server, listening

    known = {path: [Write(*write) for write in commit] for path, commit in writes.items()}
    writer = BareWriter(url)

    async def write(request: Request) -> Response:
        await request.body()
        await asyncio.wrap_future(writer.submit(known[request.url.path]))
        return Response(status_code=204)

    app = Starlette(routes=[Route("/{path:path}", write, methods=["POST"])])
    with listening("127.0.0.1", 0) as listener, collected_seldom():
        Server(app, lambda: _tell(f"http://127.0.0.1:{listener.getsockname()[1]}")).run(sockets=[listener])


class BareWriter:
    """One thread that commits together whatever waits, as the engine's own writer does, with nothing but the driver."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: list[tuple[Sequence[Write], Future[None]]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def submit(self, writes: Sequence[Write]) -> Future[None]:
        """Resolved once that is committed."""
        future: Future[None] = Future()
        with self._changed:
            self._waiting.append((writes, future))
            self._changed.notify()
        return future

    def _serve(self) -> None:
        with committing(self._url) as commit:
            while True:
                with self._changed:
                    while not self._waiting:
                        self._changed.wait()
                    group, self._waiting = self._waiting, []
                commit([write for writes, _ in group for write in writes])
                for _, future in group:
                    future.set_result(None)


def _tell(address: str) -> None:
    print(address, flush=True)  # noqa: T201 - to whoever started this process
