"""Where a request goes inside this application, wherever a host has mounted it."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

API_PREFIXES = ("/api/", "/v3/")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def route_path(scope: Scope) -> str:
    """The path without the prefix under which a host mounted the application."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(prefix) :] if prefix and path.startswith(prefix) else path


class KnownRoute(Route):
    """A plain route that is known by `route_taken`, as those of FastAPI are."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it is the one, and what it adds to the scope then."""
        match, added = super().matches(scope)
        return match, {**added, "route": self}


def route_taken(scope: Scope) -> str | None:
    """The whole path as it is declared, with the names of its parameters. None where there is nothing at the path that was called."""
    declared = getattr(scope.get("route"), "path", None)
    if declared is None:
        return None
    called, own = route_path(scope).split("/"), str(declared).split("/")[1:]
    return "/".join([*called[: len(called) - len(own)], *own])  # a router does not know the prefix that it was given


def methods_taken(scope: Scope) -> list[str]:
    """The methods that the path takes, of whichever routes. A route by itself knows only its own."""
    place = {"type": "http", "path": scope["path"], "root_path": scope.get("root_path", "")}
    taken = [method for method in METHODS if _is_taken(scope["app"].routes, {**place, "method": method})]
    return [*taken, "HEAD"] if "GET" in taken else taken


def _is_taken(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def is_api(scope: Scope) -> bool:
    """Whether that is a call of the API, and not a probe, a document, or a webhook."""
    return route_path(scope).startswith(API_PREFIXES)
