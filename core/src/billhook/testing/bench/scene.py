"""An engine with one app, a billing profile and customers, ready for drafts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billhook.clock import Clock
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.transport import Transport
from billhook.plugins.catalog import ProviderCatalog
from billhook.providers.custom_invoicing import CustomInvoicingProvider
from billhook.testing.bench.baskets import customer_count, customer_key, drafts
from billhook.testing.bench.providers import BenchProvider, LimitedProvider, MemoryTransport
from billhook.testing.builders import a_supplier

SEED = 20101201


def open_engine(url: str, *, clock: Clock | None = None, transport: Transport | None = None) -> Engine:
    """An engine on that database that knows the providers for measuring and nobody else."""
    catalog = ProviderCatalog.from_objects([BenchProvider, LimitedProvider, CustomInvoicingProvider])
    return Engine.open(url, catalog=catalog, clock=clock, transport=transport or MemoryTransport())


@contextmanager
def engine_on(url: str) -> Iterator[Engine]:
    """The same, closed at the end."""
    with open_engine(url) as engine:
        yield engine


def furnish(space: Namespace, provider: str, customers: int) -> str:
    """Install the provider as the namespace's only app, with a default profile and customers. Returns the app's id."""
    app_id = space.apps.install(provider).id
    space.profiles.create(
        name="Default",
        is_default=True,
        supplier=a_supplier(),
        tax_app_id=app_id,
        invoicing_app_id=app_id,
        payment_app_id=app_id,
    )
    for number in range(customers):
        space.customers.create(name=f"Customer {number}", key=customer_key(number))
    return app_id


def prepare_empty(url: str, invoices: int) -> None:
    """A database with customers for so many invoices, and no invoice yet."""
    with engine_on(url) as engine:
        furnish(engine.namespace(), BenchProvider.declaration.type, customer_count(invoices))


def submit(url: str, invoices: int, prefix: str = "bench") -> None:
    """Submit so many drafts, all due."""
    with engine_on(url) as engine:
        engine.namespace().invoices.submit_many(drafts(invoices, SEED, prefix))
