"""A check: one promise of the contract, tried on one provider; and the three ways in which it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from billhook.contract import Capability
from billhook.testing.kit.rules import Rule

if TYPE_CHECKING:
    from billhook.testing.kit.examination import Examination


class Tier(StrEnum):
    """How far a provider is proven; each tier holds those before it."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"

    @property
    def rank(self) -> int:
        """Bronze is the lowest."""
        return list(Tier).index(self)


@dataclass(frozen=True, slots=True)
class Passed:
    """It holds. ``count`` says how often it was tried, ``what`` on what (one of it, such as ``strike``)."""

    count: int = 1
    what: str = "provider"
    kind: Literal["passed"] = "passed"


@dataclass(frozen=True, slots=True)
class Exempt:
    """It can't be asked of this provider, and this is why."""

    reason: str
    kind: Literal["exempt"] = "exempt"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check strikes: in which scene, with which fault, at which request of the operation (counted from 1)."""

    scene: str
    fault: str
    step: int

    def __str__(self) -> str:
        return f"{self.fault} at request {self.step} of {self.scene}"


@dataclass(frozen=True, slots=True)
class Failed:
    """It does not hold. ``place`` is where to strike to see it alone; ``unproven``: it could not even be tried."""

    expected: str
    happened: str
    place: Place | None = None
    unproven: bool = False
    kind: Literal["failed"] = "failed"


Verdict: TypeAlias = Passed | Exempt | Failed


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``needs``: capabilities of which one must be there, else it is exempt. ``remote``: it takes a simulator."""

    name: str
    tier: Tier
    rule: Rule
    promise: str
    run: Callable[[Examination], Verdict]
    needs: tuple[Capability, ...] = ()
    remote: bool = True
