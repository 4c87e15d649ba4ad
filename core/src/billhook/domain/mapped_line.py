"""A line in the words of an outside system, and what mapping needs to read of a line and its invoice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class MappableTaxConfig(Protocol):
    @property
    def code(self) -> str | None: ...


class MappableLine(Protocol):
    """What rules read of a line."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str | None: ...
    @property
    def item_code(self) -> str | None: ...
    @property
    def feature_key(self) -> str | None: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def tax_config(self) -> MappableTaxConfig | None: ...


class MappableCustomer(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def name(self) -> str: ...


class MappableInvoice(Protocol):
    """What rules read of an invoice: a revision's content, or the view of an invoice."""

    @property
    def currency(self) -> str: ...
    @property
    def customer(self) -> MappableCustomer: ...


@dataclass(frozen=True, slots=True)
class MappedLine:
    """A line in the words of the outside system, and why: `rule` chose it, `because` these conditions held."""

    line_id: str
    description: str
    rule: str
    because: tuple[str, ...] = ()
    account: str | None = None
    item_code: str | None = None
    tax_code: str | None = None
    tracking: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "line_id": self.line_id,
            "description": self.description,
            "rule": self.rule,
            "because": list(self.because),
            "account": self.account,
            "item_code": self.item_code,
            "tax_code": self.tax_code,
            "tracking": dict(self.tracking),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> MappedLine:
        because, tracking = tuple(stored["because"]), tuple(stored["tracking"].items())
        return cls(**{**stored, "because": because, "tracking": tracking})
