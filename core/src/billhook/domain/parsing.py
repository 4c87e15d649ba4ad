"""Reading values from outside: every problem at once, each with a code and a place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from billhook.domain.invoice import InvoiceDraft
from billhook.errors import InvalidInput, Problem

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_PROBLEMS = 100

# Pydantic names the chosen kind of a union in the place; the sender's document has no such step.
_KINDS = frozenset(
    {"flat", "unit", "tiered", "dynamic", "package", "percentage", "amount", "usage"}
    | {"anchored", "charge_automatically", "send_invoice", "custom_invoicing"}
)

# Pydantic speaks of Python's types here; whoever sent the document may know none of them.
_WORDS = (
    dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "This has to be an object.")
    | dict.fromkeys(("tuple_type", "list_type"), "This has to be an array.")
    | {
        "union_tag_not_found": "Say of which type it is.",
        "extra_forbidden": "Nothing has that name here.",
        "timezone_aware": "A time without offset can mean any moment. End it with Z or an offset.",
    }
)
_OF_PYTHON: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"<\w+\.\w+: ('[^']*')>"), r"\1"),
    (
        re.compile(r"^Input tag ('.*') found using 'type' does not match any of the expected tags: "),
        r"There is no type \1. There are: ",
    ),
    (
        re.compile(r"^(?:Tuple|List) should have at (least|most) (\d+) items? after validation, not (?:more|\d+)$"),
        r"At \1 \2 can stand here.",
    ),
)
_PATTERNS: Mapping[str, str] = {
    "TV-Z]{25}": "An id is a ULID of 26 letters and digits, in upper case.",
    "[0-7][0-9A-HJKMNP-TV-Z": "An id is a ULID of 26 letters and digits.",
    "^[A-Z]{2}$": "A country is two capital letters, such as DE.",
    r"\s@]+@": "This is no e-mail address, such as jane@example.com.",
    r"^[^\x00]*$": "A text has no NUL in it.",
}
"""What a text has to be, by a part of the pattern that it does not match."""

V = TypeVar("V", bound=BaseModel)
T = TypeVar("T")


def parse_draft(data: Mapping[str, Any] | bytes) -> InvoiceDraft:
    """The draft in that JSON or mapping. Raises InvalidInput that lists what is wrong with it."""
    return parse(InvoiceDraft, data)


def parse(kind: type[V], data: Mapping[str, Any] | bytes) -> V:
    """The value in that JSON or mapping. Raises InvalidInput that lists up to a hundred problems."""
    try:
        if isinstance(data, bytes):
            return kind.model_validate_json(_of_bearable_size(data))
        return kind.model_validate(data)
    except ValidationError as error:
        raise invalid_input(error) from None


def argument(name: str, read: Callable[[object], T], value: object) -> T:
    """The value of an argument as ``read`` understands it. Raises InvalidInput that names the argument."""
    try:
        return read(value)
    except InvalidInput as error:
        raise InvalidInput(error.code, f"{name}: {error.message}", f"/{name}") from None


def invalid_input(error: ValidationError) -> InvalidInput:
    """Pydantic's findings as one error of ours."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [
        Problem(each["type"], in_words_of_json(each["type"], each["msg"]), pointer(each["loc"]))
        for each in found[:MAX_PROBLEMS]
    ]
    first = problems[0]
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    return InvalidInput(
        first.code, f"{first.path or 'The document'}: {first.message}{more}", first.path, problems=problems
    )


def in_words_of_json(code: str, message: str) -> str:
    """What pydantic says, without Python's names of types."""
    if code == "string_pattern_mismatch":
        return next((words for part, words in _PATTERNS.items() if part in message), message)
    for pattern, words in _OF_PYTHON:
        message = pattern.sub(words, message)
    return _WORDS.get(code, message)


def pointer(location: tuple[int | str, ...]) -> str:
    """The place as a JSON pointer, "" for the whole."""
    last = len(location) - 1
    steps = [step for index, step in enumerate(location) if index == last or step not in _KINDS]
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _of_bearable_size(body: bytes) -> bytes:
    if len(body) <= MAX_BODY_BYTES:
        return body
    raise InvalidInput("body_too_large", f"The document has {len(body)} bytes; at most {MAX_BODY_BYTES} are read.")
