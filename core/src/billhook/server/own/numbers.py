"""The series that numbers of documents come from, and the proof that nothing is missing in them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from billhook.domain.numbering import (
    SERIES_NAME,
    GapAudit,
    IssuedNumber,
    Series,
    SeriesKind,
    SeriesReset,
    SeriesScope,
)
from billhook.domain.parsing import parse
from billhook.server.access import Administering, Reading
from billhook.server.v1.wire import reply
from billhook.server.v3.wire import WireModel

router = APIRouter(prefix="/numbers", tags=["Numbers"])

Json = dict[str, Any]
SeriesName = Annotated[str, Path(pattern=SERIES_NAME)]


class SeriesInput(WireModel):
    """What a series is to be; what is left out has its default. ``template`` is such as INV-{year}-{sequence:05d}."""

    template: str
    scope: SeriesScope = SeriesScope.NAMESPACE
    kind: SeriesKind = SeriesKind.GAPLESS
    start: int = 1
    reset: SeriesReset = SeriesReset.NEVER
    timezone: str = "UTC"


class Issued(WireModel):
    """A number that was given, and the document that has it."""

    sequence: int
    number: str
    document_id: str


class Audited(WireModel):
    """One counter of a series: ``gaps`` are missing values, each from its first to its last; ``duplicates`` share a value or a number."""

    counter: str
    whole: bool
    gaps: list[tuple[int, int]]
    duplicates: list[list[Issued]]
    cancelled: list[Issued]


class Audits(WireModel):
    """Every counter of a series."""

    data: list[Audited]


@router.get("", response_model=Json)
def list_series(billing: Reading) -> Response:
    """The series, by name: those that everybody has, and those that were made."""
    return reply({"data": [_shown(each) for each in billing.numbers.list()]})


@router.get("/{series}", response_model=Json)
def get_series(billing: Reading, series: SeriesName) -> Response:
    """One series."""
    return reply(_shown(billing.numbers.get(series)))


@router.put("/{series}", response_model=Json)
def define(billing: Administering, series: SeriesName, wanted: SeriesInput) -> Response:
    """Make a series, or change one. Once it counts, only its template and its time zone may change; numbers that were given stay.

    Refused (409) where another series writes the same numbers.
    """
    return reply(_shown(billing.numbers.define(parse(Series, {"name": series, **dict(wanted)}))))


@router.get("/{series}/audit", response_model=Audits)
def audit(billing: Reading, series: SeriesName) -> Response:
    """What is missing, occurs twice or was cancelled in each counter of a gapless series. Refused (400) for one that may have gaps."""
    return reply(Audits(data=[_audited(key, found) for key, found in billing.numbers.audit(series).items()]))


def _shown(series: Series) -> Json:
    return series.model_dump(mode="json")


def _audited(counter: str, found: GapAudit) -> Audited:
    return Audited(
        counter=counter,
        whole=found.is_whole,
        gaps=[(gap.first, gap.last) for gap in found.gaps],
        duplicates=[[_issued(number) for number in alike] for alike in found.duplicates],
        cancelled=[_issued(number) for number in found.cancelled],
    )


def _issued(number: IssuedNumber) -> Issued:
    return Issued(sequence=number.sequence, number=number.number, document_id=number.document_id)
