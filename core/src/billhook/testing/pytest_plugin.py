"""What pytest loads in every run of every host that has billhook: so it imports nothing of it until a test asks."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("billhook.testing.kit.conformance")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known by which conformance tests are chosen or left out."""
    config.addinivalue_line("markers", "conformance: a check of billhook's conformance kit")
