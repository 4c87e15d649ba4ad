"""The entry point groups by which other distributions are found."""

from __future__ import annotations

PROVIDERS = "billhook.providers"
"""Provider classes; the entry point's name is the provider's declared type."""

HOOKS = "billhook.hooks"
"""Engine-wide observers: modules or instances with ``@hookimpl`` functions."""

SIMULATORS = "billhook.simulators"
"""Simulators of outside systems, for tests and demonstrations."""

PYTEST = "pytest11"
"""The conformance kit's own pytest plugin."""

GROUPS = (PROVIDERS, HOOKS, SIMULATORS, PYTEST)
