"""A dispatcher in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from billhook.engine.context import Context
from billhook.engine.notifications.dispatcher import Dispatcher
from billhook.engine.running import Running


class RunningDispatcher(Running):
    """A dispatcher's thread."""

    def __init__(self, context: Context, new_dispatcher: Callable[[], Dispatcher]) -> None:
        super().__init__(context, context.notice_wakeups, new_dispatcher, "billhook-notify")
