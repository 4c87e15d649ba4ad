"""A shop that tells a receiver what happens to its invoices."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine_kit import Shop
from receiving import Receiver

from billhook.domain.money import plain
from billhook.engine.notifications.records import InvoiceSnapshot
from billhook.engine.notifications.targets import Targets
from billhook.providers.custom_invoicing import provider as custom_invoicing

LOOPBACK = Targets(allow_private=True)


def render(snapshot: InvoiceSnapshot) -> bytes:
    """What these tests look at of an invoice."""
    details = snapshot.details
    invoice = details.invoice
    shown = {
        "id": invoice.id,
        "status": invoice.status,
        "number": invoice.number,
        "revision": invoice.revision,
        "description": invoice.content.description,
        "total": plain(invoice.content.totals.total),
        "issued_at": invoice.issued_at and invoice.issued_at.isoformat(),
        "due_at": invoice.due_at and invoice.due_at.isoformat(),
        "external_ids": dict(invoice.external_ids),
        "line_ids": dict(invoice.line_external_ids),
        "actions": {action.value: state.value for action, state in details.available_actions.items()},
        "failed": details.failed,
        "issues": [issue.code for issue in details.issues],
        "app": snapshot.apps[details.apps["invoicing"]].type,
    }
    return json.dumps(shown).encode()


class Telling:
    """A shop that tells a receiver of everything."""

    def __init__(self, shop: Shop, receiver: Receiver) -> None:
        self.shop = shop
        self.receiver = receiver
        self.channel = self.a_channel()
        self.rules = [self.a_rule(type) for type in ("invoice.created", "invoice.updated")]

    @property
    def notifications(self) -> Any:
        return self.shop.ns.notifications

    def a_channel(self, **changes: Any) -> Any:
        return self.notifications.channels.create(**{"name": "Hook", "url": self.receiver.url, **changes})

    def a_rule(self, type: str, *channels: Any, **changes: Any) -> Any:
        ids = [channel.id for channel in channels or (self.channel,)]
        return self.notifications.rules.create(type, f"All {type}", ids, **changes)

    def send(self) -> int:
        """Send what is due now."""
        rounds = self.shop.engine.notify_until_idle(render, at_most=500)
        assert rounds < 500, "still busy"
        return rounds

    def turn(self, seconds: float) -> None:
        """Time passes, then whatever is due is sent."""
        self.shop.clock.advance(timedelta(seconds=seconds))
        self.send()

    def delivery(self, event_id: str) -> Any:
        return self.notifications.events.get(event_id).deliveries[0]


def a_telling_shop(
    open_one: Callable[..., Shop],
    url: str,
    receiver: Receiver,
    *providers: Any,
    draft: bool = True,
    issuing: bool = True,
    **options: Any,
) -> Telling:
    shop = open_one(url, *(providers or (custom_invoicing,)), **{"targets": LOOPBACK, **options})
    if not providers:
        hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
        shop.ns.apps.update(shop.app.id, settings=hooks)
    return Telling(shop, receiver)
