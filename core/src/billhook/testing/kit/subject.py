"""Who is examined: a provider, and the simulator of its system."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from billhook.clock import Clock
from billhook.contract import Capability, Declaration, Provider
from billhook.contract.operations import OPERATIONS
from billhook.errors import InvalidInput
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.handle import UNPACKAGED
from billhook.testing.simulator.books import BookedDocument, BookedPayment, Connection, Duplicate
from billhook.testing.simulator.installed import simulator_of
from billhook.testing.simulator.messages import Pairs, SimReply, SimRequest


class SimulatorProtocol(Protocol):
    """What the kit asks of a simulator. Whoever derives from `billhook.testing.simulator.Simulator` has most of it.

    ``fault`` arms one of `billhook.testing.simulator.FAULTS` for the next request; ``tick`` lets what is due by the clock happen.
    """

    @property
    def clock(self) -> Clock: ...
    def handle(self, request: SimRequest) -> SimReply: ...
    def connection(self, url: str) -> Connection: ...
    def serve(self, port: int = 0) -> AbstractContextManager[Any]: ...
    def customers(self) -> Sequence[object]: ...
    def documents(self) -> Sequence[BookedDocument]: ...
    def payments(self) -> Sequence[BookedPayment]: ...
    def duplicates(self) -> Sequence[Duplicate]: ...
    def fault(self, kind: str, **params: Any) -> object: ...
    def clear_faults(self) -> None: ...
    def pending_webhooks(self) -> list[tuple[Pairs, bytes]]: ...
    def deliver_webhooks(self, post: Callable[[Pairs, bytes], int]) -> int: ...
    def tick(self) -> None: ...
    def act_as_payer(self, external_id: str) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class Authorizing(Protocol):
    """What a simulator offers besides where payments can be authorized first and taken later: how an app is installed that only
    authorizes. The payment of an invoice that lives elsewhere comes to stand authorized there."""

    def authorizing_connection(self, url: str) -> Connection: ...


@runtime_checkable
class Refunding(Protocol):
    """What a simulator offers besides where money can be given back: the refunds in its books, each under our reference."""

    def refunds(self) -> Sequence[BookedPayment]: ...


@runtime_checkable
class Refusing(Protocol):
    """What a simulator offers besides, so that it is seen how a provider reads what its system refuses.

    From now on the system refuses whatever is asked of it about the thing of that name, as it refuses what is wrong: with its own status
    and its own body, and of several in one request only that one. The name is one by which the system knows the thing: our reference, as
    a request or its metadata have it, or the system's own id. `billhook.testing.simulator.ShelfSimulator` has it.
    """

    def refuse(self, name: str) -> None: ...


@runtime_checkable
class Declining(Protocol):
    """What a simulator offers besides where payments are collected: from now on a charge comes to nothing that is asked for under that
    name (our reference of the payment, or the system's own id of what is paid), as where a card is declined or a debit comes back."""

    def decline(self, name: str) -> None: ...


SimulatorMaker = Callable[..., SimulatorProtocol]
"""Called with ``clock``, ``hurried`` and ``currency``, as the entry points of the group ``billhook.simulators`` are."""

CURRENCIES = ("GBP", "EUR", "USD")
"""What the kit bills in, the first that the provider takes."""
AWKWARD_CURRENCIES = ("JPY", "KRW", "KWD", "BHD")
"""Their smallest unit is no hundredth."""


@dataclass(frozen=True)
class Subject:
    """A provider under examination. ``load`` gives its class, and raises what keeps it from loading."""

    name: str
    target: str
    distribution: str | None
    version: str
    load: Callable[[], type[Provider[Any]]]
    simulator: SimulatorMaker | None

    @classmethod
    def named(cls, name: str) -> Subject:
        """The installed provider of that name. Raises ProviderLoadError when there is none."""
        catalog = ProviderCatalog()
        listing = next((entry for entry in catalog.listing() if entry.name == name), None)
        if listing is None:
            catalog.describe(name)
            raise AssertionError("unreachable: describing a name that is not listed raises")
        return cls(
            name, listing.target, listing.distribution, listing.version, lambda: catalog.load(name), _simulator(name)
        )

    @classmethod
    def of(cls, provider: type[Provider[Any]], simulator: SimulatorMaker | None = None) -> Subject:
        """A class that is not installed, with what makes its simulator."""
        target = f"{provider.__module__}:{provider.__qualname__}"

        def load() -> type[Provider[Any]]:
            return ProviderCatalog.from_objects([provider]).load(provider.declaration.type)

        return cls(provider.declaration.type, target, None, UNPACKAGED, load, simulator)

    def without_simulator(self) -> Subject:
        """The same, as if nobody had written a simulator."""
        return replace(self, simulator=None)

    @cached_property
    def provider(self) -> type[Provider[Any]]:
        """The class."""
        return self.load()

    @property
    def declaration(self) -> Declaration:
        """What it says of itself."""
        return self.provider.declaration

    def can(self, *capabilities: Capability) -> bool:
        """Whether it declares one of these."""
        return any(map(self.declaration.can, capabilities))

    @cached_property
    def remote_operations(self) -> tuple[Capability, ...]:
        """The operations that ask somebody outside."""
        declared = (capability for capability in OPERATIONS if self.declaration.can(capability))
        return tuple(capability for capability in declared if not self.declaration.rules(capability).local)

    @cached_property
    def currency(self) -> str:
        """What it is billed in here."""
        return next((each for each in (*CURRENCIES, *self.currencies) if self.takes(each)), CURRENCIES[0])

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that it names; empty where it takes any."""
        return tuple(sorted(self.declaration.money.currencies or ()))

    @cached_property
    def currencies_to_try(self) -> tuple[str, ...]:
        """What it is billed in where that matters: the usual one, another one, and those whose smallest unit is no hundredth."""
        others = [each for each in CURRENCIES if each != self.currency and self.takes(each)]
        return self.currency, *others[:1], *(each for each in AWKWARD_CURRENCIES if self.takes(each))

    def takes(self, currency: str) -> bool:
        """Whether it takes invoices in that currency."""
        return not self.currencies or currency in self.currencies

    def new_simulator(self, clock: Clock, currency: str) -> SimulatorProtocol:
        """Fresh books in that currency. Raises InvalidInput where there is no simulator."""
        if self.simulator is None:
            raise InvalidInput("simulator_missing", f"{self.name} has no simulator.")
        return self.simulator(clock=clock, hurried=True, currency=currency)


def _simulator(name: str) -> SimulatorMaker | None:
    # A variant of a provider, such as one with the provider's own numbers, is simulated like the provider.
    for known in (name, name.partition("_")[0]):
        try:
            return simulator_of(known)
        except InvalidInput:
            continue
    return None


def connection_of(subject: Subject, simulator: SimulatorProtocol | None, url: str) -> Mapping[str, Any]:
    """The settings that an app is installed with: the simulator's, or where there is none the examples of the settings model."""
    if simulator is not None:
        return simulator.connection(url).settings
    return example_settings(subject.declaration)


def example_settings(declaration: Declaration) -> dict[str, Any]:
    """The first example of every setting that needs to be given."""
    fields = declaration.settings.model_fields
    return {name: field.examples[0] for name, field in fields.items() if field.examples}
