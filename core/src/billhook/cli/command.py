"""Commands: a function of a session, given the options that all commands share, its errors turned into exit codes."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from billhook.cli.exits import INTERRUPTED, REFUSED
from billhook.cli.logs import show_logs
from billhook.cli.output import print_billhook_error, print_error
from billhook.cli.session import DEFAULT_DB, DEFAULT_NAMESPACE, Session
from billhook.errors import BillhookError

P = ParamSpec("P")

Db = Annotated[str, typer.Option("--db", envvar="BILLHOOK_DB", help="SQLite file or postgresql:// address.")]
NamespaceName = Annotated[str, typer.Option("--namespace", help="Whose apps, customers and invoices.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_SHARED = {
    "db": inspect.Parameter("db", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_DB, annotation=Db),
    "namespace": inspect.Parameter(
        "namespace", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_NAMESPACE, annotation=NamespaceName
    ),
    "as_json": inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
}
EVERY_OPTION = tuple(_SHARED)
TRACEBACK_VARIABLE = "BILLHOOK_TRACEBACK"


def command(
    group: typer.Typer, name: str, *, shared: tuple[str, ...] = EVERY_OPTION
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Make the function a command of the group. ``shared`` names the common options that it takes.

    The function gets a session; what it raises as a BillhookError becomes a message and exit code 1.
    """

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        def run(**arguments: Any) -> None:
            session = Session(**{option: arguments.pop(option) for option in shared})
            show_logs()
            with errors_as_exits(as_json=session.as_json):
                function(session, **arguments)  # type: ignore[call-arg]

        parameters = _own_parameters(function) + [_SHARED[option] for option in shared]
        run.__doc__ = function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        group.command(name)(run)
        return function

    return register


def _own_parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
    _session, *own = inspect.signature(function, eval_str=True).parameters.values()
    return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]


@contextmanager
def errors_as_exits(*, as_json: bool) -> Iterator[None]:
    """Tell a refusal on standard error and leave with its exit code."""
    try:
        yield
    except BillhookError as error:
        print_billhook_error(error, as_json=as_json)
        raise typer.Exit(REFUSED) from error
    except KeyboardInterrupt as stop:
        print_error("interrupted", "Interrupted. What was committed stays; run it again to go on.", as_json=as_json)
        raise typer.Exit(INTERRUPTED) from stop
    except Exception as error:
        if _is_for_the_parser(error):
            raise
        _print_unexpected(error, as_json=as_json)
        raise typer.Exit(REFUSED) from error


def _is_for_the_parser(error: Exception) -> bool:
    # Errors of usage have no public class in every release of typer; this is what tells them.
    return isinstance(error, typer.Exit | typer.Abort | BrokenPipeError) or hasattr(error, "format_message")


def _print_unexpected(error: Exception, *, as_json: bool) -> None:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    hint = f"Run it with {TRACEBACK_VARIABLE}=1 to see where."
    print_error("internal", f"Something unexpected went wrong: {said}. {hint}", as_json=as_json)
