"""Which provider plays which part in the demo."""

from __future__ import annotations

from dataclasses import dataclass

from billhook.contract import Capability
from billhook.errors import InvalidInput
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.simulator.installed import missing, simulated

BY_HAND = "manual"
"""Payments that arrive at a bank: no system to simulate, somebody writes them down."""
FIRST_CHOICE = ("xero", "stripe")
ALWAYS_THERE = "sandbox"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who issues the invoices, and who collects the money; both may be the same."""

    invoicing: str
    payment: str

    @property
    def types(self) -> tuple[str, ...]:
        """The providers, each once."""
        return tuple(dict.fromkeys((self.invoicing, self.payment)))

    @property
    def simulated(self) -> tuple[str, ...]:
        """Those that are systems of their own."""
        return tuple(type for type in self.types if type != BY_HAND)

    @property
    def is_paid_by_hand(self) -> bool:
        """Whether somebody has to write down the money that arrives."""
        return self.payment == BY_HAND


def cast_of(catalog: ProviderCatalog, invoicing: str | None, payment: str | None) -> Cast:
    """Fill the parts that were left open: the first choice where it is installed, else the sandbox; who invoices may collect too.

    Raises InvalidInput for a provider that is not installed, has no simulator, or can't play its part.
    """
    there = simulated()
    if invoicing is None:
        invoicing = FIRST_CHOICE[0] if payment != ALWAYS_THERE and set(FIRST_CHOICE) <= there else ALWAYS_THERE
    if payment is None:
        collects = _is_there(catalog, invoicing) and _can(catalog, invoicing, Capability.COLLECT_PAYMENT)
        payment = invoicing if collects else next((type for type in FIRST_CHOICE[1:] if type in there), BY_HAND)
    cast = Cast(invoicing, payment)
    for type in cast.types:
        _check_is_there(catalog, type, there)
    if not _can(catalog, invoicing, Capability.ISSUE) or invoicing == BY_HAND:
        raise InvalidInput("cannot_invoice", f"The provider {invoicing!r} issues no invoices elsewhere.", "/invoicing")
    if not cast.is_paid_by_hand and not _can(catalog, payment, Capability.COLLECT_PAYMENT):
        raise InvalidInput("cannot_collect", f"The provider {payment!r} collects no payments.", "/payment")
    return cast


def _is_there(catalog: ProviderCatalog, type: str) -> bool:
    return type in catalog.names()


def _can(catalog: ProviderCatalog, type: str, capability: Capability) -> bool:
    return catalog.load(type).declaration.can(capability)


def _check_is_there(catalog: ProviderCatalog, type: str, there: frozenset[str]) -> None:
    if not _is_there(catalog, type) or (type not in there and type != BY_HAND):
        raise missing(type)
