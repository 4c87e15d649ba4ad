"""Servers for these tests: ``served`` on a database file, ``served_anywhere`` on both stores, ``serve`` for providers of a test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

import pytest
from engine_fixtures import *  # noqa: F403 - fixtures, for every test in this folder
from engine_kit import Shop
from server_kit import Served, serving

from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.testing.sandbox import provider as sandbox

Serve = Callable[..., Served]


@pytest.fixture
def serve(a_shop: Callable[..., Shop]) -> Iterator[Serve]:
    """Serves a shop with these providers on a database file; without any, with custom invoicing and the sandbox."""
    with ExitStack() as stack:

        def start(*providers: Any, app: dict[str, Any] | None = None, **options: Any) -> Served:
            shop = a_shop(*(providers or (custom_invoicing, sandbox)), **options)
            return stack.enter_context(serving(shop, **(app or {})))

        yield start


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server on a database file: namespace ``acme`` with a custom invoicing app, a default profile and the customer ``jane``."""
    return serve()


@pytest.fixture
def served_anywhere(a_shop_anywhere: Callable[..., Shop]) -> Iterator[Served]:
    """The same on both stores."""
    with serving(a_shop_anywhere(custom_invoicing, sandbox)) as served:
        yield served
