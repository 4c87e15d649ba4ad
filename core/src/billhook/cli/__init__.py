"""The command line: parse, call, print.

Asking for help imports typer and rich and nothing else, the first page not even the commands; what a command needs it imports when it runs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with."""
    from billhook.cli.added import add_commands, origins
    from billhook.cli.front import asks_for_the_first_page, first_page

    if asks_for_the_first_page(sys.argv[1:]):
        first_page(origins())(sys.argv[1:])
        return

    from billhook.cli.arguments import shared_options_last
    from billhook.cli.exits import REFUSED
    from billhook.cli.output import print_billhook_error
    from billhook.cli.root import app, run_for_machines
    from billhook.errors import ProviderLoadError

    try:
        add_commands(app, sys.argv[1:])
    except ProviderLoadError as error:
        print_billhook_error(error, as_json="--json" in sys.argv)
        sys.exit(REFUSED)
    arguments = shared_options_last(sys.argv[1:], {str(group.name) for group in app.registered_groups})
    if "--json" in arguments:
        sys.exit(run_for_machines(arguments))
    app(arguments)
