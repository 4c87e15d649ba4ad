"""The command `sandbox`: a provider on this machine to try things on."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.output import print_json
from billhook.cli.session import Session
from billhook.errors import InvalidInput

if TYPE_CHECKING:
    from billhook.testing.sandbox.server import SandboxSimulator

DEFAULT_LEDGER = Path("sandbox-books.db")
DEFAULT_PORT = 8080


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "sandbox", shared=("as_json",))(sandbox)


def sandbox(
    session: Session,
    *,
    ledger: Annotated[Path, typer.Option("--ledger", help="The file with the sandbox's books.")] = DEFAULT_LEDGER,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 takes a free one.")] = DEFAULT_PORT,
) -> None:
    """Serve a made-up accounting and payment system on this machine, until Ctrl-C or SIGTERM. Its books stay in the ledger."""
    from billhook.testing.sandbox import simulator

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with ExitStack() as stack:
        provider = simulator(ledger)
        stack.callback(provider.close)
        url = _serve(provider, port, stack)
        _tell(session, url, provider.rules.tokens[0], ledger)
        stopping.wait()


def _serve(provider: SandboxSimulator, port: int, stack: ExitStack) -> str:
    try:
        return stack.enter_context(provider.serve(port)).url
    except OSError as error:
        raise InvalidInput(
            "port_not_free", f"The sandbox can't listen on port {port}: {error.strerror}. Give another --port."
        ) from error


def _tell(session: Session, url: str, token: str, ledger: Path) -> None:
    if session.as_json:
        print_json({"url": url, "token": token, "ledger": str(ledger)})
    else:
        print(f"The sandbox listens at {url}; its token is {token}, its books are in {ledger}. Stop it with Ctrl-C.")
        print(f"Install it: billhook apps install sandbox --set base_url={url} --credential token=-")
    sys.stdout.flush()
