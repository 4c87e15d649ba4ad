"""The command `serve`: OpenMeter's API over HTTP, with a worker beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.inputs import json_object
from billhook.cli.output import print_json
from billhook.cli.recording import Record, recording
from billhook.cli.session import Session
from billhook.errors import ConfigError

if TYPE_CHECKING:
    from billhook.server.connections import OAuth2Client

HOST = "127.0.0.1"
PORT = 8888
THREADS = 16


def register(app: typer.Typer) -> None:
    """Add the command. Which namespace a caller sees is said by its token."""
    command(app, "serve", shared=("db", "as_json"))(serve)


def serve(
    session: Session,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free one.")] = PORT,
    host: Annotated[
        str, typer.Option(help="On which address it listens; 0.0.0.0 for every one of this machine.")
    ] = HOST,
    worker_threads: Annotated[
        int, typer.Option(min=1, help="How many requests to providers may be under way at once.")
    ] = THREADS,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only answer; a `billhook worker` elsewhere does the work.")
    ] = False,
    allow_private_targets: Annotated[
        bool,
        typer.Option("--allow-private-targets", help="Notify private addresses and plain http too: for development."),
    ] = False,
    oauth2_clients: Annotated[
        Path | None,
        typer.Option(
            help="OAuth clients by provider, as JSON: {TYPE: {redirect_uri, credentials, settings}}. Keep the file secret."
        ),
    ] = None,
    record: Record = None,
) -> None:
    """Serve OpenMeter's API, and work on every namespace of the database. SIGTERM and Ctrl-C let what is under way end, then stop.

    Callers need a token: billhook tokens create. The address is printed once requests are answered.
    """
    _require_server()
    from billhook.engine.garbage import collected_seldom
    from billhook.engine.notifications.targets import Targets
    from billhook.server.run import run

    targets = Targets(allow_private=allow_private_targets)
    with (
        recording(record) as wire_log,
        session.engine(create=True, wire_log=wire_log, targets=targets) as engine,
        collected_seldom(),
    ):
        run(
            engine,
            host=host,
            port=port,
            worker_threads=None if no_worker else worker_threads,
            oauth2_clients=_clients(oauth2_clients),
            on_ready=lambda url: _tell(session, url),
        )


def _require_server() -> None:
    from importlib.util import find_spec

    if not all(map(find_spec, ("fastapi", "prometheus_client", "uvicorn"))):
        raise ConfigError('The server needs more than is installed here. Install it: pip install "billhook[server]"')


def _clients(path: Path | None) -> dict[str, OAuth2Client]:
    from billhook.server.connections import OAuth2Client

    given = json_object(path) if path is not None else {}
    try:
        return {type: OAuth2Client(**client) for type, client in given.items()}
    except TypeError:
        raise ConfigError(
            f"{path} has to hold an object with redirect_uri, credentials and perhaps settings for each provider."
        ) from None


def _tell(session: Session, url: str) -> None:
    if session.as_json:
        print_json({"url": url})
    else:
        print(f"Serving at {url}")
    sys.stdout.flush()
