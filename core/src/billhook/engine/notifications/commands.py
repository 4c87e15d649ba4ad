"""The notifications of one namespace."""

from __future__ import annotations

from billhook.engine.context import Context
from billhook.engine.notifications.channels import ChannelCommands
from billhook.engine.notifications.events import EventCommands
from billhook.engine.notifications.rules import RuleCommands


class Notifications:
    """Who is told what, and how it arrived."""

    def __init__(self, context: Context, namespace: str) -> None:
        self.channels = ChannelCommands(context, namespace)
        self.rules = RuleCommands(context, namespace)
        self.events = EventCommands(context, namespace)
