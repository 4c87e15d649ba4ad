"""Every provider of this workspace tells the truth and is correct. That each survives whatever strikes it is the session gold's."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from billhook.testing.kit import Failed, Subject, Tier, examine

ROOT = Path(__file__).resolve().parents[2]
GROUP = "billhook.providers"
PROJECTS = [tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in ROOT.glob("*/*/pyproject.toml")]
CORE = tomllib.loads((ROOT / "core/pyproject.toml").read_text(encoding="utf-8"))["project"]
PROVIDERS = sorted(name for project in (CORE, *PROJECTS) for name in project.get("entry-points", {}).get(GROUP, {}))


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_silver(name):
    report = examine(Subject.named(name), tier=Tier.SILVER)
    assert [finding for finding in report.findings if isinstance(finding.verdict, Failed)] == []
    assert report.tier is Tier.SILVER
