"""Two processes on one database: one dies in the middle of a request, the other goes on at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from billhook.engine.notifications.kinds import DeliveryState
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS

OpenTelling = Callable[..., Any]
SENDER = """
import sys
from billhook import Engine
from billhook.engine.notifications.targets import Targets

url, key = sys.argv[1:]
with Engine.open(url, upgrade=False, targets=Targets(allow_private=True), credential_keys=[key]) as engine:
    with engine.dispatcher(lambda snapshot: b"{}"):
        sys.stdin.read()
"""


def test_a_process_that_is_killed_while_it_sends_leaves_its_channels_to_the_next(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    began, go_on = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        began.set()
        go_on.wait(30)

    told.receiver.before_answer = wait
    event = told.notifications.events.test(told.rules[0].id)
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, told.shop.url, CREDENTIAL_KEYS[0]],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parent,
    ) as sender:
        assert began.wait(60), "the other process sent nothing"
        assert told.send() == 0, "two senders had one channel"
        sender.kill()
    go_on.set()
    told.receiver.before_answer = None
    told.send()
    assert told.receiver.ids == [event.id] * 2
    assert told.delivery(event.id).state is DeliveryState.SUCCESS
    assert told.shop.rows(schema.notification_lane)[0]["owner"] is None
