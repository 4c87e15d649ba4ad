"""The command `simulate`: a provider on this machine to try things on, without an account."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.output import print_json
from billhook.cli.session import Session
from billhook.errors import InvalidInput

if TYPE_CHECKING:
    from billhook.testing.simulator import Connection, Simulator

DEFAULT_PORT = 8080


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "simulate", shared=("as_json",))(simulate)


def simulate(
    session: Session,
    *,
    provider: Annotated[
        str, typer.Argument(help="Whom to simulate: sandbox, or a provider whose package is installed.")
    ],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="The file with its books; PROVIDER-books.db if not given.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free one.")] = DEFAULT_PORT,
) -> None:
    """Serve a provider's simulator on this machine, until Ctrl-C or SIGTERM. Its books stay in the ledger, and /-/ shows them in a browser.

    It prints what an app is to be installed with. The sandbox is a provider of its own invention; the others behave as their vendors say.
    """
    from billhook.testing.simulator.installed import simulator_of

    books = ledger or Path(f"{provider}-books.db")
    factory = simulator_of(provider)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with ExitStack() as stack:
        simulator = factory(books)
        stack.callback(simulator.close)
        url = _serve(simulator, port, stack)
        _tell(session, provider, url, simulator.connection(url), books)
        stopping.wait()


def _serve(simulator: Simulator, port: int, stack: ExitStack) -> str:
    try:
        return stack.enter_context(simulator.serve(port)).url
    except OSError as error:
        raise InvalidInput(
            "port_not_free", f"The simulator can't listen on port {port}: {error.strerror}. Give another --port."
        ) from error


def _tell(session: Session, provider: str, url: str, connection: Connection, books: Path) -> None:
    from billhook.testing.simulator.page import PATH

    settings, credentials = dict(connection.settings), dict(connection.credentials)
    if session.as_json:
        print_json({"url": url, "settings": settings, "credentials": credentials, "ledger": str(books)})
    else:
        print(
            f"The {provider} simulator listens at {url}; its books are in {books} and at {url}{PATH}. Stop it with Ctrl-C."
        )
        print(f"Install it: {_install_command(provider, settings, credentials)}")
    sys.stdout.flush()


def _install_command(provider: str, settings: Mapping[str, object], credentials: Mapping[str, str]) -> str:
    """As a shell takes it. Secrets stand in the environment, because `apps install` takes none on its command line."""
    secrets = [f"{name.upper()}={shlex.quote(value)}" for name, value in credentials.items()]
    given = [word for name, value in settings.items() for word in ("--set", shlex.quote(f"{name}={value}"))]
    named = [word for name in credentials for word in ("--credential-env", f"{name}={name.upper()}")]
    return " ".join([*secrets, "billhook", "apps", "install", provider, *given, *named])
