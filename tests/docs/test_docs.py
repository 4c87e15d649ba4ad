"""Every block of code in the documentation runs, and shows what it prints. Nothing in the reference is stale."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from starting import Command

ROOT = Path(__file__).resolve().parents[2]
RUN_PAGE = Path(__file__).with_name("run_page.py")
PAGES = [ROOT / "README.md", ROOT / "core/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [
    page
    for page in PAGES
    if re.search(r"^```(python|console)(?!.* excerpt)", page.read_text(encoding="utf-8"), re.MULTILINE)
]
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SHOWN_BUT_NOT_RUN = 3


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_every_block_of_a_page_runs_and_prints_what_is_shown(page, reader, tmp_path, tmp_path_factory):
    site = str(tmp_path_factory.mktemp("site"))  # what a page installs, no other page sees
    paths = f"{site}{os.pathsep}{reader.environment['PYTHONPATH']}"
    environment = {**reader.environment, "BILLHOOK_SITE": site, "PYTHONPATH": paths}
    run = Command(
        reader.ready_at, [str(page)], environment, folder=tmp_path, script=RUN_PAGE, refused=[DeprecationWarning]
    )
    _, err = run.communicate(timeout=240)
    assert run.returncode == 0, err[-6000:]


def test_few_blocks_are_shown_without_being_run():
    marked = [name_of(page) for page in PAGES for _ in re.findall(r"^```.* no-run", page.read_text(), re.MULTILINE)]
    assert len(marked) <= SHOWN_BUT_NOT_RUN, f"a block that is not run goes stale unseen: {marked}"


def test_only_what_is_generated_shows_excerpts():
    excerpting = [page for page in PAGES if re.search(r"^```.* excerpt", page.read_text(), re.MULTILINE)]
    assert all(ROOT / "docs/reference" in page.parents for page in excerpting)


def anchors(page: Path) -> set[str]:
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(page.read_text(encoding="utf-8")))
    return {title.strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    broken = []
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        place = page if not target else (page.parent / target).resolve()
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(f"{target}#{anchor}")
    assert not broken


def test_every_page_can_be_reached_from_the_index():
    seen, waiting = set(), [ROOT / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        waiting += [(page.parent / target).resolve() for target, _ in LINK.findall(page.read_text()) if target]
    lost = [name_of(page) for page in PAGES if page not in seen and ROOT / "docs" in page.parents]
    assert not lost, f"no page leads to {lost}"


def test_the_reference_is_what_the_code_says(reader):
    done = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"],
        env=reader.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
