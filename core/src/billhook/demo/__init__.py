"""The demo: one real trading day, carried to the sandbox provider over HTTP and compared with the provider's own books."""

from __future__ import annotations
