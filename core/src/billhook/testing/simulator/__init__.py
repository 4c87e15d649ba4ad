"""The base for simulators of providers: in-process or over HTTP, with a table of faults and a memory that lasts."""

from __future__ import annotations

from billhook.testing.simulator.base import Simulator
from billhook.testing.simulator.books import BookedDocument, BookedPayment, Connection, Duplicate, SimulatorFactory
from billhook.testing.simulator.decisions import TurnedDown
from billhook.testing.simulator.faults import FAULTS, ArmedFault, FaultKind
from billhook.testing.simulator.memory import Memory
from billhook.testing.simulator.messages import ConnectionRefused, Dropped, Event, Pairs, SimCall, SimReply, SimRequest
from billhook.testing.simulator.shelf import Shelf, ShelfSimulator, Thing

__all__ = [
    "FAULTS",
    "ArmedFault",
    "BookedDocument",
    "BookedPayment",
    "Connection",
    "ConnectionRefused",
    "Dropped",
    "Duplicate",
    "Event",
    "FaultKind",
    "Memory",
    "Pairs",
    "Shelf",
    "ShelfSimulator",
    "SimCall",
    "SimReply",
    "SimRequest",
    "Simulator",
    "SimulatorFactory",
    "Thing",
    "TurnedDown",
]
