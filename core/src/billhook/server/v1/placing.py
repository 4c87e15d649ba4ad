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
        raise InvalidInput(error.code, error.message, path + error.path, problems=problems) from None


@contextmanager
def called(names: Mapping[str, str]) -> Iterator[None]:
    """What is wrong inside is told at the names that the sender has for it: ``{"/amount_received": "/amount"}``."""
    try:
        yield
    except InvalidInput as error:
        problems = [Problem(each.code, each.message, names.get(each.path, each.path)) for each in error.problems]
        raise InvalidInput(error.code, error.message, names.get(error.path, error.path), problems=problems) from None
