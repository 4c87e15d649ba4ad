"""Apps inside of other answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from billhook.engine.namespace import Namespace
from billhook.server.v1.app_wire import app_v1

ShownApps = Mapping[str, Mapping[str, Any]]
"""Apps as the API shows them, by id."""


def shown_apps(billing: Namespace, app_ids: Iterable[str]) -> ShownApps:
    """These apps in full."""
    return {id: app_v1(app, billing.engine.catalog) for id, app in billing.apps.by_id(app_ids).items()}
