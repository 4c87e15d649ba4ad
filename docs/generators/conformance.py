"""The matrix of providers on the front page, and the page of their conformance reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from billhook.contract import Capability
from billhook.contract.operations import OPERATIONS
from generators import kept_reports, sizes
from generators.kept_reports import Kept
from generators.source import DOCS, clean, code, table

INTRO = """\
# Conformance

Made from the reports of `billhook check` on each provider of this repository: how far it is proven, what it can't do and why, which checks
can't be asked of it, and how long it is. [Checks](checks.md) says what is tried.

The reports are kept in `docs/reference/conformance`. `python3 noxfile.py -s matrix -- NAME` examines a provider and keeps its report anew.
"""
BEGIN, END = "<!-- made from the reports: begin -->", "<!-- made from the reports: end -->"
WORDS = {"full": "yes", "partial": "in part", "not_yet": "not yet", "unsupported": "-"}
OTHER_HOOKS = tuple(each for each in Capability if each not in OPERATIONS)


def front() -> str:
    """The front page, with the matrix as the reports have it."""
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{matrix(kept_reports.read_all())}\n\n{END}{after}"


def matrix(reports: Sequence[Kept]) -> str:
    """A row a capability, and a column a provider; those that would show the same share one."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for report in reports:
        columns.setdefault((_tier(report), *_cells(report)), []).append(code(report["provider"]))
    rows = zip(("tier", *(code(each.value) for each in Capability)), *columns, strict=True)
    return table(("", *("<br>".join(names) for names in columns.values())), rows)


def _tier(report: Kept) -> str:
    return f"**{report['tier'] or 'none'}**"


def _cells(report: Kept) -> Iterator[str]:
    for capability in Capability:
        support = report["capabilities"].get(capability.value)
        yield WORDS[support["level"]] if support else WORDS["unsupported"]


def page() -> str:
    """The page of the reports."""
    reports = kept_reports.read_all()
    lines = {report["provider"]: sizes.Sizes(report["lines"]) for report in reports if report["lines"]}
    parts = [INTRO, *(part for report in reports for part in _described(report)), *sizes.section(lines)]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _described(report: Kept) -> Iterator[str]:
    name, versions, counts = report["provider"], report["versions"], report["counts"]
    yield f"## {name}"
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    sdk = f", SDK {versions['sdk']}" if versions["sdk"] else ""
    made = f"contract {versions['contract']}, billhook {versions['billhook']}, {report['distribution']} {versions['provider']}{sdk}"
    yield f"{(report['tier'] or 'no tier').capitalize()}: {told}. Made with {made}, by `billhook check {name} --seed {report['seed']}`."
    limits = [(code(each), WORDS[support["level"]], support["reason"]) for each, support in _limited(report)]
    yield table(("capability", "", "because"), limits) if limits else ""
    yield _listed("Checks that can't be asked of it", report["exempt"])
    yield _listed("Operations that are not struck", report["unstruck"])


def _limited(report: Kept) -> Iterator[tuple[str, Kept]]:
    for name, support in report["capabilities"].items():
        if "reason" in support:
            yield name, support


def _listed(title: str, reasons: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(code(name))
    listed = [f"- {', '.join(names)}: {clean(why)}" for why, names in by_reason.items()]
    return "\n".join([f"{title}:\n", *listed]) if listed else ""
