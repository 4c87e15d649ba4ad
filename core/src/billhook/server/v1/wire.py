"""How values look in the first form of the API: camelCase, decimal strings, times in UTC with a Z, nothing that is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, to_json
from starlette.responses import Response

from billhook.domain.base import inside_model
from billhook.domain.money import amount, plain

ANY_CASE_ULID = r"^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"


class WireModel(BaseModel):
    """A value on the wire. Unknown properties that come in are ignored, as OpenMeter does."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


_exactly = inside_model(amount)


def _only_text(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str):
        # Decimal itself takes 1_000, digits of any script, and what has more digits than are kept.
        return _exactly(value)
    raise PydanticCustomError("numeric_not_text", 'A number is written as a text here: "12.50".')


Numeric = Annotated[
    Decimal,
    BeforeValidator(_only_text, json_schema_input_type=str),
    PlainSerializer(plain, return_type=str, when_used="json"),
]
"""An exact number, a text on the wire."""

UlidPath = Annotated[str, Path(pattern=ANY_CASE_ULID), AfterValidator(str.upper)]
"""An id in a path, in upper or lower case."""

UlidText = Annotated[str, StringConstraints(pattern=ANY_CASE_ULID), AfterValidator(str.upper)]
"""The same in a body or a query string."""


def reply(value: BaseModel | Mapping[str, Any] | Sequence[Any], status: int = 200) -> Response:
    """An answer with that value, as it goes over the wire."""
    if isinstance(value, BaseModel):
        body = value.model_dump_json(by_alias=True, exclude_none=True).encode()
    else:
        body = to_json(value)
    return Response(body, status, media_type="application/json")


NO_CONTENT = 204


def nothing() -> Response:
    """An answer without content."""
    return Response(status_code=NO_CONTENT)
