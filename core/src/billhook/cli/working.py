"""The command `worker`: carry on what is due, until stopped or until nothing is left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.exits import NEEDS_A_PERSON
from billhook.cli.output import fields
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.engine.engine import Engine

THREADS = 16


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
) -> None:
    """Work on every namespace of the database. SIGTERM and Ctrl-C let what is under way land, then stop.

    Several workers, on several machines with PostgreSQL, may share one database. With --once the answer is about the namespace.
    """
    with session.engine() as engine:
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
    from billhook.engine.sending import ThreadSenders

    senders = ThreadSenders(threads)
    try:
        rounds = engine.run_until_idle(senders=senders)
    finally:
        senders.close()
    standing = _standing(engine, session.namespace)
    answer = {"rounds": rounds, **standing, "next_due": engine.next_due()}
    session.answer(answer, lambda: fields(answer))
    if standing["failed"] or standing["in_doubt"]:
        raise typer.Exit(NEEDS_A_PERSON)


def _standing(engine: Engine, namespace: str) -> dict[str, Any]:
    from billhook.domain.lifecycle import State, is_failed
    from billhook.engine.queries import InvoiceFilter

    billing = engine.namespace(namespace)
    failed = InvoiceFilter(tuple(state.value for state in State if is_failed(state)))
    return {
        "failed": billing.invoices.list(failed, page_size=1).total_count,
        "in_doubt": len(billing.doubts.list()),
    }
