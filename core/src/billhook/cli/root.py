"""The command `billhook` and its groups."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from billhook.cli import (
    apps,
    bench,
    checking,
    connecting,
    credit_notes,
    customers,
    database,
    demonstration,
    doubts,
    invoices,
    new_plugin,
    numbers,
    outside,
    overrides,
    profiles,
    providers,
    serving,
    setup,
    simulation,
    tokens,
    working,
)
from billhook.cli.exits import INTERRUPTED, WRONG_USAGE
from billhook.cli.front import opened
from billhook.cli.output import print_error

app = opened()

demonstration.register(app)
setup.register(app)
app.add_typer(providers.group, name="providers")
app.add_typer(apps.group, name="apps")
connecting.register(apps.group)
app.add_typer(profiles.group, name="profiles")
app.add_typer(customers.group, name="customers")
app.add_typer(overrides.group, name="overrides")
app.add_typer(invoices.group, name="invoices")
doubts.register(invoices.group)
outside.register(invoices.group)
app.add_typer(credit_notes.group, name="credit-notes")
app.add_typer(numbers.group, name="numbers")
app.add_typer(tokens.group, name="tokens")
working.register(app)
serving.register(app)
simulation.register(app)
checking.register(app)
new_plugin.register(app)
app.add_typer(database.group, name="db")
bench.register(app)


def run_for_machines(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code. Wrong usage, too, is told as JSON."""
    try:
        return int(app(list(arguments), standalone_mode=False) or 0)
    except typer.Abort:
        print_error("interrupted", "Interrupted.", as_json=True)
        return INTERRUPTED
    except Exception as error:
        # Errors of usage have no public class in every release of typer; this is what tells them.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        print_error("usage", message(), as_json=True)
        return WRONG_USAGE
