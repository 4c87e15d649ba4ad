"""A mapping from outside as a provider's model, with errors that name every bad field and show no value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from billhook.errors import ConfigError
from billhook.plugins.nesting import kind_inside, names_in


def validated(model: type[BaseModel], raw: Mapping[str, Any], subject: str) -> BaseModel:
    """The model made of ``raw``. Raises ConfigError that lists every bad field; no value of ``raw`` is in its text or its causes."""
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    values = sorted(set(_texts(raw)), key=len, reverse=True)
    problems = "\n".join(f"  - {_problem(detail, values, model)}" for detail in details)
    raise ConfigError(f"{subject} are not acceptable:\n{problems}\n{_taken(model)}")


def _problem(detail: ErrorDetails, values: list[str], model: type[BaseModel]) -> str:
    place = ".".join(map(str, detail["loc"])) or "the whole"
    if detail["type"] == "extra_forbidden":
        return f"{place}: nothing has that name.{_meant(detail['loc'], model)}"
    if detail["type"] == "missing":
        return f"{place}: it is needed, and not given"
    # A provider's own validator may quote what it was given.
    message = detail["msg"]
    for value in values:
        message = message.replace(value, "***")
    return f"{place}: {message}"


def _meant(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    *outer, name = loc
    names = names_in(kind_inside(model, outer))
    near = get_close_matches(str(name), names, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{meant} {'.'.join(map(str, outer))} takes {', '.join(names)}." if outer and names else meant


def _taken(model: type[BaseModel]) -> str:
    names = [f"{name} (needed)" if info.is_required() else name for name, info in model.model_fields.items()]
    return f"It takes {', '.join(names)}." if names else "It takes none."


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _texts(member)
    elif value is not None and len(str(value)) > 3:
        yield str(value)
