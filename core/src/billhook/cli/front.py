"""The first page: what `billhook` is, and the purpose of every command and group, without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

HELP = "Carry invoices, exactly once and to the cent, through the systems that deliver them and collect the money."
EPILOG = (
    "Exit codes: 0 done; 1 failed or refused, and the error says what to do next; 2 wrong usage; 3 a person is needed: something is "
    "in doubt, has failed, is invalid or held, or does not add up; 130 interrupted. With --json every command prints one JSON document on standard "
    'output, and errors as {"error": {...}} on standard error.'
)

# As the commands and groups themselves say it, in their order.
COMMANDS = {
    "demo": "Carry the 66 documents of one real trading day to providers simulated on this machine, and compare their books with ours.",
    "setup": "Set up custom invoicing: an app with its two switches, a billing profile, whom it serves, and who is told.",
    "worker": "Work on every namespace of the database. SIGTERM and Ctrl-C let what is under way land, then stop.",
    "serve": (
        "Serve OpenMeter's API, and work on every namespace of the database. SIGTERM and Ctrl-C let what is under way end, then stop."
    ),
    "simulate": (
        "Serve a provider's simulator on this machine, until Ctrl-C or SIGTERM. Its books stay in the ledger, and /-/ shows them in a "
        "browser."
    ),
    "check": "Examine a provider: whether it tells the truth (bronze), is correct (silver) and survives (gold). Ends with 1 below the tier.",
    "new-plugin": "Write a plugin of your own: provider, simulator, tests and packaging, which pass `billhook check` as they are.",
    "bench": "Measure this machine: the engine against a bare driver, on SQLite and PostgreSQL. Minutes.",
}
GROUPS = {
    "providers": "What is installed: list, describe, examine.",
    "apps": "Installed providers: settings, credentials, switches.",
    "profiles": "Billing profiles: apps, workflow, who sells.",
    "customers": "Who is invoiced.",
    "overrides": "What single customers get instead of the default profile.",
    "invoices": "Creating and reading invoices, and what can be asked of them.",
    "credit-notes": "What is owed back.",
    "numbers": "Numbers of documents.",
    "tokens": "Tokens of those who may call the server.",
    "db": "The database.",
}


def opened() -> typer.Typer:
    """`billhook` with its own options, and no command yet."""
    app = typer.Typer(
        name="billhook",
        help=HELP,
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(about)
    return app


def asks_for_the_first_page(arguments: Sequence[str]) -> bool:
    """Whether nothing more is asked for than what this page tells."""
    return list(arguments) in ([], ["--help"], ["--version"])


def first_page(added: Mapping[str, str]) -> typer.Typer:
    """What prints that page, commands that were ``added`` included. They have names and purposes, and do nothing."""
    app = opened()
    for name, purpose in (COMMANDS | {name: origin for name, origin in added.items() if name not in COMMANDS}).items():
        app.command(name, help=purpose)(_nothing)
    for name, purpose in GROUPS.items():
        app.add_typer(typer.Typer(help=purpose), name=name)
    return app


def _nothing() -> None:
    return


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from billhook import __version__

    typer.echo(__version__)
    raise typer.Exit


def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    # No docstring: typer would show it in place of the help text.
    return
