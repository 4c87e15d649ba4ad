"""The bridge: OpenMeter (or Kong Konnect Metering & Billing) computes invoices, and any Billhook provider delivers them and collects.

    from billhook import Engine
    from billhook_openmeter import Bridge, OpenMeter, RunningBridge

    with Engine.open("billhook.db") as engine, engine.worker():
        bridge = Bridge(engine.namespace(), OpenMeter("https://openmeter.example", token))
        with RunningBridge(bridge, engine) as running:
            running.wait()

Names are loaded when they are first used, so that the command line can list this one's command at no cost.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billhook_openmeter.bridge import Bridge, Visit
    from billhook_openmeter.client import OpenMeter, UpstreamError, UpstreamRefusesUs
    from billhook_openmeter.decision import PostAt, Situation, Step, decide
    from billhook_openmeter.running import RunningBridge

_HOMES = {
    "Bridge": "bridge",
    "decide": "decision",
    "OpenMeter": "client",
    "PostAt": "decision",
    "RunningBridge": "running",
    "Situation": "decision",
    "Step": "decision",
    "UpstreamError": "client",
    "UpstreamRefusesUs": "client",
    "Visit": "bridge",
}

__all__ = [
    "Bridge",
    "decide",
    "OpenMeter",
    "PostAt",
    "RunningBridge",
    "Situation",
    "Step",
    "UpstreamError",
    "UpstreamRefusesUs",
    "Visit",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'billhook_openmeter' has no attribute {name!r}. It has {', '.join(__all__)}.")
    return getattr(import_module(f"billhook_openmeter.{_HOMES[name]}"), name)
