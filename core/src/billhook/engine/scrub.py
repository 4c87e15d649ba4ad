"""Taking a person's name out of texts that may carry it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import sqlalchemy as sa

from billhook.domain.party import CustomerSnapshot
from billhook.engine.tables import UPSERT_MAPPING, dump_mapping, load_mapping
from billhook.store import schema
from billhook.store.statements import Update
from billhook.store.transaction import Transaction

MARKER = "[erased]"
"""What stands where personal data stood."""

SHORTEST = 3
"""Anything shorter than this, but for the name, says nothing of a person and would be found everywhere."""

# Tables whose free texts may name the customer: the column that finds the rows, the key, and the texts.
_TEXTS: tuple[tuple[sa.Table, str, tuple[str, ...], tuple[str, ...]], ...] = (
    (schema.event, "document_id", ("document_id", "version"), ("note",)),
    (schema.validation_issue, "document_id", ("id",), ("message",)),
    (schema.payment, "invoice_id", ("id",), ("message",)),
    (schema.refund, "invoice_id", ("id",), ("reason", "message")),
)
_MAPPING = ("document_id", "revision", "app_id", "lines")


@dataclass(frozen=True, slots=True)
class Scrub:
    """The words that name a customer."""

    words: frozenset[str]

    @classmethod
    def of(cls, customer: CustomerSnapshot) -> Self:
        """Everything by which the snapshot names the customer but its id."""
        address = customer.addresses[0] if customer.addresses else None
        of_address = (address.line1, address.line2, address.phone_number) if address else ()
        named = (customer.key, customer.email, customer.tax_id, *customer.subject_keys, *of_address)
        telling = [word for word in named if word and len(word) >= SHORTEST]
        return cls(frozenset({customer.name, *telling} - {MARKER}))

    def __or__(self, other: Scrub) -> Scrub:
        return Scrub(self.words | other.words)

    def __call__(self, text: str) -> str:
        """The text with each of the words, where it stands as a whole word, replaced by the marker."""
        for word in sorted(self.words, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", MARKER, text, flags=re.IGNORECASE)
        return text


def scrub_mappings(tx: Transaction, document_ids: Collection[str], scrub: Scrub) -> None:
    """Take the customer out of the descriptions under which lines were sent."""
    rows = tx.select_in(schema.document_mapping, _MAPPING, "document_id", sorted(document_ids))
    changed = [(*row[:3], lines) for row in rows if (lines := _scrubbed_lines(row[3], scrub)) != row[3]]
    tx.upsert_many(UPSERT_MAPPING, changed)


def _scrubbed_lines(stored: bytes, scrub: Scrub) -> bytes:
    return dump_mapping([replace(line, description=scrub(line.description)) for line in load_mapping(stored)])


def scrub_texts(tx: Transaction, document_ids: Collection[str], scrub: Scrub) -> None:
    """Take the customer out of notes and messages about these documents and their money."""
    for table, finds, key, texts in _TEXTS:
        rows = tx.select_in(table, (*key, *texts), finds, sorted(document_ids))
        changed = [scrubbed for row in rows if (scrubbed := _scrubbed(row, len(key), scrub)) != row]
        tx.update_many(Update(table, key=key, set=texts), changed)


def _scrubbed(row: Sequence[Any], keys: int, scrub: Scrub) -> tuple[Any, ...]:
    return (*row[:keys], *(text if text is None else scrub(text) for text in row[keys:]))
