"""The command `worker`: carry on what is due, until stopped or until nothing is left."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import fields, table
from billhook.cli.recording import Record, recording
from billhook.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.engine.engine import Engine
    from billhook.engine.standing import Standing

THREADS = 16
_SILENT = "It is asked again, less and less often. See why: billhook apps check"
TABLES = frozenset({"held_work", "silent_apps", "left"})
COUNTED = (
    "failed",
    "invalid",
    "held",
    "in_doubt",
    "unrecorded",
    "unvoided",
    "still_in_books",
    "missing_in_books",
    "otherwise_in_books",
    "failed_refunds",
    "given_twice",
    "failed_credit_notes",
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "worker", shared=("db", "namespace", "as_json"))(worker)


def worker(
    session: Session,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when nothing is due now. Exit code 3 if a person is needed.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="How many requests may be under way at once.")] = THREADS,
    record: Record = None,
) -> None:
    """Work on every namespace of the database. SIGTERM and Ctrl-C let what is under way land, then stop.

    Several workers, on several machines with PostgreSQL, may share one database. With --once the answer is about the namespace.
    """
    from billhook.engine.garbage import collected_seldom

    with recording(record) as wire_log, session.engine(wire_log=wire_log) as engine, collected_seldom():
        if once:
            _work_until_idle(session, engine, threads)
        else:
            _work_until_stopped(engine, threads)


def _work_until_stopped(engine: Engine, threads: int) -> None:
    print("Working. Stop with Ctrl-C or SIGTERM.", file=sys.stderr)
    with engine.worker(threads=threads) as running:
        running.stop_on_signals()
        running.wait()


def _work_until_idle(session: Session, engine: Engine, threads: int) -> None:
    from billhook.engine.sending import Landing, ThreadSenders
    from billhook.engine.standing import standing_of

    senders = ThreadSenders[Landing](threads)
    try:
        rounds = engine.run_until_idle(senders=senders)
    finally:
        senders.close()
    standing = standing_of(engine.context, session.namespace)
    counted = {name: getattr(standing, name) for name in COUNTED}
    waiting = {"waiting": standing.waiting, "waiting_since": standing.waiting_since}
    answer = {
        "rounds": rounds,
        **counted,
        **waiting,
        "held_work": standing.held_work,
        "silent_apps": standing.silent_apps,
        "left": standing.left,
        "next_due": engine.next_due(),
    }
    session.answer(answer, lambda: _page(answer, standing))
    if standing.needs_a_person:
        raise typer.Exit(NEEDS_A_PERSON)


def _page(answer: Mapping[str, object], standing: Standing) -> RenderableType:
    from rich.console import Group

    numbers = fields({name: value for name, value in answer.items() if name not in TABLES})
    held = [(entry.app_id, entry.app, entry.items, entry.reason) for entry in standing.held_work]
    silent = [(entry.app_id, entry.app, entry.failures, _SILENT) for entry in standing.silent_apps]
    left = [(entry.app_id, entry.app, entry.items, entry.goes_on_at, entry.reason) for entry in standing.left]
    below = (
        *((table(("app", "name", "held>", "because"), held),) if held else ()),
        *((table(("app", "name", "no answer to>", "what now"), silent),) if silent else ()),
        *((table(("app", "name", "left>", "goes on", "because"), left),) if left else ()),
    )
    return Group(numbers, *below)
