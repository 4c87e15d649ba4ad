"""Numbers for documents: a template, the series that counts for it, and the check that nothing is missing.

    series = Series(name="invoice", template="INV-{customer_prefix}-{sequence}", kind="gapless")
    series_key(series, context)          # which counter to take from
    format_number(series, context, 7)    # INV-TECU-7

Taking the value is the store's work: a gapless one is taken in the transaction that issues the document.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from string import Formatter
from typing import Annotated, NamedTuple, Self
from unicodedata import normalize
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Value, inside_model
from billhook.errors import InvalidInput

LONGEST_NUMBER = 255
SERIES_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberContext:
    """What a number may be made of, the sequence apart. `on` is the document's date where the seller is."""

    customer_id: str
    customer_name: str
    profile: str
    currency: str
    on: date
    customer_key: str | None = None


_READS: dict[str, Callable[[NumberContext], str | None]] = {
    "customer_prefix": lambda context: customer_prefix(context.customer_name),
    "customer_key": lambda context: context.customer_key,
    "profile": lambda context: context.profile,
    "currency": lambda context: context.currency,
    "year": lambda context: f"{context.on.year:04d}",
    "month": lambda context: f"{context.on.month:02d}",
}
_FIELDS = (*_READS, "sequence")
_ENDS_IN_ANYTHING = frozenset({"customer_prefix", "customer_key", "profile"})
_SIGN = re.compile(r"[^A-Z0-9]")
_PADDING = re.compile(r"0[1-9][0-9]?d?")


class _Piece(NamedTuple):
    text: str
    field: str | None
    padding: str


@dataclass(frozen=True, slots=True)
class NumberTemplate:
    """A pattern such as `INV-{year}-{sequence:06d}`.

    Fields: customer_prefix, customer_key, profile, currency, year, month, and sequence, once, which alone may be padded.
    """

    text: str
    fields: frozenset[str] = field(init=False, compare=False, repr=False)
    _pieces: tuple[_Piece, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        pieces = _pieces(self.text)
        object.__setattr__(self, "_pieces", pieces)
        object.__setattr__(self, "fields", frozenset(piece.field for piece in pieces if piece.field))

    def render(self, context: NumberContext, sequence: int) -> str:
        """The number. Raises InvalidInput where the context lacks a field that the template needs."""
        return "".join(piece.text + self._value(piece, context, sequence) for piece in self._pieces)

    def _value(self, piece: _Piece, context: NumberContext, sequence: int) -> str:
        if piece.field is None:
            return ""
        if piece.field == "sequence":
            return format(sequence, piece.padding)
        value = _READS[piece.field](context)
        if value:
            return value
        raise InvalidInput(
            "number_field_missing",
            f"Number template {self.text!r} needs {piece.field}, which customer {context.customer_id} does not have. "
            "Set it, or use a template without it.",
        )


def _pieces(text: str) -> tuple[_Piece, ...]:
    if len(text) > LONGEST_NUMBER or not text.isprintable():
        raise _template_error(text[:LONGEST_NUMBER], f"it must be printable and at most {LONGEST_NUMBER} characters")
    pieces = tuple(_piece(text, *parsed) for parsed in _parsed(text))
    fields = [piece.field for piece in pieces]
    if fields.count("sequence") != 1:
        raise _template_error(text, "it must contain {sequence} once, or numbers would repeat")
    _check_boundaries(text, pieces)
    return pieces


def _parsed(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(text))
    except ValueError as error:
        raise _template_error(text, str(error)) from None


def _piece(template: str, text: str, name: str | None, padding: str | None, conversion: str | None) -> _Piece:
    if name is not None and (name not in _FIELDS or conversion):
        raise _template_error(template, f"{{{name}}} is no field; there are {', '.join(_FIELDS)}")
    if padding and not (name == "sequence" and _PADDING.fullmatch(padding)):
        raise _template_error(template, f"only the sequence can be padded, as in {{sequence:06d}}, not {padding!r}")
    return _Piece(text, name, padding or "")


def _check_boundaries(text: str, pieces: tuple[_Piece, ...]) -> None:
    """A text may end in digits, so beside the sequence A1 and 1 would give the same number as A and 11."""
    for before, after in pairwise(pieces):
        meets = {before.field, after.field}
        separated = any(not sign.isdigit() for sign in after.text)
        if "sequence" in meets and meets & _ENDS_IN_ANYTHING and not separated:
            raise _template_error(text, f"put a sign that is no digit between {before.field} and {after.field}")


def _template_error(template: str, reason: str) -> InvalidInput:
    return InvalidInput("number_template_invalid", f"Number template {template!r}: {reason}.")


@lru_cache(maxsize=1024)
def parse_template(text: str) -> NumberTemplate:
    """The template of that text. Raises InvalidInput naming it."""
    return NumberTemplate(text)


class SeriesScope(StrEnum):
    """Whose documents share a counter."""

    NAMESPACE = "namespace"
    PROFILE = "profile"
    CUSTOMER = "customer"


class SeriesKind(StrEnum):
    """Gapless: taken when the document is issued, never lost. Independent: taken at any time, may have gaps."""

    GAPLESS = "gapless"
    INDEPENDENT = "independent"


class SeriesReset(StrEnum):
    NEVER = "never"
    YEARLY = "yearly"


def _checked_template(text: str) -> str:
    return parse_template(text).text


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise InvalidInput("timezone_unknown", f"{name!r} is no time zone. Use a name such as Europe/Berlin.") from None
    return name


class Series(Value):
    """A named counter and the template its values are written in. ``timezone`` is the seller's: it decides the year and the month of a number."""

    name: Annotated[str, StringConstraints(pattern=SERIES_NAME)]
    template: Annotated[str, AfterValidator(inside_model(_checked_template))]
    scope: SeriesScope = SeriesScope.NAMESPACE
    kind: SeriesKind = SeriesKind.GAPLESS
    start: Annotated[int, Field(ge=1, le=10**15)] = 1
    reset: SeriesReset = SeriesReset.NEVER
    timezone: Annotated[str, StringConstraints(max_length=64), AfterValidator(inside_model(_checked_zone))] = "UTC"

    def day_of(self, moment: datetime) -> date:
        """The day of that moment where the seller is."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    @model_validator(mode="after")
    def _tells_its_counters_apart(self) -> Self:
        missing = [name for name in _fields_of_counter(self) if name not in parse_template(self.template).fields]
        if not missing:
            return self
        raise PydanticCustomError(
            "number_series_ambiguous",
            "Series {name} counts anew for each {field}, but its template {template} does not show it, so numbers "
            "would repeat. Add {placeholder} to the template.",
            {
                "name": repr(self.name),
                "template": repr(self.template),
                "field": missing[0],
                "placeholder": f"{{{missing[0]}}}",
            },
        )


def _fields_of_counter(series: Series) -> tuple[str, ...]:
    by_scope = {SeriesScope.NAMESPACE: (), SeriesScope.PROFILE: ("profile",), SeriesScope.CUSTOMER: ("customer_key",)}
    by_reset = {SeriesReset.NEVER: (), SeriesReset.YEARLY: ("year",)}
    return (*by_scope[series.scope], *by_reset[series.reset])


DRAFT_SERIES = Series(name="draft", template="DRAFT-{customer_prefix}-{sequence}", kind=SeriesKind.INDEPENDENT)
INVOICE_SERIES = Series(name="invoice", template="INV-{customer_prefix}-{sequence}")
GATHERING_SERIES = Series(
    name="gathering", template="GATHER-{customer_prefix}-{currency}-{sequence}", kind=SeriesKind.INDEPENDENT
)
CREDIT_NOTE_SERIES = Series(name="credit-note", template="CN-{customer_prefix}-{sequence}")


def series_key(series: Series, context: NumberContext) -> str:
    """The counter that the document's number comes from, unique within its namespace."""
    parts = [series.name]
    if series.scope is SeriesScope.PROFILE:
        parts.append(f"profile={quote(context.profile, safe='')}")
    if series.scope is SeriesScope.CUSTOMER:
        parts.append(f"customer={quote(context.customer_id, safe='')}")
    if series.reset is SeriesReset.YEARLY:
        parts.append(f"year={context.on.year:04d}")
    return "/".join(parts)


def has_counter(series: Series, key: str) -> bool:
    """Whether numbers of the series come from a counter of that key, as it is defined now."""
    counted_by = [part.partition("=")[0] for part in key.split("/")[1:]]
    by_scope = [] if series.scope is SeriesScope.NAMESPACE else [series.scope.value]
    by_reset = ["year"] if series.reset is SeriesReset.YEARLY else []
    return counted_by == [*by_scope, *by_reset]


def format_number(series: Series, context: NumberContext, sequence: int, *, max_length: int = LONGEST_NUMBER) -> str:
    """The number of that sequence value. Raises InvalidInput where it is longer than the outside system takes."""
    number = parse_template(series.template).render(context, sequence)
    if len(number) <= max_length:
        return number
    raise InvalidInput(
        "number_too_long",
        f"Series {series.name!r} gives {number!r}, {len(number)} characters of at most {max_length}. "
        f"Shorten its template {series.template!r}.",
    )


def customer_prefix(name: str) -> str:
    """Four capitals of the customer's name as OpenMeter takes them: two of each of the first two words, or four of the one.

    Accents fall away, other signs are left out; UNKN where nothing is left. "Test Customer" gives TECU.
    """
    plain = name if name.isascii() else normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = [letters for word in plain.upper().split() if (letters := _SIGN.sub("", word))]
    if not words:
        return "UNKN"
    return words[0][:4] if len(words) == 1 else words[0][:2] + words[1][:2]


class IssuedNumber(NamedTuple):
    """A number that was taken. A cancelled one belongs to a voided or deleted document and is no gap."""

    sequence: int
    number: str
    document_id: str
    cancelled: bool = False


class Gap(NamedTuple):
    """Sequence values that no document has, both ends included."""

    first: int
    last: int


class GapAudit(NamedTuple):
    """What an auditor asks of one counter: what is missing, what occurs twice, what was cancelled."""

    gaps: tuple[Gap, ...]
    duplicates: tuple[tuple[IssuedNumber, ...], ...]
    cancelled: tuple[IssuedNumber, ...]

    @property
    def is_whole(self) -> bool:
        """No value is missing and none occurs twice."""
        return not self.gaps and not self.duplicates


def audit(taken: Iterable[IssuedNumber], *, start: int = 1, next_sequence: int | None = None) -> GapAudit:
    """Look through the numbers of one counter. With `next_sequence`, also for values lost at its end."""
    numbers = sorted(taken)
    return GapAudit(
        gaps=tuple(_gaps([issued.sequence for issued in numbers], start, next_sequence)),
        duplicates=_duplicates(numbers),
        cancelled=tuple(issued for issued in numbers if issued.cancelled),
    )


def _gaps(sequences: list[int], start: int, next_sequence: int | None) -> Iterable[Gap]:
    expected = start
    ends = [] if next_sequence is None else [next_sequence]
    for sequence in sequences + ends:
        if sequence > expected:
            yield Gap(expected, sequence - 1)
        expected = max(expected, sequence + 1)


def _duplicates(numbers: list[IssuedNumber]) -> tuple[tuple[IssuedNumber, ...], ...]:
    alike: defaultdict[int | str, list[IssuedNumber]] = defaultdict(list)
    for issued in numbers:
        alike[issued.sequence].append(issued)
        alike[issued.number].append(issued)
    return tuple(dict.fromkeys(tuple(group) for group in alike.values() if len(group) > 1))
