"""What the demo ends with: our figures, and the provider's, read from its own books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from billhook.demo.cast import Cast
from billhook.demo.online_retail import CURRENCY
from billhook.demo.outside import Outside
from billhook.demo.standing import Standing
from billhook.domain.currency import exponent
from billhook.domain.money import round_to, total_of
from billhook.engine.namespace import Namespace
from billhook.testing.simulator import BookedDocument

EVERYTHING = 1000


@dataclass(frozen=True, slots=True)
class RefusedDocument:
    """A document that can't be invoiced, and why."""

    document: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Books:
    """The figures of the provider that issued the documents; duplicates and calls are counted at everyone. Nothing here was read from
    the engine."""

    total: Decimal
    documents: int
    duplicates: int
    calls: int
    accounts: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Both sides of the day."""

    cast: Cast
    documents: int
    accepted: int
    refused: tuple[RefusedDocument, ...]
    engine_total: Decimal
    standing: Standing
    in_doubt: int
    books: Books
    currency: str = CURRENCY

    @property
    def difference(self) -> Decimal:
        """By how much the provider's total exceeds ours."""
        return self.books.total - self.engine_total

    @property
    def credit_notes(self) -> int:
        """How many of the accepted documents give money back."""
        return sum(self.standing.credit_notes.values())

    @property
    def is_sound(self) -> bool:
        """Everything is settled, and the provider's books agree with ours to the cent."""
        agrees = not self.difference and not self.books.duplicates and self.books.documents == self.accepted
        return agrees and self.standing.is_settled and not self.in_doubt

    def to_json(self) -> dict[str, Any]:
        """One object; of a run that was killed and taken up again only ``provider_calls`` differs."""
        return {
            "invoicing": self.cast.invoicing,
            "payment": self.cast.payment,
            "documents": self.documents,
            "accepted": self.accepted,
            "refused": list(self.refused),
            "credit_notes": self.credit_notes,
            "currency": self.currency,
            "engine_total": _money(self.engine_total),
            "ledger_total": _money(self.books.total),
            "difference": _money(self.difference),
            "ledger_documents": self.books.documents,
            "duplicates": self.books.duplicates,
            "provider_calls": self.books.calls,
            "paid": self.standing.paid,
            "states": {"invoices": self.standing.invoices, "credit_notes": self.standing.credit_notes},
            "in_doubt": self.in_doubt,
            "accounts": {name: {"lines": lines, "amount": amount} for name, lines, amount in self.books.accounts},
        }

    def headline(self) -> Mapping[str, object]:
        """The figures for a person."""
        states = ", ".join(f"{count} {state}" for state, count in self.standing.invoices.items())
        notes = ", ".join(f"{count} {state}" for state, count in self.standing.credit_notes.items())
        return {
            "invoicing, payment": f"{self.cast.invoicing}, {self.cast.payment}",
            "documents": f"{self.documents}: {self.accepted} accepted, {len(self.refused)} refused",
            "invoices": states,
            "credit notes": notes,
            "our total": f"{_money(self.engine_total)} {self.currency}",
            "the provider's books": f"{_money(self.books.total)} {self.currency} in {self.books.documents} documents",
            "difference": f"{_money(self.difference)} {self.currency}",
            "duplicates": self.books.duplicates,
            "in doubt": self.in_doubt,
            "calls to the provider": self.books.calls,
        }


def total_in_engine(billing: Namespace) -> Decimal:
    """What the engine says was invoiced, less what was credited."""
    invoiced = total_of(view.total for view in billing.invoices.list(page_size=EVERYTHING).items)
    return invoiced - total_of(view.total for view in billing.credit_notes.list(page_size=EVERYTHING).items)


def read_books(cast: Cast, outside: Outside) -> Books:
    """What the providers hold, by their own record."""
    issued = outside.documents(cast.invoicing)
    return Books(
        total=outside.total(cast.invoicing, CURRENCY),
        documents=len(issued),
        duplicates=outside.count_duplicates(),
        calls=outside.count_calls(),
        accounts=_accounts(issued),
    )


def _accounts(documents: Sequence[BookedDocument]) -> tuple[tuple[str, int, str], ...]:
    booked: dict[str, list[Decimal]] = {}
    for document in documents:
        for line in getattr(document, "lines", ()):
            amount = line.amount if document.kind == "invoice" else -line.amount
            # Where the books go by products instead of accounts, there is no account to show.
            booked.setdefault(getattr(line, "account", None) or "(none)", []).append(amount)
    return tuple((name, len(amounts), _money(total_of(amounts))) for name, amounts in sorted(booked.items()))


def _money(value: Decimal) -> str:
    return f"{round_to(value, CURRENCY):.{exponent(CURRENCY)}f}"
