"""The circuit of an app: a provider that fails again and again is left alone for a while, longer each time."""

from __future__ import annotations

import logging
from datetime import datetime

from billhook.engine.context import Context
from billhook.engine.effects import Arrived, Transmission, Unsendable
from billhook.engine.leases import Lease


def observe(context: Context, lease: Lease, came: Transmission, now: datetime) -> None:
    """Count what came of a request. What was never sent says nothing of the provider."""
    if isinstance(came, Unsendable):
        return
    if isinstance(came, Arrived) and came.reply.status < 500:
        lease.failures, lease.circuit_until = 0, None
    else:
        count_failure(context, lease, now)


def count_failure(context: Context, lease: Lease, now: datetime) -> None:
    """One more failure; from a certain number on the circuit opens."""
    policy = context.policy
    lease.failures += 1
    if lease.failures < policy.circuit_failures:
        return
    doublings = min(lease.failures - policy.circuit_failures + 2, 16)
    lease.circuit_until = now + min(policy.first_backoff * 2**doublings, policy.longest_backoff)
    fields = {"app": lease.app_id, "failures": lease.failures}
    context.telemetry.log(logging.WARNING, "The circuit of an app opened.", fields)
