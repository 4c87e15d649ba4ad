"""The day's documents, read from the data that ship with the package, as drafts.

A document whose number starts with C is a credit note: its quantities are turned positive, because a credit note says what is owed back.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from typing import Any

from billhook.errors import InvalidInput, Problem

ATTRIBUTION = 'Data: Daqing Chen, "Online Retail", UCI Machine Learning Repository, doi 10.24432/C5BW33, CC BY 4.0.'
CURRENCY = "GBP"
DATA = "online-retail-2010-12-01.csv"
KEY_PREFIX = "online-retail-"

_COUNTRIES = {"United Kingdom": "GB", "France": "FR", "Australia": "AU", "Netherlands": "NL"}

_RULES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("postage", "postage", {"item_code": "POST"}),
    ("discounts", "discounts", {"item_code": "D"}),
    ("everything else is goods", "sales", {}),
)


def mapping_rules(accounts: Mapping[str, str]) -> dict[str, Any]:
    """Where the day's lines go in books that have these accounts, by what goes there; what has none goes where sales go."""
    return {
        "rules": [
            {
                "name": name,
                "then": {"account": accounts.get(what, accounts["sales"])},
                **({"when": when} if when else {}),
            }
            for name, what, when in _RULES
        ]
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file, as it is written there."""

    stock_code: str
    description: str
    quantity: str
    unit_price: str


@dataclass(frozen=True)
class Document:
    """One invoice or credit note of the day."""

    number: str
    sold_at: datetime
    customer: str
    country: str
    rows: Sequence[Row]

    @property
    def is_credit_note(self) -> bool:
        """Whether it gives money back."""
        return self.number.startswith("C")

    @property
    def key(self) -> str:
        """What makes submitting it twice harmless."""
        return f"{KEY_PREFIX}{self.number}"

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """Why it can't be invoiced; none for a sound one."""
        found = [] if self.customer else [Problem("customer_missing", "It names no customer.", "/customer_key")]
        for place, row in enumerate(self.rows):
            if not row.description:
                message = f"Line {place + 1} ({row.stock_code}) has no description, and a price of {row.unit_price}."
                found.append(Problem("description_missing", message, f"/lines/{place}/name"))
        return tuple(found)

    def draft(self) -> dict[str, Any]:
        """The draft that is submitted. Raises InvalidInput with every reason why there can be none."""
        if self.problems:
            first = self.problems[0]
            reasons = " ".join(problem.message for problem in self.problems)
            raise InvalidInput(first.code, reasons, first.path, problems=self.problems)
        return {
            "key": self.key,
            "type": "credit_note" if self.is_credit_note else "standard",
            "customer_key": self.customer,
            "currency": CURRENCY,
            "description": f"Online Retail {self.number}",
            "metadata": {"document": self.number, "sold_at": self.sold_at.isoformat(timespec="minutes")},
            "lines": [self._line(row) for row in self.rows],
        }

    def _line(self, row: Row) -> dict[str, Any]:
        quantity = row.quantity.removeprefix("-") if self.is_credit_note else row.quantity
        price = {"type": "unit", "amount": row.unit_price}
        return {"name": row.description, "item_code": row.stock_code, "quantity": quantity, "price": price}


def read_documents() -> tuple[Document, ...]:
    """The documents in the order of the day."""
    text = files("billhook.demo").joinpath(DATA).read_text(encoding="utf-8")
    by_number: dict[str, list[dict[str, str]]] = {}
    for record in csv.DictReader(text.splitlines()):
        by_number.setdefault(record["InvoiceNo"], []).append(record)
    return tuple(_document(number, records) for number, records in by_number.items())


def customers_of(documents: Sequence[Document]) -> dict[str, str]:
    """The country code of every customer that is named, in the order of their first document."""
    return {document.customer: document.country for document in documents if document.customer}


def _document(number: str, records: Sequence[Mapping[str, str]]) -> Document:
    first = records[0]
    return Document(
        number=number,
        # The file gives the shop's local time and no zone, so it stays metadata and is compared with nothing.
        sold_at=datetime.strptime(first["InvoiceDate"], "%m/%d/%y %H:%M"),  # noqa: DTZ007
        customer=first["CustomerID"],
        country=_COUNTRIES[first["Country"]],
        rows=tuple(
            Row(record["StockCode"], record["Description"].strip(), record["Quantity"], record["UnitPrice"])
            for record in records
        ),
    )
