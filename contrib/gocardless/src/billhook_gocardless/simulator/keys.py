"""Idempotency keys as GoCardless honours them: only what was created is remembered, and a used key is refused with its id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from billhook.testing.simulator.messages import SimReply
from billhook_gocardless.simulator.answers import Ask, invalid_usage, key_used, shown
from billhook_gocardless.simulator.ledger import Ledger, Thing
from billhook_gocardless.simulator.rules import GoCardlessRules

# GoCardless has the refusal idempotency_key_too_long; which length it means, no page that could be read says.
_LONGEST_KEY = 128


class KeyedDesk(ABC):
    """A desk whose creations honour keys."""

    kind: ClassVar[str]

    def __init__(self, ledger: Ledger, rules: GoCardlessRules) -> None:
        self.ledger = ledger
        self.rules = rules

    @abstractmethod
    def make(self, ask: Ask) -> Thing:
        """Create it, or raise Refused."""

    def create(self, ask: Ask) -> SimReply:
        """Create it once per key."""
        key = ask.request.header("Idempotency-Key")
        if key is not None and len(key) > _LONGEST_KEY:
            raise invalid_usage(400, "idempotency_key_too_long", f"The key has more than {_LONGEST_KEY} characters")
        made_before = self.ledger.made_under(self.kind, key, ask.now - self.rules.key_window) if key else None
        if made_before is not None:
            if not self.rules.key_checked_first:
                self.make(ask)  # to hear what would be refused; the refusal of the used key undoes it
            raise key_used(made_before)
        made = self.make(ask)
        if key is not None:
            self.ledger.use_key(self.kind, key, made.id, ask.now)
        return shown(self.kind, made, 201)
