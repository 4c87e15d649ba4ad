"""A type checker finds the usual mistakes of a plugin author, because the base class declares every hook with its types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

import billhook

HEAD = """
from __future__ import annotations

from collections.abc import Mapping

from billhook.contract import (
    Batch, DocumentResult, Done, InvoiceItem, Line, InvoiceView, MappedLine, NoSettings, Outcomes, Pending, Provider, Rejected, Reply,
    Request, Steps, hookimpl,
)

ASK = Request("draft", "POST", "https://acme.example/")


class Helping(Provider[NoSettings]):
    def push(self, batch: Batch[InvoiceItem, NoSettings]) -> Steps[DocumentResult]:
        reply = yield ASK
        return self.read(batch, reply)

    def read(self, batch: Batch[InvoiceItem, NoSettings], reply: Reply) -> Outcomes[DocumentResult]:
        return {item.id: Done(DocumentResult(external_id=str(reply.json()))) for item in batch.items}
"""

HOOK = "def sync_draft(self, batch: Batch[InvoiceItem, NoSettings])"

RIGHT = {
    "Yields": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            reply = yield ASK
            if reply.status == 202:
                return {{item.id: Pending("being checked") for item in batch.items}}
            return self.read(batch, reply)
    """,
    "HandsOver": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            return (yield from self.push(batch))
    """,
    "IsLocal": f"""
        @hookimpl
        {HOOK} -> Outcomes[DocumentResult]:
            return {{item.id: Rejected.because("closed", "The books are closed.") for item in batch.items}}
    """,
    "Maps": """
        @hookimpl
        def map_line(self, line: Line, invoice: InvoiceView, settings: NoSettings) -> MappedLine | None:
            return MappedLine(line_id=line.id, description=line.name, rule="always", account="200")
    """,
}

WRONG = {
    "NoYield": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            return self.read(batch, Reply(200))
    """,
    "NoReturn": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            reply = yield ASK
            self.read(batch, reply)
    """,
    "WrongYield": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            reply = yield "https://acme.example/"
            return self.read(batch, reply)
    """,
    "List": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            reply = yield ASK
            return [Done(DocumentResult(external_id=str(reply.status)))]
    """,
    "MissingFrom": f"""
        @hookimpl
        {HOOK} -> Steps[DocumentResult]:
            return (yield self.push(batch))
    """,
    "Async": f"""
        @hookimpl
        async {HOOK} -> Outcomes[DocumentResult]:
            return {{}}
    """,
    "MappingForGenerator": f"""
        @hookimpl
        {HOOK} -> Mapping[str, DocumentResult]:
            return {{item.id: DocumentResult() for item in batch.items}}
    """,
}


@dataclass(frozen=True)
class Findings:
    """What the type checker says of each class."""

    by_class: Mapping[str, list[str]]
    elsewhere: list[str]


def findings_in(folder: Path) -> Findings:
    source = HEAD + "".join(_class(name, body) for name, body in (RIGHT | WRONG).items())
    (folder / "acme_books.py").write_text(source)
    sources = str(Path(billhook.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "acme_books.py"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": sources},
        capture_output=True,
        text=True,
    )
    return _sorted_out(run.stdout.splitlines(), source.splitlines())


def _class(name: str, body: str) -> str:
    lines = [line.removeprefix("        ") for line in body.strip("\n").splitlines()]
    return f"\n\nclass {name}(Helping):\n" + indent("\n".join(lines).rstrip(), "    ") + "\n"


def _sorted_out(said: list[str], source: list[str]) -> Findings:
    by_class: dict[str, list[str]] = {}
    elsewhere: list[str] = []
    for line in said:
        found = re.match(r"acme_books\.py:(\d+): error: (.*)", line)
        if found:
            by_class.setdefault(_class_at(source, int(found[1])), []).append(found[2])
        elif ": error: " in line:
            elsewhere.append(line)
    return Findings(by_class, elsewhere)


def _class_at(source: list[str], number: int) -> str:
    above = (re.match(r"class (\w+)", line) for line in reversed(source[:number]))
    return next((found[1] for found in above if found), "")


def test_mistakes_are_found_and_right_providers_are_accepted(tmp_path: Path, subtests: pytest.Subtests) -> None:
    findings = findings_in(tmp_path)
    for name, body in WRONG.items():
        with subtests.test(mistake=name):
            assert findings.by_class.get(name), f"mypy --strict accepts {name}:{body}"
    for name in ("", "Helping", *RIGHT):
        with subtests.test(accepted=name):
            assert findings.by_class.get(name, []) == []
    with subtests.test("a plugin author sees no errors of ours"):
        assert findings.elsewhere == []
