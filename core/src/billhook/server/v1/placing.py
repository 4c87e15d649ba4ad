"""Where in the sender's document something is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from billhook.errors import InvalidInput, Problem


@contextmanager
def placed(path: str) -> Iterator[None]:
    """What is wrong inside is told with its place in the whole document."""
    try:
        yield
    except InvalidInput as error:
        problems = [Problem(each.code, each.message, path + each.path) for each in error.problems]
        raise InvalidInput(error.code, _said_at(path, error), path + error.path, problems=problems) from None


def _said_at(path: str, error: InvalidInput) -> str:
    """The message, which may begin with the place."""
    place, here, said = error.message.partition(": ")
    return f"{path}{error.path}{here}{said}" if place in {error.path, "The document"} else error.message


@contextmanager
def called(names: Mapping[str, str]) -> Iterator[None]:
    """What is wrong inside is told at the names that the sender has for it: ``{"/amount_received": "/amount"}``."""
    try:
        yield
    except InvalidInput as error:
        problems = [Problem(each.code, each.message, names.get(each.path, each.path)) for each in error.problems]
        raise InvalidInput(error.code, error.message, names.get(error.path, error.path), problems=problems) from None
