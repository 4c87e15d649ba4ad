"""Numbers for operations that are being prepared: read ahead outside the transaction, taken in it, and only if nobody was first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from billhook.contract.declaration import Capability, NumberOwner
from billhook.contract.items import CreditNoteItem, InvoiceItem
from billhook.contract.operations import OperationSpec
from billhook.contract.outcomes import Rejected
from billhook.domain.invoice import InvoiceContent
from billhook.domain.numbering import IssuedNumber
from billhook.engine.apps import AppHandle
from billhook.engine.counters import Counter
from billhook.engine.moments import from_micros
from billhook.engine.numbers import NumberedDocument, Numbers, number_for
from billhook.engine.telling import told
from billhook.errors import InvalidInput
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]

INVOICE, CREDIT_NOTE = "invoice", "credit-note"


def wants_number(spec: OperationSpec, app: AppHandle) -> str | None:
    """The series that an operation's documents must have a final number of, None when it needs none."""
    rules = app.handle.declaration.numbers
    if rules.owner is not NumberOwner.ENGINE:
        return None
    if spec.item is CreditNoteItem:
        return CREDIT_NOTE
    return INVOICE if spec.item is InvoiceItem and spec.capability is Capability(rules.needed_for) else None


def numbered_document(row: Row, content: InvoiceContent, profile: str) -> NumberedDocument:
    """What the number of an invoice or credit note may be made of. Its date is the day it is issued, or made."""
    return NumberedDocument(
        id=row["id"],
        namespace=row["namespace"],
        customer_id=row["customer_id"],
        customer_name=content.customer.name,
        customer_key=content.customer.key,
        profile=profile,
        currency=content.currency,
        at=from_micros(row.get("issued_at") or row["created_at"]),
    )


def profile_names(tx: Transaction, ids: Sequence[str | None]) -> dict[str | None, str]:
    """The names of billing profiles."""
    wanted = [id for id in dict.fromkeys(ids) if id]
    return dict(tx.select_in(schema.profile, ("id", "name"), "id", wanted))


@dataclass(frozen=True, slots=True)
class NumberClaim:
    """A number that one operation needs, and the counter it is read ahead from."""

    counter: Counter
    issued: IssuedNumber


@dataclass(slots=True)
class Assigned:
    """Numbers, claims and refusals, each by document id."""

    numbers: dict[str, str] = field(default_factory=dict)
    claims: dict[str, NumberClaim] = field(default_factory=dict)
    refused: dict[str, Rejected] = field(default_factory=dict)


def _refusal(app: AppHandle, error: BaseException) -> Rejected:
    code = error.code if isinstance(error, InvalidInput) else "number_failed"
    return Rejected.because(code, f"No number can be made for app {app.name}: {told(error)}")


@dataclass(slots=True)
class NumberPlan:
    """The numbers of everything that one round prepares, each counter counted on in memory."""

    numbers: Numbers
    next_values: dict[Counter, int] = field(default_factory=dict)

    def assign(
        self, tx: Transaction, app: AppHandle, series_name: str, documents: Sequence[NumberedDocument]
    ) -> Assigned:
        """The number of each document, the claims for those that have none yet, and those that can't be numbered."""
        bound = self.numbers.bound(tx, [document.id for document in documents])
        assigned = Assigned({id: issued.number for id, issued in bound.items()})
        for document in documents:
            if document.id in bound:
                continue
            try:
                claim = self._next(tx, app, series_name, document)
            except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the host's or the plugin's code; only this document stops
                assigned.refused[document.id] = _refusal(app, error)
                continue
            assigned.claims[document.id] = claim
            assigned.numbers[document.id] = claim.issued.number
        return assigned

    def _next(self, tx: Transaction, app: AppHandle, series_name: str, document: NumberedDocument) -> NumberClaim:
        series, counter = self.numbers.counter(tx, series_name, document)
        value = self.next_values.get(counter)
        if value is None:
            value = self.numbers.peek(tx, counter)
        issued = IssuedNumber(value, number_for(series, document, value, app), document.id)
        self.next_values[counter] = value + 1
        return NumberClaim(counter, issued)


def take_claims(
    tx: Transaction, numbers: Numbers, claims: Mapping[str, Sequence[NumberClaim]], stale: set[str]
) -> set[str]:
    """Take the numbers of operations, by operation id. Returns the operations whose numbers somebody else took first.

    Operations come in the order of their urgency, which is not the one in which their numbers were read ahead. When one of them fell away,
    the others on the same counter fall away too, so that no value is skipped.
    """
    by_counter: dict[Counter, list[tuple[str, NumberClaim]]] = {}
    for operation_id, wanted in claims.items():
        for claim in wanted:
            by_counter.setdefault(claim.counter, []).append((operation_id, claim))
    dropped: set[str] = set()
    for counter, wanted_here in by_counter.items():
        left = [claim.issued for operation_id, claim in wanted_here if operation_id not in stale]
        whole = sorted(left, key=attrgetter("sequence"))
        if len(whole) < len(wanted_here) or _skips(whole) or not numbers.claim(tx, counter, whole[0].sequence, whole):
            dropped |= {operation_id for operation_id, _ in wanted_here}
    return dropped - stale


def _skips(numbers: Sequence[IssuedNumber]) -> bool:
    """Whether a value is missing in between: that of an operation which a spent budget or a lost lease kept back."""
    return numbers[-1].sequence - numbers[0].sequence >= len(numbers)
