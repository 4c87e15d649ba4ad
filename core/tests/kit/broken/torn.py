"""A simulator with a mistake of its own. It stands alone: describing a broken provider imports no server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from billhook.clock import Clock
from billhook.testing.sandbox.server import SandboxSimulator


class TornBooks(SandboxSimulator):
    """Its books can't be shown."""

    def __init__(self, *, clock: Clock, hurried: bool, currency: str) -> None:
        super().__init__(clock=clock)

    def payments(self) -> Sequence[Any]:
        """Asks for what is not there."""
        return [self.connection("http://there.test").settings["payments"]]
