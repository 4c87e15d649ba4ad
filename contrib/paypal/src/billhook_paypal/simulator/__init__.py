"""PayPal Invoicing on this machine: written from its documentation, and sharing no code with the provider."""

from __future__ import annotations

from billhook_paypal.simulator.server import PaypalSimulator

__all__ = ["PaypalSimulator", "simulator"]

simulator = PaypalSimulator
