"""What a batch holds. The engine freezes all of it before an operation starts; a replay after a crash sees the same values."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from billhook.domain.invoice import InvoiceView
from billhook.domain.mapping import MappedLine
from billhook.domain.party import Party
from billhook.errors import ContractViolation


class Item(Protocol):
    """Anything a batch can hold: outcomes go by its ``id``."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CustomerLink:
    """The customer as this app knows it. ``external_id`` is None when the provider keeps no customers."""

    customer_id: str
    external_id: str | None = None
    payment_method: str | None = None
    app_data: Mapping[str, str] = field(default_factory=dict)


class Remembered(Protocol):
    """An item that may stand at the provider already."""

    @property
    def external_id(self) -> str | None: ...
    @property
    def leftovers(self) -> Mapping[str, str]: ...


def remote_id(item: Remembered) -> str | None:
    """The id under which the item stands at the provider, finished or left behind by an operation that was not: start from it, and
    make no second one.
    """
    return item.external_id or next(iter(item.leftovers.values()), None)


@dataclass(frozen=True, slots=True)
class CustomerItem:
    """A customer to bring to the provider. ``external_id`` is set when it is there already and was edited here."""

    id: str
    customer: Party
    revision: int = 1
    currency: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None
    leftovers: Mapping[str, str] = field(default_factory=dict)
    """Remote ids that earlier, unfinished operations left behind, by the step that made them; start from these."""


@dataclass(frozen=True, slots=True)
class InvoiceItem:
    """An invoice with everything that an invoicing operation may read."""

    id: str
    invoice: InvoiceView
    customer: CustomerLink
    lines: tuple[MappedLine, ...] = ()
    """Where each line goes, in the order of ``invoice.lines``; empty but in sync_draft, issue, credit and calculate_tax."""
    number: str | None = None
    """The number that the engine reserved, or that the document has. None in a preview of a draft that has none yet."""
    external_id: str | None = None
    line_external_ids: Mapping[str, str] = field(default_factory=dict)
    discount_external_ids: Mapping[str, str] = field(default_factory=dict)
    leftovers: Mapping[str, str] = field(default_factory=dict)
    collected_here: bool = False
    """Whether this app is also the one that collects. Money that its own payments bring is told by those; where another app collects,
    money that comes here is known only by what ``fetch`` shows."""


@dataclass(frozen=True, slots=True)
class CreditNoteItem:
    """A credit note. ``applies_to`` is the remote id of the invoice it stands on, None when it stands alone."""

    id: str
    credit_note: InvoiceView
    customer: CustomerLink
    lines: tuple[MappedLine, ...] = ()
    number: str | None = None
    external_id: str | None = None
    applies_to: str | None = None
    leftovers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaymentItem:
    """A payment to collect, capture, cancel, check or record. Amounts in major units: ``amount`` is what is to be taken or noted. ``id`` is
    our payment id, to be stored at the provider."""

    id: str
    invoice: InvoiceView
    amount: Decimal
    currency: str
    customer: CustomerLink
    invoice_external_id: str | None = None
    """The invoice at this app, None when it lives elsewhere."""
    external_id: str | None = None
    method: str | None = None
    received_at: datetime | None = None
    leftovers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundItem:
    """A refund of a payment that this app collected."""

    id: str
    amount: Decimal
    currency: str
    payment_external_id: str
    reason: str | None = None
    external_id: str | None = None
    leftovers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionItem:
    """What a connection operation needs: placeholders for secrets are filled by ``authenticate`` when sending."""

    id: str
    parameters: Mapping[str, str] = field(default_factory=dict)


ItemT = TypeVar("ItemT", bound=Item)
SettingsT = TypeVar("SettingsT")


@dataclass(frozen=True, slots=True)
class Batch(Generic[ItemT, SettingsT]):
    """The frozen input of one operation. The generator reads nothing else: not the clock, not randomness, not its own state."""

    operation_id: str
    items: tuple[ItemT, ...]
    settings: SettingsT
    now: datetime
    app_id: str
    namespace: str

    @property
    def only(self) -> ItemT:
        """The one item of an operation that declares batch=1."""
        if len(self.items) != 1:
            raise ContractViolation(
                f"batch.only needs a batch of one, this one has {len(self.items)} items. Declare batch=1, or loop."
            )
        return self.items[0]

    def uuid(self, name: str) -> uuid.UUID:
        """A UUID that is the same whenever this batch is replayed; another name gives another one."""
        return uuid.uuid5(uuid.NAMESPACE_URL, f"billhook:{self.operation_id}:{name}")
