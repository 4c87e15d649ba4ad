"""The bridge: OpenMeter (or Kong Konnect Metering & Billing) computes invoices, and any Billhook provider delivers them and collects.

from billhook import Engine
from billhook_openmeter import Bridge, OpenMeter, RunningBridge

with Engine.open("billhook.db") as engine, engine.worker():
    bridge = Bridge(engine.namespace(), OpenMeter("https://openmeter.example", token))
    with RunningBridge(bridge, engine) as running:
        running.wait()
"""

from __future__ import annotations

from billhook_openmeter.bridge import Bridge, Visit
from billhook_openmeter.client import OpenMeter, UpstreamError, UpstreamRefusesUs
from billhook_openmeter.decide import PostAt, Situation, Step, decide
from billhook_openmeter.running import RunningBridge

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
