"""Prepayments and overpayments: money of a contact that came in advance or beyond what was due, and is put against invoices later. They come into
being as bank transactions (developer.xero.com, "Bank transactions", "Prepayments", "Overpayments")."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.allocations import OVERPAYMENTS, PREPAYMENTS, CreditDesk, CreditKind
from billhook_xero.simulator.desk import Ask, Route, answer_items
from billhook_xero.simulator.documents import check_approved, contact_of, head_of, lines_of, summed
from billhook_xero.simulator.invoices import InvoiceDesk, shown
from billhook_xero.simulator.ledger import Ledger
from billhook_xero.simulator.wire import Invalid, Json

_KINDS: Mapping[str, CreditKind] = {"RECEIVE-PREPAYMENT": PREPAYMENTS, "RECEIVE-OVERPAYMENT": OVERPAYMENTS}
_ON_ACCOUNT = " and ".join(_KINDS)
ZERO = Decimal("0.00")


class MoneyOnAccountDesk:
    """Takes prepayments and overpayments, and lists and allocates them as any credit."""

    def __init__(self, ledger: Ledger, invoices: InvoiceDesk) -> None:
        self._ledger = ledger
        self._desks = {kind: CreditDesk(ledger, invoices, kind) for kind in _KINDS.values()}

    def routes(self) -> list[Route]:
        """Its doors."""
        doors = (door for desk in self._desks.values() for door in desk.routes())
        return [("PUT", "/BankTransactions", self._put), *doors]

    def _put(self, ask: Ask) -> SimReply:
        return answer_items(
            ask, self._ledger, "BankTransactions", "BankTransactionID", lambda told: self._receive(ask, told)
        )

    def _receive(self, ask: Ask, told: Json) -> Json:
        """The bank transaction, which names what came into being with it."""
        kind = _KINDS.get(told.get("Type") or "")
        if kind is None:
            raise Invalid(f"Only bank transactions of types {_ON_ACCOUNT} are kept here")
        account = _bank_account(ask, told)
        content = self._content(ask, told, kind)
        self._desks[kind].store(ask, content, "CREATE")
        id = self._ledger.new_id(ask.org.tenant, "bank transaction")
        own = {"BankTransactionID": id, "BankAccount": {"Code": account}, "IsReconciled": False}
        kept = {name: value for name, value in content.items() if name not in _OF_CREDIT}
        return shown({**kept, **own}, ask, has_lines=True)

    def _content(self, ask: Ask, told: Json, kind: CreditKind) -> Json:
        stated = _without_tax(ask, told) if kind is OVERPAYMENTS else told
        content = head_of(stated, {}, ask)
        content |= {"Type": told["Type"], "Contact": contact_of(told, {}, ask, self._ledger), "Status": "AUTHORISED"}
        content["LineItems"] = lines_of(stated, {}, content, ask, self._ledger, may_discount=False)
        total = summed(content, what=kind.said).total
        check_approved(content, ask, needs_due_date=False)
        content |= {"RemainingCredit": total, "AppliedAmount": ZERO, "Allocations": [], "Payments": []}
        content[kind.id_name] = self._ledger.new_id(ask.org.tenant, kind.kind)
        return content


_OF_CREDIT = frozenset({"RemainingCredit", "AppliedAmount", "Allocations", "Payments"})


def _without_tax(ask: Ask, told: Json) -> Json:
    """What came beyond an invoice pays for nothing yet: it stands among what customers owe, and has no tax."""
    debtors = next(account.code for account in ask.org.accounts if account.system == "DEBTORS")
    lines = [{**line, "AccountCode": debtors} for line in told.get("LineItems") or ()]
    return {**told, "LineAmountTypes": "NoTax", "LineItems": lines}


def _bank_account(ask: Ask, told: Json) -> str:
    code = (told.get("BankAccount") or {}).get("Code")
    account = next((each for each in ask.org.accounts if each.code == code), None)
    if account is None or account.type != "BANK" or not account.active:
        raise Invalid(f"Account code '{code}' is not a bank account")
    return account.code
