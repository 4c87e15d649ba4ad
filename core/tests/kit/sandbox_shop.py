"""A shop whose provider is the sandbox, in-process: books that compute for themselves, and every fault on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine_kit import Outgoing, Shop, Transmission, Wire

from billhook.testing.sandbox import provider, simulator
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.transport import SimulatorTransport

URL = "http://sandbox.test"


@dataclass
class SandboxShop:
    """A shop, and the sandbox that it bills through."""

    shop: Shop
    sandbox: SandboxSimulator
    app_id: str
    customer_id: str


def open_sandbox_shop(a_shop: Callable[..., Shop], provider_class: Any = provider, **workflow: Any) -> SandboxShop:
    """A shop with one app of the sandbox, a default profile and the customer Jane Doe."""
    shop = a_shop(provider_class, ready=False)
    sandbox = simulator(clock=shop.clock)
    there = SimulatorTransport({URL: sandbox})

    def reaches_the_sandbox(wire: Wire, request: Outgoing) -> Transmission:
        return there.send(request, 5)

    shop.wire.otherwise = reaches_the_sandbox
    credentials = {"token": "sandbox-token", "webhook_secret": "sandbox-webhook-secret"}
    app = shop.ns.apps.install("sandbox", settings={"base_url": URL}, credentials=credentials)
    shop.a_profile(app, **({"workflow": workflow} if workflow else {}))
    customer = shop.ns.customers.create("Jane Doe", key="jane", email="jane@doe.example", tax_id="DE123456789")
    return SandboxShop(shop, sandbox, app.id, customer.id)
