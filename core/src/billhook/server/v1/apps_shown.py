"""Apps inside of other answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from billhook.engine.engine import Namespace

ShownApps = Mapping[str, Mapping[str, Any]]
"""Apps as the API shows them, by id."""


def shown_apps(billing: Namespace, app_ids: Iterable[str]) -> ShownApps:
    return {}
