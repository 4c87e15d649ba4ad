"""One server for all these tests, on a namespace of its own for each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "core" / "tests" / "kit"))
sys.path.insert(0, str(Path(__file__).parent / "kit"))

import pytest
from receiving import Receiver, receiving
from server_process import ServerProcess, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def token(server: ServerProcess) -> str:
    """Of an administrator of a namespace in which there is nothing yet."""
    return server.new_namespace()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one
