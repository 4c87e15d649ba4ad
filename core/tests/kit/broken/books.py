"""Providers with one small mistake each in what they fetch of an invoice's money, which the check of sums must find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from broken.parts import each_result, ending, handed

from billhook.contract import Receipt, Rejected
from billhook.testing.sandbox.provider import SandboxProvider


def refusing(operation: str) -> Any:
    """That operation of the sandbox, refused: what is tried with it is not what is wrong."""
    return ending(operation, lambda batch, outcomes: dict.fromkeys(outcomes, Rejected.because("closed", "Not here.")))


def fetching(**figures: Any) -> Any:
    """`fetch` of the sandbox, which tells these figures besides. Each is made of the item."""
    return ending(
        "fetch",
        each_result(lambda item, seen: replace(seen, **{name: figure(item) for name, figure in figures.items()})),
    )


class NothingPaid(SandboxProvider):
    """Rule EXACT: it says of every invoice that nothing was paid on it, whatever was noted there."""

    fetch = fetching(amount_paid=lambda item: Decimal(0))


class NoRoom(SandboxProvider):
    """What an invoice has no room for it neither shows as paid nor tells as on account."""

    noted: ClassVar[dict[str, dict[str, Decimal]]] = {}

    @staticmethod
    def keep(item: Any, result: Any) -> Any:
        """Remember what was noted on the invoice."""
        NoRoom.noted.setdefault(f"{item.currency} {item.invoice_external_id}", {})[item.id] = item.amount
        return result

    @staticmethod
    def paid(item: Any) -> Decimal:
        """What was noted, as far as there was room."""
        noted = NoRoom.noted.get(f"{item.invoice.currency} {item.external_id}", {})
        return min(sum(noted.values(), Decimal(0)), item.invoice.total)

    record_payment = ending("record_payment", each_result(keep))
    fetch = fetching(amount_paid=paid)


class OtherNames(SandboxProvider):
    """Its receipts name the bank's lines, and not the payments that it notes."""

    fetch = fetching(receipts=lambda item: (Receipt("line-1", Decimal("1.29")),))


class Refunded(SandboxProvider):
    """Of a payment of which a part went back its receipt tells nothing of that."""

    collected: ClassVar[dict[str, str]] = {}

    @staticmethod
    def keep(item: Any, result: Any) -> Any:
        """Remember the payment of the invoice."""
        Refunded.collected[item.invoice_external_id] = result.external_id
        return result

    record_payment, credit = refusing("record_payment"), refusing("credit")
    collect_payment = ending("collect_payment", each_result(keep))
    fetch = fetching(receipts=lambda item: (Receipt(Refunded.collected[item.external_id], item.invoice.total),))


class Gross(SandboxProvider):
    """What went back counts as paid."""

    record_payment, credit = refusing("record_payment"), refusing("credit")
    fetch = fetching(amount_paid=lambda item: item.invoice.total)


class CreditPays(SandboxProvider):
    """A credit note counts as paid."""

    record_payment = refusing("record_payment")
    fetch = fetching(amount_paid=lambda item: Decimal("10.37"))


class BeforeCredits(SandboxProvider):
    """It tells what was due before anything was credited."""

    record_payment = refusing("record_payment")
    fetch = fetching(amount_due=lambda item: item.invoice.total)


class DueInHundredths(SandboxProvider):
    """What is due it takes for hundredths, and yen have none."""

    record_payment = refusing("record_payment")
    fetch = fetching(
        amount_due=lambda item: (
            item.invoice.total / 100 if item.invoice.currency == "JPY" else item.invoice.total - Decimal("10.37")
        )
    )


class Overstating(SandboxProvider):
    """It says of what it noted that it was a hundred times as much."""

    record_payment = ending(
        "record_payment", each_result(lambda item, result: replace(result, amount=result.amount * 100))
    )


class LessWhatWentBack(SandboxProvider):
    """Of a payment it tells what is left of it as what came."""

    given: ClassVar[dict[str, Decimal]] = {}

    @staticmethod
    def keep(item: Any, result: Any) -> Any:
        """Remember what was given back of the payment."""
        LessWhatWentBack.given[item.payment_external_id] = item.amount
        return result

    refund = ending("refund", each_result(keep))
    check_payment = ending(
        "check_payment",
        each_result(
            lambda item, result: replace(result, amount=result.amount - LessWhatWentBack.given.pop(item.external_id, 0))
        ),
    )


class Elsewhere(SandboxProvider):
    """The id that a payment has where it came it takes for one of its own, and looks instead of noting it."""

    record_payment = handed(
        "record_payment", lambda item: replace(item, leftovers={"record": item.external_id} if item.external_id else {})
    )


class Stumbling(SandboxProvider):
    """It reads a figure that is not there."""

    fetch = fetching(amount_due=lambda item: {}["due"])


FURTHER: Sequence[tuple[str, type[SandboxProvider], str]] = (
    ("what_is_fetched_adds_up", NoRoom, "GBP 67.18 is noted, and 65.18 is fetched as paid"),
    ("what_is_fetched_adds_up", OtherNames, "was noted, and the receipts that are fetched are line-1"),
    ("what_is_fetched_adds_up", Refunded, "1.29 is given back, and its receipt says that 65.18 came and 0 went back"),
    ("what_is_fetched_adds_up", Gross, "1.29 is given back, and 65.18 is fetched as paid"),
    ("what_is_fetched_adds_up", CreditPays, "10.37 is credited and nothing paid, and 10.37 is fetched as paid"),
    ("what_is_fetched_adds_up", BeforeCredits, "10.37 is credited and nothing paid, and 65.18 is fetched as due"),
    ("what_is_fetched_adds_up", DueInHundredths, "of an invoice of 6518 JPY 1037 is credited and nothing paid, and 65"),
    ("what_is_fetched_adds_up", Overstating, "1.29 GBP was to be noted, and the outcome says 129"),
    ("what_is_fetched_adds_up", Stumbling, "fetch failed: KeyError: 'due' (books.py, line "),
    ("gives_back_what_is_asked", LessWhatWentBack, "1.29 of it went back, and a look at the payment shows that"),
    ("a_recorded_payment_stands_in_the_books", Elsewhere, "was recorded, and the books show nothing"),
)
"""Checks that find more than one mistake: the check, the provider with another of them, and what is told of it."""

BROKEN: Mapping[str, type[SandboxProvider]] = {"what_is_fetched_adds_up": NothingPaid}
