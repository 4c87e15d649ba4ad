"""Every provider of this workspace tells the truth and is correct. That each survives whatever strikes it is the session matrix's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

from generators.members import provider_names

from billhook.testing.kit import Failed, Subject, Tier, examine

# Those with numbers of their own differ from the others in nothing else.
NAMES = [
    pytest.param(name, marks=[pytest.mark.long] if name.endswith("_own_numbers") else []) for name in provider_names()
]


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_is_silver(name):
    report = examine(Subject.named(name), tier=Tier.SILVER)
    assert [finding for finding in report.findings if isinstance(finding.verdict, Failed)] == []
    assert report.tier is Tier.SILVER
