"""A process that tells the story with a real clock, over real HTTP, and says when it begins. It is killed, stopped and started by tests.

python worker_process.py '{"store": "...", "lease_seconds": 1.0, "stop_at": "send.before", "stop_at_visit": 6}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

from billhook.engine.context import Policy
from billhook.engine.engine import Engine
from billhook.engine.sending import ThreadSenders
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.sandbox.provider import SandboxProvider
from billhook.testing.story import tell

LONGEST = timedelta(milliseconds=400)
SOON = timedelta(minutes=1)
"""What is due later belongs to another day."""


class QuickProvider(SandboxProvider):
    """Waits for an answer no longer than a test can."""

    declaration = SandboxProvider.declaration.model_copy(
        update={
            "operations": {
                name: rules.model_copy(update={"longest": LONGEST})
                for name, rules in SandboxProvider.declaration.operations.items()
            }
        }
    )


class StopAt:
    """Stops the whole process, as a machine does that goes to sleep, at the n-th visit of a point."""

    def __init__(self, point: str | None, visit: int) -> None:
        self._point = point
        self._left = visit

    def reach(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


def work_until_quiet(engine: Engine) -> None:
    while True:
        engine.run_until_idle(senders=ThreadSenders(4))
        due, now = engine.next_due(), datetime.now(UTC)
        if due is None or due > now + SOON:
            return
        time.sleep(max((due - now).total_seconds(), 0.01))


def main(settings: dict[str, object]) -> None:
    engine = Engine.open(
        str(settings["store"]),
        upgrade=False,
        catalog=ProviderCatalog.from_objects([QuickProvider]),
        faults=StopAt(settings.get("stop_at"), settings.get("stop_at_visit", 0)),
        credential_keys=CREDENTIAL_KEYS,
        policy=Policy(lease=timedelta(seconds=settings.get("lease_seconds", 300.0))),
    )
    with engine:
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
        tell(engine, lambda: work_until_quiet(engine))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
