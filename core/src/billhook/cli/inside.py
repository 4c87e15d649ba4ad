"""Settings of a provider by their names, also of those inside a setting: ``--set organisation.currencies=...``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from billhook.cli.inputs import json_object, values
from billhook.cli.session import catalog

Json = Mapping[str, Any]


def given_settings(type: str, given: Sequence[str], file: Path | None) -> Json:
    """The settings of a file, with the options put over and into them."""
    from_file = json_object(file) if file is not None else {}
    return _with(type, from_file, values(given, "--set"))


def changed_settings(
    type: str, before: Json, given: Sequence[str], file: Path | None, taken: Sequence[str]
) -> Json | None:
    """What was set before, with what is given and without what is taken back; None where that is nothing."""
    if not given and file is None and not taken:
        return None
    from_file = json_object(file) if file is not None else {}
    after = _with(type, {**before, **from_file}, values(given, "--set"))
    for name in taken:
        after = _without(after, _place(type, name), name)
    return after


def _with(type: str, before: Json, given: Json) -> Json:
    after = before
    for name, value in given.items():
        after = _put(after, _place(type, name, value), value)
    return after


def _place(type: str, name: str, value: Any = None) -> Sequence[str]:
    if "." not in name:
        return (name,)
    from billhook.plugins.nesting import place_of

    declaration = catalog().describe(type).declaration
    return place_of(declaration and declaration.settings, name, value)


def _put(within: Json, place: Sequence[str], value: Any) -> Json:
    first, *rest = place
    return {**within, first: _put(_inside(within, first), rest, value) if rest else value}


def _without(within: Json, place: Sequence[str], name: str) -> Json:
    first, *rest = place
    if first not in within:
        there_are = f"there are {', '.join(within)}" if within else "there is none"
        raise typer.BadParameter(f"Nothing is set under {name!r}: {there_are}.", param_hint="--unset")
    if rest:
        return {**within, first: _without(_inside(within, first), rest, name)}
    return {known: value for known, value in within.items() if known != first}


def _inside(within: Json, name: str) -> Json:
    """What stands there already, and stays; a value that holds nothing gives way."""
    there = within.get(name)
    return there if isinstance(there, Mapping) else {}
