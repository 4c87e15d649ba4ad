"""The command line: parse, call, print.

Asking for help imports typer and rich and nothing else; what a command needs it imports when it runs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with."""
    from billhook.cli.root import app, run_for_machines

    if "--json" in sys.argv:
        sys.exit(run_for_machines(sys.argv[1:]))
    app()
