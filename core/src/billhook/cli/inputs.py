"""Reading what options and files say: pairs, JSON documents, secrets."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import typer

from billhook.errors import InvalidInput

STDIN = Path("-")


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    found: dict[str, str] = {}
    for entry in given:
        name, separator, value = entry.partition("=")
        if not name or not separator:
            raise typer.BadParameter(f"{entry!r} is not NAME=VALUE.", param_hint=option)
        found[name] = value
    return found


def changed(
    before: Mapping[str, Any], given: Mapping[str, Any], taken: Sequence[str], option: str
) -> Mapping[str, Any] | None:
    """What was there before, with what is given and without what is taken back; None where that is nothing."""
    for name in taken:
        if name not in before:
            there_are = f"there are {', '.join(before)}" if before else "there is none"
            raise typer.BadParameter(f"Nothing is set under {name!r}: {there_are}.", param_hint=option)
    after = {name: value for name, value in {**before, **given}.items() if name not in taken}
    return after if given or taken else None


def limits(given: Sequence[str]) -> dict[str, int]:
    """``NAME=CALLS`` options as whole numbers."""
    found = pairs(given, "--limit")
    for name, calls in found.items():
        if not calls.isdecimal():
            raise typer.BadParameter(f"{calls!r} is not a number of calls.", param_hint=f"--limit {name}")
    return {name: int(calls) for name, calls in found.items()}


def settings(given: Sequence[str], file: Path | None, option: str) -> dict[str, Any]:
    """Values from a JSON file and from ``NAME=VALUE`` options, which win."""
    from_file = json_object(file) if file is not None else {}
    return {**from_file, **values(given, option)}


def values(given: Sequence[str], option: str) -> dict[str, Any]:
    """``NAME=VALUE`` options. A value that is a JSON boolean, null, list or object is read as such; everything else is text."""
    return {name: _value(text) for name, text in pairs(given, option).items()}


def _value(text: str) -> Any:
    if text in {"true", "false", "null"} or text[:1] in {"[", "{"}:
        return parse_json(text, "option")
    return text


def json_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file, or on standard input for ``-``."""
    document = parse_json(read_text(file), str(file))
    if not isinstance(document, dict):
        raise InvalidInput("not_an_object", f"{file} holds no JSON object. Put {{...}} into it.")
    return document


def parse_json(text: str, source: str) -> Any:
    """JSON with its numbers kept exact."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("not_json", f"{source} is no JSON: {error}. Correct it.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def read_text(file: Path) -> str:
    """The text of a file, or of standard input for ``-``."""
    try:
        return sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            "not_utf8", f"{file} is not UTF-8 ({error.reason} at byte {error.start}). Convert it."
        ) from None
    except OSError as error:
        raise InvalidInput("file_unreadable", f"{file} can't be read: {error.strerror}. Check the path.") from None


def secrets(asked: Sequence[str], from_environment: Sequence[str]) -> Mapping[str, str] | None:
    """Credentials from standard input or a prompt (``NAME=-``) and from environment variables; None when none is named.

    A secret on the command line itself would be seen by everybody on the machine, so it is refused.
    """
    found = {name: _ask(name, value) for name, value in pairs(asked, "--credential").items()}
    for name, variable in pairs(from_environment, "--credential-env").items():
        if variable not in os.environ:
            raise typer.BadParameter(f"The environment variable {variable} is not set.", param_hint="--credential-env")
        found[name] = os.environ[variable]
    return found or None


def _ask(name: str, value: str) -> str:
    if value != "-":
        raise typer.BadParameter(
            f"Write {name}=- to be asked, or use --credential-env {name}=VARIABLE: a secret in a command line is no secret.",
            param_hint="--credential",
        )
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise typer.BadParameter(f"Standard input holds no line for {name}.", param_hint="--credential")
    return line
