"""The command group `db`: the schema, soundness, and keeping the journal small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import REFUSED
from billhook.cli.output import fields, table
from billhook.cli.session import Session
from billhook.errors import InvalidInput

if TYPE_CHECKING:
    from billhook.store.database import Database

group = typer.Typer(help="The database.", no_args_is_help=True)
WITHOUT_NAMESPACE = ("db", "as_json")


@command(group, "upgrade", shared=WITHOUT_NAMESPACE)
def upgrade(session: Session) -> None:
    """Make the database, or bring its schema to this release. All or nothing; doing it again does nothing."""
    from billhook.store import migrate

    with _database(session, create=True) as database:
        before = migrate.current(database)
        after = migrate.upgrade(database)
    session.answer(
        {"from": before, "to": after}, lambda: f"The schema is at {after} (it was at {before or 'nothing'})."
    )


@command(group, "check", shared=WITHOUT_NAMESPACE)
def check(session: Session) -> None:
    """Look for damage and for differences from this release's schema. Reads all of a SQLite file."""
    from billhook.store.maintenance import check as problems_of

    with _database(session) as database:
        problems = problems_of(database)
    rows = [(problem.code, problem.message) for problem in problems]
    session.answer(
        {"problems": problems}, lambda: table(("code", "problem"), rows) if rows else "The database is sound."
    )
    if problems:
        raise typer.Exit(REFUSED)


@command(group, "prune", shared=WITHOUT_NAMESPACE)
def prune(
    session: Session,
    *,
    older_than: Annotated[str, typer.Option(metavar="DURATION", help="In ISO 8601, such as P90D.")],
) -> None:
    """Drop the bodies of requests that were settled longer ago than that; digests, statuses and documents stay."""
    age = _time(older_than)
    with session.engine() as engine:
        result = engine.prune(age)
    session.answer(result, lambda: fields({name: getattr(result, name) for name in result.__dataclass_fields__}))


@command(group, "make-credential-key", shared=("as_json",))
def make_credential_key(session: Session) -> None:
    """Print a fresh key for the variable BILLHOOK_CREDENTIAL_KEYS. It is stored nowhere: keep it secret, and apart from the database."""
    from billhook.engine.credential_keys import new_key

    key = new_key()
    session.answer({"key": key}, lambda: key)


@command(group, "rotate-credentials", shared=WITHOUT_NAMESPACE)
def rotate_credentials(session: Session) -> None:
    """Encrypt the credentials of all apps with the newest key.

    Keys in the file beside a SQLite database get a fresh one in front; the older ones stay for backups. With BILLHOOK_CREDENTIAL_KEYS put
    the new key in front of the old one everywhere, run this, then take the old one away.
    """
    with session.engine() as engine:
        result = engine.rotate_credentials()
    session.answer(result, lambda: fields({name: getattr(result, name) for name in result.__dataclass_fields__}))


@contextmanager
def _database(session: Session, *, create: bool = False) -> Iterator[Database]:
    """The database as it is, of whatever schema."""
    from billhook.clock import SystemClock
    from billhook.faults import NO_FAULTS
    from billhook.store.database import Database

    session.require_database(create=create)
    with Database.open(session.db, clock=SystemClock(), faults=NO_FAULTS, create=create) as database:
        yield database


def _time(text: str) -> timedelta:
    from billhook.domain.period import parse_duration

    duration = parse_duration(text)
    if not isinstance(duration, timedelta) or duration < timedelta():
        raise InvalidInput("duration_not_exact", f"{text} is no fixed length of time. Give days or hours: P90D, PT12H.")
    return duration
