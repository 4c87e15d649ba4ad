"""The page of the command line, from what the commands say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from billhook.cli.front import EPILOG
from billhook.cli.root import app
from generators.source import cell, clean, code, table

SHARED = frozenset({"namespace", "as_json", "help"})

SHARED_DB = "SQLite file or postgresql:// address."

INTRO = """\
# Command line

Made from the code. These options are taken by every command that they make sense for:

| option | meaning |
| --- | --- |
| `--db PATH_OR_URL` | SQLite file or `postgresql://` address; `BILLHOOK_DB`, or else `billhook.db` |
| `--namespace NAME` | whose apps, customers and invoices; `default` |
| `--json` | print one JSON document on standard output, and nothing else there |
"""


def page() -> str:
    """The page."""
    root = typer.main.get_command(app)
    parts = [INTRO, "## Exit codes", EPILOG.removeprefix("Exit codes: ")]
    for name, group in root.commands.items():  # type: ignore[attr-defined]
        parts += _described(f"billhook {name}", group, 2)
    return "\n\n".join(part.strip() for part in parts)


def _described(path: str, entry: Any, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {path}"
    yield clean(entry.help)
    if hasattr(entry, "commands"):
        for name, below in entry.commands.items():
            yield from _described(f"{path} {name}", below, depth + 1)
        return
    arguments = [parameter for parameter in entry.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in entry.params if parameter.param_type_name == "option"]
    usage = " ".join([path, *(_usage(argument) for argument in arguments), "[OPTIONS]"])
    yield f"```sh\n{usage}\n```"
    rows = [(code(_usage(argument)), cell(argument.help or "")) for argument in arguments]
    own = [option for option in options if option.name not in SHARED and option.help != SHARED_DB]
    rows += [(code(_flag(option)), cell(_help(option))) for option in own]
    yield table(("argument or option", ""), rows)


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _flag(option: Any) -> str:
    names = "/".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    return f"{names} {option.metavar or option.name.upper()}"


def _help(option: Any) -> str:
    needed = "Required. " if option.required else ""
    default = option.default
    is_told = isinstance(default, str | int) and not isinstance(default, bool) and default != ""
    return f"{needed}{option.help or ''}" + (f" Default: `{default}`." if is_told else "")
