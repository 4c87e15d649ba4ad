"""Who is alive: an owner holds a lock that the operating system or the server takes back the moment it dies.

Nothing has to run out first, as with a heartbeat.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from billhook.errors import InvalidInput, StoreError


class Claim(ABC):
    """An owner's own lock. Leaving the context, or dying, releases it."""

    def __init__(self, owner_id: str) -> None:
        self.owner_id = owner_id

    @abstractmethod
    def is_held(self) -> bool:
        """Whether the lock is still ours: not released, and not lost together with a connection to the server."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back. Releasing twice does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


class Liveness(Protocol):
    """Tells the living owners of a database from the dead, the same for every process that has it open."""

    def claim(self, owner_id: str) -> Claim:
        """Hold the lock of this owner until it is released or the process dies. StoreError if it is held already, StoreUnavailable if that can't be told now."""
        ...

    def is_alive(self, owner_id: str) -> bool:
        """Whether any process holds the lock of this owner now."""
        ...

    def sweep(self) -> int:
        """Remove what dead owners left behind, and say how many they were."""
        ...


def check_owner_id(owner_id: str) -> str:
    """The id itself, or InvalidInput: it becomes the name of a file."""
    if re.fullmatch(r"[0-9A-Za-z_-]{1,64}", owner_id):
        return owner_id
    raise InvalidInput("owner_id_invalid", f"Owner {owner_id!r} is not 1 to 64 letters, digits, '-' or '_'.")


def already_held(owner_id: str) -> StoreError:
    """What a second claim of the same owner is told."""
    return StoreError(f"Owner {owner_id} is held by a living process. Give every owner an id of its own.")
