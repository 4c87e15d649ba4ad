"""The command `bridge`: stand beside an OpenMeter, and do its outside invoicing with the providers of one namespace."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import fields
from billhook.cli.session import Session
from billhook.errors import ConfigError
from billhook_openmeter.decision import PostAt

if TYPE_CHECKING:
    from billhook import Engine
    from billhook_openmeter.bridge import Bridge, Visit
    from billhook_openmeter.running import RunningBridge

TOKEN_VARIABLE = "OPENMETER_TOKEN"  # noqa: S105 - the name of a variable
SECRET_VARIABLE = "OPENMETER_WEBHOOK_SECRET"  # noqa: S105
MOST_ROUNDS = 50
"""With --once: after so many rounds in which something still moved it is told as it stands."""
LONGEST_WAIT_SECONDS = 60.0
"""With --once: where OpenMeter asks to be left alone for longer, it is told as it stands."""
MOST_WAITS = 5

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "bridge")(bridge)


def bridge(
    session: Session,
    *,
    openmeter: Annotated[str, typer.Option(metavar="URL", help="Where OpenMeter, or Konnect's region, answers.")],
    prefix: Annotated[str, typer.Option(help="What its paths begin with.")] = "/api/v1",
    app: Annotated[
        str | None, typer.Option("--app", metavar="ID", help="Only invoices of this Custom Invoicing app of OpenMeter.")
    ] = None,
    post_at: Annotated[
        PostAt, typer.Option(help="When a provider without drafts gets its document: in draft sync or in issuing sync.")
    ] = PostAt.ISSUE,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help=f"Take notifications here; {SECRET_VARIABLE} has their secret."),
    ] = None,
    every_seconds: Annotated[
        float, typer.Option("--every", min=0.1, metavar="SECONDS", help="Look for what no notification told.")
    ] = 30.0,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when nothing moves any more. Exit code 3 if a person is needed.")
    ] = False,
) -> None:
    """Make the providers here the outside invoicing system of an OpenMeter. Its token comes from the variable OPENMETER_TOKEN.

    The namespace's default billing profile, or a customer's override, says which apps an invoice goes to. SIGTERM and Ctrl-C let what is under
    way end.
    """
    from billhook_openmeter.bridge import Bridge
    from billhook_openmeter.client import OpenMeter

    upstream = OpenMeter(openmeter, os.environ.get(TOKEN_VARIABLE), prefix=prefix)
    try:
        with session.engine(create=True) as engine, _told_apart():
            made = Bridge(engine.namespace(session.namespace), upstream, post_at=post_at, app_id=app)
            if once:
                _until_nothing_moves(session, engine, made)
            else:
                _until_stopped(session, engine, made, listen, every_seconds)
    finally:
        upstream.close()


@contextmanager
def _told_apart() -> Iterator[None]:
    """OpenMeter's refusal as an error of ours, with the way out."""
    from billhook_openmeter.client import UpstreamError

    try:
        yield
    except UpstreamError as error:
        if error.wait_seconds is not None:
            raise ConfigError(f"{error} Try again in {error.wait_seconds:.0f} seconds.") from error
        raise ConfigError(f"{error} Check --openmeter, --prefix and {TOKEN_VARIABLE}.") from error


def _until_nothing_moves(session: Session, engine: Engine, bridge: Bridge) -> None:
    stuck: dict[str, str] = {}
    visits: list[Visit] = []
    steps = 0
    for _ in range(MOST_ROUNDS):
        # What was stuck is looked at again though nothing may lead there any more: it may have been settled meanwhile.
        ids = dict.fromkeys([*_left_alone(lambda: list(bridge.ids_to_visit())), *stuck])
        visits = [_visited(bridge, id) for id in ids]
        before = stuck
        stuck = {visit.upstream_id: visit.stuck for visit in visits if visit.stuck is not None}
        moved = sum(len(visit.steps) for visit in visits)
        steps += moved
        if engine.run_until_idle() == 0 and moved == 0 and stuck == before:
            break
    answer: dict[str, Any] = {"invoices": len(visits), "steps": steps, "stuck": stuck}
    session.answer(answer, lambda: fields({**answer, "stuck": "; ".join(f"{id}: {why}" for id, why in stuck.items())}))
    if stuck:
        raise typer.Exit(NEEDS_A_PERSON)


def _visited(bridge: Bridge, upstream_id: str) -> Visit:
    """The visit; an invoice of which OpenMeter can't answer now keeps no other one waiting."""
    from billhook_openmeter.bridge import Visit
    from billhook_openmeter.client import UpstreamError, UpstreamRefusesUs

    try:
        return _left_alone(lambda: bridge.visit(upstream_id))
    except UpstreamRefusesUs:
        raise
    except UpstreamError as error:
        return Visit(upstream_id, (), stuck=str(error))


def _left_alone(ask: Callable[[], T]) -> T:
    """Its answer; asked again after as long as OpenMeter asks to be left alone, where that is not too long."""
    from billhook_openmeter.client import UpstreamError

    for _ in range(MOST_WAITS):
        try:
            return ask()
        except UpstreamError as error:
            if error.wait_seconds is None or error.wait_seconds > LONGEST_WAIT_SECONDS:
                raise
            threading.Event().wait(error.wait_seconds)
    return ask()


def _until_stopped(session: Session, engine: Engine, bridge: Bridge, listen: str | None, every_seconds: float) -> None:
    from billhook_openmeter.running import RunningBridge

    with engine.worker(), ExitStack() as stack:
        running = RunningBridge(bridge, engine, sweep_seconds=every_seconds)
        if listen is not None:
            typer.echo(f"Taking notifications at {_listening(stack, listen, running)}", err=True)
        typer.echo("Bridging. Stop with Ctrl-C or SIGTERM.", err=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: running.ask_to_stop())
        with running:
            running.wait()


def _listening(stack: ExitStack, listen: str, running: RunningBridge) -> str:
    from billhook_openmeter.hints import Listening, application, is_secret

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"{listen!r} is no HOST:PORT. Give an address such as 127.0.0.1:8710.")
    secret = os.environ.get(SECRET_VARIABLE)
    if not secret:
        raise ConfigError(f"Notifications are taken with their secret only. Put it into {SECRET_VARIABLE}.")
    if not is_secret(secret):
        raise ConfigError(
            f"What {SECRET_VARIABLE} has is no secret of a notification channel. Copy its signingSecret; it begins with whsec_."
        )
    return stack.enter_context(Listening(application(secret, running.hint), host, int(port))).url
