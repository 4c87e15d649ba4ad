"""The matrix on the front page is made of reports that say what an examination would say today."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from billhook.testing.kit import Tier, examine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

from generators import conformance, kept_reports, sizes

Kept = dict[str, Any]
Change = Callable[[Kept], None]


def test_every_provider_of_ours_has_a_report_of_today() -> None:
    assert list(kept_reports.stale()) == []


def test_what_is_kept_is_small_and_can_be_made_again() -> None:
    for report in kept_reports.read_all():
        assert {"contract", "billhook", "provider", "sdk"} == set(report["versions"])
        assert {"provider", "tier", "seed", "counts", "exempt", "unstruck", "distribution"} < set(report)
        assert len(json.dumps(report)) < 8_000


def other_contract(report: Kept) -> None:
    report["versions"]["contract"] = "0.9"


def other_capabilities(report: Kept) -> None:
    report["capabilities"].popitem()


def other_checks(report: Kept) -> None:
    report["counts"]["passed"] -= 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in kept_reports.FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(kept_reports, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "change, told",
    [
        (other_contract, "is about contract 0.9"),
        (other_capabilities, "shows other capabilities"),
        (other_checks, "checks, and there are"),
    ],
)
def test_a_report_of_yesterday_is_told_with_the_command_that_makes_it_anew(
    folder: Path, change: Change, told: str
) -> None:
    path = folder / "sandbox.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    change(report)
    path.write_text(json.dumps(report), encoding="utf-8")
    (problem,) = kept_reports.stale()
    assert told in problem
    assert problem.endswith("Run: python3 noxfile.py -s matrix -- sandbox")


def test_a_provider_without_a_report_is_missed(folder: Path) -> None:
    (folder / "manual.json").unlink()
    assert list(kept_reports.stale()) == [
        "There is no conformance report of manual. Run: python3 noxfile.py -s matrix -- manual"
    ]


def test_keeping_says_when_a_provider_falls_short_of_gold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_reports.examine_and_keep(["manual"])
    monkeypatch.setattr(kept_reports, "examine", partial(examine, tier=Tier.SILVER))
    assert not kept_reports.examine_and_keep(["manual"])


def test_providers_that_show_the_same_share_a_column() -> None:
    (sandbox,) = (report for report in kept_reports.read_all() if report["provider"] == "sandbox")
    header = conformance.matrix([sandbox, {**sandbox, "provider": "twin"}]).splitlines()[0]
    assert header == "|  | `sandbox`<br>`twin` |"


def test_lines_of_code_are_no_docstrings_comments_or_blank_lines() -> None:
    assert (
        sizes.lines_of_code('"""Text."""\n\n# why\nx = """\na\n"""\n\n\ndef f():\n    """Says."""\n    return x\n') == 5
    )


def test_every_module_of_a_provider_belongs_to_a_part() -> None:
    assert all(size.total() for size in sizes.sizes().values())
