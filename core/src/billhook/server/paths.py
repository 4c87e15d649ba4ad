"""Where a request goes inside this application, wherever a host has mounted it."""

from __future__ import annotations

from starlette.types import Scope

API_PREFIXES = ("/api/", "/v3/")


def route_path(scope: Scope) -> str:
    """The path without the prefix under which a host mounted the application."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(prefix) :] if prefix and path.startswith(prefix) else path


def is_api(scope: Scope) -> bool:
    """Whether that is a call of the API, and not a probe, a document, or a webhook."""
    return route_path(scope).startswith(API_PREFIXES)
