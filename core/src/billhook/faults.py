"""Named points at which a test can make the process fail, so that every crash can be tried."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable


class Crash(BaseException):
    """The process dies here. Nothing catches it by accident, because it is no Exception."""

    def __init__(self, point: str) -> None:
        super().__init__(f"A crash was simulated at {point}.")
        self.point = point


@runtime_checkable
class Faults(Protocol):
    """Told of each point that the program reaches, and free to raise there."""

    def reach(self, point: str) -> None:
        """Return to let the program go on, or raise (`Crash` for a dying process)."""
        ...


class _NoFaults:
    def reach(self, point: str) -> None:
        """Let the program go on."""


NO_FAULTS: Final[Faults] = _NoFaults()
