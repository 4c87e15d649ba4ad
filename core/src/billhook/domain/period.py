"""Time: moments in UTC, periods between them, and durations that know calendar months."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from billhook.domain.base import Value, inside_model
from billhook.errors import InvalidInput

LONGEST_DAYS = 36_525
LONGEST_MONTHS = 1_200

_DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<years>[0-9]{1,4})Y)?(?:(?P<months>[0-9]{1,4})M)?(?:(?P<weeks>[0-9]{1,5})W)?"
    r"(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,7})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,10})(?:\.(?P<fraction>[0-9]{1,6}))?S)?)?",
    re.ASCII,
)


def utc(value: object) -> datetime:
    """That moment in UTC, from an aware datetime or an RFC 3339 text."""
    moment = _read_moment(value)
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise InvalidInput("datetime_naive", "A time without offset can mean any moment. End it with Z or an offset.")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("datetime_invalid", "That time is outside the years 1 to 9999 in UTC.") from None


def _read_moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise InvalidInput("datetime_invalid", "A time is an RFC 3339 text: 2026-01-31T12:00:00Z.")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise InvalidInput("datetime_invalid", f"{value[:40]!r} is no RFC 3339 time: 2026-01-31T12:00:00Z.") from None


_checked_utc = inside_model(utc)


def _field_utc(value: object) -> datetime:
    return value if isinstance(value, datetime) and value.tzinfo is UTC else _checked_utc(value)


UtcDatetime = Annotated[datetime, BeforeValidator(_field_utc, json_schema_input_type=datetime)]


class Period(Value):
    """From start, included, to end, excluded."""

    start: UtcDatetime
    end: UtcDatetime

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end > self.start:
            return self
        raise PydanticCustomError("period_empty", "A period ends after it starts.")


@dataclass(frozen=True, slots=True)
class CalendarDuration:
    """A duration of calendar months and some exact time. Added to the last of a month it stays within the next."""

    months: int
    rest: timedelta = timedelta()

    def __radd__(self, at: datetime) -> datetime:
        month_index = at.year * 12 + at.month - 1 + self.months
        year, month = divmod(month_index, 12)
        last_day = calendar.monthrange(year, month + 1)[1]
        return at.replace(year=year, month=month + 1, day=min(at.day, last_day)) + self.rest


Duration = timedelta | CalendarDuration


def parse_duration(text: str) -> Duration:
    """The ISO 8601 duration: `P30D` and `PT1H` as exact time, `P1M` as a calendar month."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise InvalidInput("duration_invalid", f"{text[:40]!r} is no ISO 8601 duration, such as P30D or PT1H.")
    numbers = {unit: int(digits or 0) for unit, digits in found.groupdict().items() if unit != "fraction"}
    months = numbers.pop("years") * 12 + numbers.pop("months")
    rest = timedelta(**numbers, microseconds=int((found["fraction"] or "0").ljust(6, "0")))
    return _bounded(CalendarDuration(months, rest) if months else rest)


def format_duration(duration: Duration) -> str:
    """The duration as ISO 8601 text; `P0D` for none."""
    months, rest = _parts(duration)
    years, months = divmod(months, 12)
    days = _text(years, "Y") + _text(months, "M") + _text(rest.days, "D")
    time = _time_text(rest)
    return f"P{days}T{time}" if time else f"P{days or '0D'}"


def _time_text(rest: timedelta) -> str:
    hours, seconds = divmod(rest.seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    text = _text(hours, "H") + _text(minutes, "M")
    if rest.microseconds:
        return text + f"{seconds}.{rest.microseconds:06d}".rstrip("0") + "S"
    return text + _text(seconds, "S")


def _text(count: int, unit: str) -> str:
    return f"{count}{unit}" if count else ""


def _parts(duration: Duration) -> tuple[int, timedelta]:
    return (0, duration) if isinstance(duration, timedelta) else (duration.months, duration.rest)


def _bounded(duration: Duration) -> Duration:
    months, rest = _parts(duration)
    if months < 0 or rest < timedelta():
        raise InvalidInput("duration_negative", "A duration is zero or longer.")
    if months > LONGEST_MONTHS or rest > timedelta(days=LONGEST_DAYS):
        raise InvalidInput("duration_too_long", "A duration of more than a hundred years is refused.")
    return duration


def duration(value: object) -> Duration:
    """That duration, from an ISO 8601 text or a ready value."""
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta | CalendarDuration):
        return _bounded(value)
    raise InvalidInput("duration_invalid", f"A duration is an ISO 8601 text such as P30D, not {type(value).__name__}.")


class _DurationSchema:
    """Teaches pydantic the ISO 8601 form."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            inside_model(duration),
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_duration, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "duration", "examples": ["P30D", "PT1H"]}


IsoDuration = Annotated[Duration, _DurationSchema]


class RecurringPeriod(Value):
    """A moment and how often it comes again."""

    interval: IsoDuration
    anchor: UtcDatetime
