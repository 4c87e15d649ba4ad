"""Writes the reference from the code, so that it can't say anything else.

    python docs/generate.py           write the pages
    python docs/generate.py --check   write nothing; fail, and name what is stale
    python docs/generate.py --reports [NAME...]   examine our providers, and keep their conformance reports; fail where one is not gold
    python docs/generate.py --sizes   print how long our providers are

The pages stand in docs/reference, and one of them is the front page; `generators` has a module for each.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from generators import (
    checks,
    command_line,
    config,
    conformance,
    contract_types,
    drafts,
    error_tree,
    hooks,
    kept_reports,
    recovery,
    signals,
    sizes,
    states,
    tables,
)

REFERENCE = Path(__file__).resolve().parent / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "hooks.md": hooks.page,
    **hooks.pages(),
    "checks.md": checks.page,
    "conformance.md": conformance.page,
    "../index.md": conformance.front,
    "recovery.md": recovery.page,
    "types.md": contract_types.page,
    "drafts.md": drafts.page,
    "states.md": states.page,
    "errors.md": error_tree.page,
    "config.md": config.page,
    "cli.md": command_line.page,
    "schema.md": tables.page,
    "signals.md": signals.page,
}


def main(arguments: list[str]) -> int:
    """Write or check every page; the exit status."""
    if arguments == ["--sizes"]:
        print(sizes.as_table(sizes.sizes()), end="")
        return 0
    if arguments[:1] == ["--reports"]:
        are_gold = kept_reports.examine_and_keep(arguments[1:])
        return main([]) or int(not are_gold)
    pages = {REFERENCE / name: re.sub(r"\n{3,}", "\n\n", page().rstrip()) + "\n" for name, page in PAGES.items()}
    if arguments == ["--check"]:
        return check(pages)
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def check(pages: Mapping[Path, str]) -> int:
    """Show what differs; 1 when anything does."""
    problems = list(kept_reports.stale())
    stale = int(bool(problems))
    print(*problems, sep="\n", end="\n" if problems else "")
    for path, text in pages.items():
        stored = path.read_text(encoding="utf-8") if path.exists() else ""
        if stored != text:
            stale = 1
            lines = difflib.unified_diff(stored.splitlines(), text.splitlines(), "stored", "code", lineterm="", n=1)
            print(f"{path.name} is stale. Run: python3 noxfile.py -s docs -- --write", *list(lines)[:40], sep="\n")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
