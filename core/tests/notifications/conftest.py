"""The shop of these tests lives in ``core/tests/kit``; here it tells a receiver what happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

from engine_fixtures import *  # noqa: F403 - fixtures, for every test in this folder
from engine_kit import Shop
from receiving import Receiver, receiving
from telling import Telling, a_telling_shop


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def telling(shop_on: Callable[..., Shop], file_url: str, receiver: Receiver) -> Callable[..., Telling]:
    """A shop on a file that tells the receiver; by default of invoices that pause for a caller twice."""
    return lambda *providers, **options: a_telling_shop(shop_on, file_url, receiver, *providers, **options)


@pytest.fixture
def telling_anywhere(shop_on: Callable[..., Shop], store_url: str, receiver: Receiver) -> Callable[..., Telling]:
    """The same, on both stores."""
    return lambda *providers, **options: a_telling_shop(shop_on, store_url, receiver, *providers, **options)
