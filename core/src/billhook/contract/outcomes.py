"""How an operation ended for one item. A fifth outcome, in doubt, is the engine's alone to give."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

from pydantic import Field

from billhook.contract.requests import Call, Reply, Request
from billhook.domain.issue import ValidationIssue

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """It is done, with this result."""

    result: R
    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider has it but has not finished, or the outside must speak first.

    The engine looks again ``check_after`` (None: only an event or a callback goes on), and parks the item visibly at ``give_up_at``.
    Without a ``give_up_at`` the host's ``Policy.longest_wait`` ends the wait, but for payments and refunds.
    """

    reason: str
    external_id: str | None = None
    check_after: timedelta | None = None
    give_up_at: datetime | None = None
    kind: Literal["pending"] = "pending"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refuses it as it is. ``external_id`` names what was left behind there, if anything."""

    issues: tuple[ValidationIssue, ...]
    external_id: str | None = None
    kind: Literal["rejected"] = "rejected"

    @classmethod
    def because(cls, code: str, message: str, *, path: str = "", external_id: str | None = None) -> Rejected:
        """Rejected with one critical issue, as `ValidationIssue.told` has it. ``code`` is stable snake_case, ``path`` a JSON pointer into the invoice."""
        return cls((ValidationIssue.told(code, message, path=path),), external_id)


@dataclass(frozen=True, slots=True)
class Retry:
    """This item is not done (it is busy or locked there, or changed meanwhile); try it again ``after`` this time.

    What the operation's steps made, as far as they identify it, is in the item's ``leftovers`` then.
    """

    after: timedelta
    reason: str = ""
    kind: Literal["retry"] = "retry"


Outcome: TypeAlias = Annotated[Done[R] | Pending | Rejected | Retry, Field(discriminator="kind")]
Outcomes: TypeAlias = Mapping[str, Done[R] | Pending | Rejected | Retry]
Steps: TypeAlias = Generator[Request | Call, Reply, Outcomes[R]]
