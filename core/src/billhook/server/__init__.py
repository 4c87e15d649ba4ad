"""Billhook over HTTP: OpenMeter's API, callbacks, and webhooks of providers. Needs the extra ``billhook[server]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billhook.server.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # Nothing of FastAPI is loaded before somebody asks for it.
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from billhook.server.app import create_app

    return create_app
