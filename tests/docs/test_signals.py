"""The page of logs lists whatever this project logs, and what could not be listed is refused."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

from generators.log_calls import Logged, logged_in
from generators.source import DOCS, ROOT, cell

METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})
BEGINNING = "import logging\n\nlog = logging.getLogger(__name__)\n"


def texts_given_to_loggers() -> Iterator[tuple[Path, str]]:
    """Found in another way than the page is made: every text handed to a method of such a name, where logging is imported."""
    for path in [
        *ROOT.glob("core/src/**/*.py"),
        *ROOT.glob("contrib/*/src/**/*.py"),
        *ROOT.glob("plugins/*/src/**/*.py"),
    ]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any("logging" in ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)):
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in METHODS:
                    yield from ((path, each.value) for each in call.args if is_text(each))


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_message_is_in_the_page():
    page = (DOCS / "reference/signals.md").read_text(encoding="utf-8")
    found = list(texts_given_to_loggers())
    assert len(found) > 20
    assert [(path, text) for path, text in found if f"| {cell(text)} |" not in page] == []


def logged(tmp_path: Path, source: str) -> list[Logged]:
    (tmp_path / "src/shop").mkdir(parents=True)
    (tmp_path / "src/shop/till.py").write_text(BEGINNING + source, encoding="utf-8")
    return list(logged_in(tmp_path))


@pytest.mark.parametrize(
    "source, expected",
    [
        ("log.warning('Empty.')", Logged("shop.till", "WARNING", "Empty.", ())),
        ("log.log(logging.INFO, 'Open.')", Logged("shop.till", "INFO", "Open.", ())),
        ("log.exception('Jammed.')", Logged("shop.till", "ERROR", "Jammed.", ("exc_info",))),
        ("logging.error('Lost.')", Logged("root", "ERROR", "Lost.", ())),
        ("audit = logging.getLogger('audit')\naudit.info('Counted.')", Logged("audit", "INFO", "Counted.", ())),
        (
            "def close(self):\n    more = {'till': 1}\n    self.telemetry.log(logging.INFO, 'Closed.', more)",
            Logged("billhook", "INFO", "Closed.", ("billhook_till",)),
        ),
        (
            "def extra():\n    return {'till': 1}\nasync def close():\n    log.info('Closed.', extra=extra())",
            Logged("shop.till", "INFO", "Closed.", ("till",)),
        ),
        (
            "def tell(text, id):\n    log.info(text)\ndef close():\n    tell('Closed.', 1)",
            Logged("shop.till", "INFO", "Closed.", ()),
        ),
    ],
)
def test_a_call_is_found_wherever_it_stands(tmp_path, source, expected):
    assert logged(tmp_path, source) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "log.info(f'Closed {log}.')",
        "def tell(text):\n    log.info(text)",
        "from shop.door import logger\nlogger.info('Closed.')",
        "logging.getLogger('till').info('Closed.')",
        "def close(self, fields):\n    self.telemetry.log(logging.INFO, 'Closed.', fields)",
    ],
)
def test_what_can_not_be_listed_is_refused_with_its_place(tmp_path, source):
    with pytest.raises(LookupError, match=r"till\.py:\d"):
        logged(tmp_path, source)
