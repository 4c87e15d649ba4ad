"""Books that somebody may lock, and enter payments in by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import PENDING

from billhook.contract import (
    Batch,
    Done,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Receipt,
    Refusal,
    Rejected,
    Snapshot,
    WebhookEvent,
)
from billhook.engine.standing import standing_of
from billhook.store import schema

OpenShop = Callable[..., Shop]


class Ledger:
    """What somebody set there: whether payments may be noted, how much the invoice takes, shows as paid and asks for, which payments have an
    id, and whether the invoice is gone."""

    def __init__(self) -> None:
        self.is_locked = True
        self.paid = Decimal(0)
        self.takes = Decimal("Infinity")
        self.due: Decimal | None = None
        self.receipts: list[Receipt] = []
        self.is_gone = False

    def note(self, item: PaymentItem) -> PaymentResult:
        """Put a payment against the invoice, as far as that takes it; the rest stands on account."""
        applied = min(item.amount, self.takes - self.paid)
        self.paid += applied
        name = f"noted-{item.id}"
        return PaymentResult(PaymentStatus.SUCCEEDED, item.amount, name, on_account=item.amount - applied)


def a_shop_with(
    open_shop: OpenShop, ledger: Ledger, *, bank: bool, ends: str = PENDING, **more: Any
) -> tuple[Shop, str]:
    """An invoice over 10.00 in books that are locked; money comes at a bank, or at the books' own app, which has ``more`` hooks."""

    def note(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("note", batch, "notes", recover=(repeat(),))
        if ledger.is_locked:
            return {item.id: Rejected.because("date_locked", "The date is locked.") for item in batch.items}
        return {item.id: Done(ledger.note(item)) for item in batch.items}

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        receipts = tuple(ledger.receipts)
        seen = Snapshot(True, batch.only.external_id, amount_paid=ledger.paid, receipts=receipts, amount_due=ledger.due)
        return {batch.only.id: Done(Snapshot(found=False) if ledger.is_gone else seen)}

    hooks = {"sync_draft": careful_draft, "record_payment": note, "fetch": fetch, "read_webhook": read_webhook, **more}
    books = a_provider(**hooks)
    shop = open_shop(books, a_provider("bank"))
    if bank:
        shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == ends
    return shop, id


def read_webhook(
    self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
) -> Sequence[WebhookEvent] | Refusal:
    name, external_id, *kind = body.decode().split()
    return [WebhookEvent(name, "payment" if kind else "document", external_id, "moved")]


def pay(shop: Shop, id: str, *amounts: str) -> None:
    for amount in amounts:
        shop.ns.invoices.record_payment(id, amount)
        shop.run()


def enter(shop: Shop, ledger: Ledger, id: str, amount: str) -> None:
    """Somebody enters a payment there, and the books tell that something changed."""
    ledger.paid += Decimal(amount)
    (link,) = shop.rows(schema.document_link, document_id=id)
    event = f"evt-{len(shop.rows(schema.inbox))} {link['external_id']}"
    shop.engine.receive_webhook(link["app_id"], {}, event.encode())
    shop.run()


def unrecorded(shop: Shop) -> int:
    return standing_of(shop.engine.context, shop.namespace).unrecorded
