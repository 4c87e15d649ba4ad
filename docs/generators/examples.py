"""Examples of hooks, cut out of what a test runs: the blocks of the pages, or else the source of a provider."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

from billhook.contract import Provider
from generators.source import DOCS

AUTHORS = DOCS / "plugin-authors"
GUIDE = DOCS / "how-to/write-a-provider.md"

NOT_EXAMPLES = frozenset({"no-run", "wrong"})
_BLOCK = re.compile(r"^```python(?P<words>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One implementation of a hook, with the file that it stands in and how that is called."""

    code: str
    path: Path
    title: str
    is_preferred: bool = False


def example_of(hook: str, implementations: Mapping[type[Provider[Any]], FunctionType]) -> Example:
    """One of a page, those for plugin authors before others; else the first that a provider of ours has.

    A block that says ``shows=HOOK`` is preferred for that hook.
    """
    shown = [examples[hook] for examples in map(_examples_in, _pages()) if hook in examples]
    if shown:
        return max(shown, key=lambda example: example.is_preferred)
    for provider, function in implementations.items():
        return Example(
            _dedented(inspect.getsource(function)), source_of(function), f"the provider {provider.declaration.type}"
        )
    raise LookupError(f"No page shows {hook}, and no provider of ours has it. Show it in a page.")


def source_of(function: FunctionType) -> Path:
    """The file in which it is written."""
    return Path(inspect.getsourcefile(inspect.unwrap(function)) or "").resolve()


def _pages() -> list[Path]:
    written = [page for page in sorted(DOCS.rglob("*.md")) if DOCS / "reference" not in page.parents]
    return sorted(written, key=lambda page: (page.parent != AUTHORS, page != GUIDE))


@cache
def _examples_in(page: Path) -> dict[str, Example]:
    text = page.read_text(encoding="utf-8")
    title = _TITLE.search(text)
    found: dict[str, Example] = {}
    for block in _BLOCK.finditer(text):
        words = set(block["words"].split())
        for function in () if NOT_EXAMPLES & words else _hooks_in(block["body"]):
            code, is_preferred = _lines_of(block["body"], function), f"shows={function.name}" in words
            found.setdefault(function.name, Example(code, page, title[1] if title else page.stem, is_preferred))
    return found


def _hooks_in(code: str) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(mark) == "hookimpl" for mark in node.decorator_list):
            yield node


def _lines_of(code: str, function: ast.FunctionDef) -> str:
    first = min(mark.lineno for mark in function.decorator_list)
    return _dedented("\n".join(code.splitlines()[first - 1 : function.end_lineno]))


def _dedented(code: str) -> str:
    return textwrap.dedent(code).strip()
