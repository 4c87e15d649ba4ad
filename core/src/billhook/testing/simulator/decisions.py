"""What a system was told to decide against: to refuse what is asked about a thing, or to let the money for it not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TurnedDown(Exception):
    """The system refuses what was asked about the thing that it knows under ``name``. Nothing of it was done."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not accepted.")
        self.name = name


class Decisions:
    """Things by the names that a system has for them: our references, and ids of its own. Forgotten when the process ends.

    Only what somebody asks for is refused. What the system does by itself, such as settling a payment, goes on.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._declined: set[str] = set()
        self._this_thread = threading.local()

    @property
    def refuses_something(self) -> bool:
        """Whether anything is to be refused."""
        return bool(self._refused)

    def refuse(self, name: str) -> None:
        """From now on whatever is asked about that thing is refused."""
        self._refused.add(name)

    def decline(self, name: str) -> None:
        """From now on the money that is asked for under that name does not come."""
        self._declined.add(name)

    @contextmanager
    def asked(self, *, is_asked: bool = True) -> Iterator[None]:
        """Within the block this thread does what somebody asks for; or what the system does by itself, amid that too."""
        before = self._is_asked
        self._this_thread.is_asked = is_asked
        try:
            yield
        finally:
            self._this_thread.is_asked = before

    @property
    def _is_asked(self) -> bool:
        return getattr(self._this_thread, "is_asked", False)

    def heed(self, *names: str | None) -> None:
        """Raise TurnedDown where the thing of these names is to be refused: asked before it is written down."""
        if not self._is_asked:
            return
        for name in names:
            if name in self._refused:
                raise TurnedDown(name)

    def declines(self, *names: str | None) -> bool:
        """Whether the money for the thing of these names does not come."""
        return not self._declined.isdisjoint(names)
