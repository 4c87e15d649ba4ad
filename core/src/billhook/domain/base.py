"""The ground every value stands on: frozen, closed to unknown fields, with bounded texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, ParamSpec, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from billhook.errors import InvalidInput

P = ParamSpec("P")
T = TypeVar("T")

METADATA_ENTRIES = 64

# PostgreSQL text cannot hold NUL, and no provider wants it.
_NO_NUL = r"^[^\x00]*$"


class Value(BaseModel):
    """A value that never changes and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def inside_model(check: Callable[P, T]) -> Callable[P, T]:
    """The same check for use as a pydantic validator: it reports its code and message at the field it stands on."""

    @wraps(check)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return check(*args, **kwargs)
        except InvalidInput as error:
            raise PydanticCustomError(error.code, "{message}", {"message": error.message}) from None

    return checked


def not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    """The items, at least one. Stands in for `min_length`, which also complains where an item is merely invalid."""
    if items:
        return items
    raise PydanticCustomError("too_short", "At least one is needed.")


def _sorted_by_key(metadata: Mapping[str, str]) -> Mapping[str, str]:
    return dict(sorted(metadata.items())) if len(metadata) > 1 else metadata


Name = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=_NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=4096, pattern=_NO_NUL)]
Reason = Annotated[Description, StringConstraints(strip_whitespace=True, min_length=1)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_NO_NUL)]
CopiedId = Annotated[Key, StringConstraints(strip_whitespace=True, min_length=1)]
"""An id that a person copied from somewhere: with a space beside it, it would be another one, and what it names would count twice."""
Code = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_NUL)]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\x00\s@]+@[^\x00\s@]+$")]

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_NUL)]
MetadataValue = Annotated[str, StringConstraints(max_length=1024, pattern=_NO_NUL)]
Metadata = Annotated[
    Mapping[MetadataKey, MetadataValue],
    Field(max_length=METADATA_ENTRIES),
    # Equal metadata must give equal bytes.
    AfterValidator(_sorted_by_key),
]
