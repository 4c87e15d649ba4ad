"""Writes the reference from the code, so that it can't say anything else.

    python docs/generate.py           write the pages
    python docs/generate.py --check   write nothing; fail, and name what is stale

The pages stand in docs/reference; `generators` has a module for each.
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
    contract_types,
    error_tree,
    hooks,
    recovery,
    signals,
    states,
    tables,
)

REFERENCE = Path(__file__).resolve().parent / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "hooks.md": hooks.page,
    **hooks.pages(),
    "checks.md": checks.page,
    "recovery.md": recovery.page,
    "types.md": contract_types.page,
    "states.md": states.page,
    "errors.md": error_tree.page,
    "config.md": config.page,
    "cli.md": command_line.page,
    "schema.md": tables.page,
    "signals.md": signals.page,
}


def main(arguments: list[str]) -> int:
    """Write or check every page; the exit status."""
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
    stale = 0
    for path, text in pages.items():
        stored = path.read_text(encoding="utf-8") if path.exists() else ""
        if stored != text:
            stale = 1
            lines = difflib.unified_diff(stored.splitlines(), text.splitlines(), "stored", "code", lineterm="", n=1)
            print(f"{path.name} is stale. Run: python3 noxfile.py -s docs -- --write", *list(lines)[:40], sep="\n")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
