"""Simulators of outside systems, found through their entry points."""

from __future__ import annotations

from typing import cast

from billhook.contract.entry_points import SIMULATORS
from billhook.errors import InvalidInput
from billhook.plugins.discovery import install_command, installed, listed, load, only_one
from billhook.testing.simulator.books import SimulatorFactory


def simulated() -> frozenset[str]:
    """The providers that have a simulator here. Metadata alone is read."""
    return frozenset(entry.name for entry in installed(SIMULATORS))


def simulator_of(provider: str) -> SimulatorFactory:
    """What makes that provider's simulator.

    Raises InvalidInput where none is installed, and ProviderLoadError for one that can't be imported or is offered twice.
    """
    found = [entry for entry in installed(SIMULATORS) if entry.name == provider]
    if not found:
        raise missing(provider)
    return cast("SimulatorFactory", load(only_one(found)))


def missing(provider: str) -> InvalidInput:
    """The error that says how to get that provider's simulator."""
    command = install_command(provider)
    way_out = f"Install it: {command}" if command else f"There are: {listed(simulated())}."
    return InvalidInput("simulator_missing", f"No simulator of {provider!r} is installed here. {way_out}")
