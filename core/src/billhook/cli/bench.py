"""The command `bench`: measure, as ratios in one run, so that anybody can repeat the numbers."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the command. Everything after its name goes to the benchmark."""
    passing_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("bench", context_settings=passing_on)(bench)


def bench(context: typer.Context) -> None:
    """Measure this machine: the engine against a bare driver, on SQLite and PostgreSQL. Minutes."""
    from billhook.testing.bench import main

    raise typer.Exit(main(context.args) or 0)
