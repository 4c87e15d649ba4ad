"""What hosts get back: apps, billing profiles, customers, overrides and pending lines, as frozen values with datetimes.

Secrets are in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import Field, PositiveInt, StringConstraints

from billhook.domain.base import Description, Key, Metadata, Name, Value
from billhook.domain.currency import CurrencyCode
from billhook.domain.ids import Ulid
from billhook.domain.invoice import LineDraft
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import UtcDatetime
from billhook.domain.workflow import WorkflowConfig

T = TypeVar("T")

ShortName = Annotated[Name, StringConstraints(max_length=256)]


class Unchanged(Enum):
    """The value of an argument that was left out, where None means to clear."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class AppStatus(StrEnum):
    """Whether the provider lets us in."""

    READY = "ready"
    UNAUTHORIZED = "unauthorized"


class App(Value):
    """An installed provider. A disabled app keeps its status; nothing is sent to it.

    ``limits``: how many calls it may make of the provider's limits named there, in place of what the provider declares.
    """

    id: Ulid
    namespace: Key
    type: str
    name: ShortName
    description: Description | None = None
    labels: Metadata = Field(default_factory=dict)
    status: AppStatus = AppStatus.READY
    enabled: bool = True
    settings: Mapping[str, Any] = Field(default_factory=dict)
    mapping: Mapping[str, Any] | None = None
    limits: Mapping[str, PositiveInt] = Field(default_factory=dict)
    has_credentials: bool = False
    created_at: UtcDatetime
    updated_at: UtcDatetime
    deleted_at: UtcDatetime | None = None


class BillingProfile(Value):
    """Which apps and which workflow an invoice gets, and who sells."""

    id: Ulid
    namespace: Key
    name: ShortName
    description: Description | None = None
    is_default: bool = False
    supplier: Supplier
    workflow: WorkflowConfig = Field(default_factory=WorkflowConfig)
    tax_app_id: Ulid
    invoicing_app_id: Ulid
    payment_app_id: Ulid
    metadata: Metadata = Field(default_factory=dict)
    created_at: UtcDatetime
    updated_at: UtcDatetime
    deleted_at: UtcDatetime | None = None


class Customer(Value):
    """Somebody to be invoiced. ``party`` is what is frozen onto invoices; ``revision`` counts every change."""

    id: Ulid
    namespace: Key
    party: CustomerSnapshot
    description: Description | None = None
    currency: CurrencyCode | None = None
    metadata: Metadata = Field(default_factory=dict)
    revision: int = 1
    created_at: UtcDatetime
    updated_at: UtcDatetime
    deleted_at: UtcDatetime | None = None

    @property
    def key(self) -> str | None:
        return self.party.key

    @property
    def name(self) -> str:
        return self.party.name


class CustomerOverride(Value):
    """What one customer gets instead of the default profile. Of the workflow only what is stated counts."""

    customer_id: Ulid
    namespace: Key
    profile_id: Ulid | None = None
    workflow: WorkflowConfig | None = None
    created_at: UtcDatetime
    updated_at: UtcDatetime


ExternalId = Annotated[Key, StringConstraints(max_length=512)]


class CustomerApp(Value):
    """One customer as one app knows it. ``is_refused``: the provider does not take the customer as it is."""

    customer_id: Ulid
    app_id: Ulid
    external_id: ExternalId | None = None
    payment_method: ExternalId | None = None
    data: Metadata = Field(default_factory=dict)
    is_refused: bool = False


class Gathering(Value):
    """A pool of pending lines: one for each customer and currency."""

    id: Ulid
    namespace: Key
    customer_id: Ulid
    currency: CurrencyCode
    number: str
    created_at: UtcDatetime


class PendingLine(Value):
    """A line that waits for its invoice. It keeps its id on the invoice."""

    id: Ulid
    namespace: Key
    gathering_id: Ulid
    customer_id: Ulid
    currency: CurrencyCode
    invoice_at: UtcDatetime
    line: LineDraft
    created_at: UtcDatetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where new pending lines went. ``is_new`` says that the pool was empty before."""

    gathering: Gathering
    lines: tuple[PendingLine, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class ResolvedProfile:
    """A customer with the profile and the workflow that its next invoice gets."""

    customer: Customer
    profile: BillingProfile
    override: CustomerOverride | None
    workflow: WorkflowConfig


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list, and how many there are in all."""

    items: tuple[T, ...]
    total_count: int
    page: int
    page_size: int
