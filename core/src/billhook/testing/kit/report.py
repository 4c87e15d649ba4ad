"""What an examination found: as text for a person, as JSON for a program, as one page that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

from billhook.testing.kit.check import Check, Exempt, Failed, Passed, Tier, Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType


LOADING = "loads"
"""The check without which no other one is tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and how it ended. ``again`` is the command that tries it alone, where it failed."""

    check: Check
    verdict: Verdict
    again: str | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """What was examined with what, so that it can be repeated."""

    contract: str
    billhook: str
    provider: str
    sdk: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The findings on one provider. ``unstruck``: its operations that no check strikes, each with the reason. ``is_whole``: every check
    up to a tier was run, everywhere; some of them alone prove no tier."""

    name: str
    versions: Versions
    seed: int
    findings: tuple[Finding, ...]
    seconds: float = 0.0
    unstruck: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def tier(self) -> Tier | None:
        """The highest tier of which, and before which, every check passed or is exempt. None: not even bronze, or only some were run."""
        if not self.is_whole:
            return None
        reached = None
        for tier in Tier:
            of_tier = [finding for finding in self.findings if finding.check.tier is tier]
            if not of_tier or any(isinstance(finding.verdict, Failed) for finding in of_tier):
                return reached
            reached = tier
        return reached

    def reaches(self, tier: Tier) -> bool:
        """Whether it is proven that far."""
        return self.tier is not None and self.tier.rank >= tier.rank

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The checks that failed."""
        return tuple(finding for finding in self.findings if isinstance(finding.verdict, Failed))

    @property
    def counts(self) -> dict[str, int]:
        """How many passed, are exempt and failed."""
        kinds = Counter(finding.verdict.kind for finding in self.findings)
        return {kind: kinds[kind] for kind in ("passed", "exempt", "failed")}

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values. The time that it took is left out, so that the same examination gives the same report."""
        return {
            "provider": self.name,
            "tier": self.tier,
            "versions": {
                "contract": self.versions.contract,
                "billhook": self.versions.billhook,
                "provider": self.versions.provider,
                "sdk": self.versions.sdk,
            },
            "seed": self.seed,
            "counts": self.counts,
            "unstruck": dict(self.unstruck),
            "checks": [_finding_as_json(finding) for finding in self.findings],
        }

    def limited_to(self, tier: Tier) -> Report:
        """The findings up to that tier."""
        return replace(self, findings=tuple(each for each in self.findings if each.check.tier.rank <= tier.rank))


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    check, verdict = finding.check, finding.verdict
    said: dict[str, Any] = {
        "name": check.name,
        "tier": check.tier,
        "rule": check.rule.name.lower(),
        "verdict": verdict.kind,
    }
    match verdict:
        case Passed(count, what):
            return {**said, "count": count, "of": what}
        case Exempt(reason):
            return {**said, "reason": reason}
        case Failed(expected, happened):
            told = {**said, "expected": expected, "happened": happened, "unproven": verdict.unproven}
            return {**told, "again": finding.again} if finding.again else told


def counted(count: int, what: str) -> str:
    """So many of it: ``1 strike``, ``2 strikes``, ``3 currencies``."""
    if count == 1:
        return f"1 {what}"
    if what.endswith("y") and what[-2] not in "aeiou":
        return f"{count} {what[:-1]}ies"
    return f"{count} {what}es" if what.endswith(("s", "ch")) else f"{count} {what}s"


def sentence(finding: Finding) -> str:
    """How a check ended, in one sentence."""
    match finding.verdict:
        case Passed(count, what):
            return counted(count, what)
        case Exempt(reason):
            return reason
        case Failed(expected, happened):
            again = f" See it again: {finding.again}" if finding.again else ""
            return f"Expected: {expected.rstrip('.')}. But {happened.rstrip('.')}.{again}"


def headline(report: Report) -> str:
    """The tier and the counts, in one line."""
    counts = ", ".join(f"{count} {kind}" for kind, count in report.counts.items() if count)
    versions = report.versions
    return f"{report.name} {versions.provider}{_reached(report)}: {counts} (contract {versions.contract}, seed {report.seed}, {report.seconds:.0f} s)"


def _reached(report: Report) -> str:
    if not report.is_whole:
        return ""
    return f" is {report.tier}" if report.tier else " reaches no tier"


def as_text(report: Report) -> RenderableType:
    """For a terminal: a line a check, failures told whole."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    marks = {"passed": Text("ok", "green"), "exempt": Text("exempt", "yellow"), "failed": Text("FAILED", "bold red")}
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("tier", "check", "", "what"):
        drawn.add_column(column, overflow="fold")
    for finding in told_of(report):
        verdict = finding.verdict
        drawn.add_row(finding.check.tier.value, finding.check.name, marks[verdict.kind], Text(sentence(finding)))
    untried = len(report.findings) - len(told_of(report))
    unstruck = [Text(f"{operation} is not struck: {reason}.") for operation, reason in report.unstruck.items()]
    if untried:
        unstruck.append(Text(f"{counted(untried, 'other check')} can't be tried before it loads."))
    return Group(drawn, *unstruck, Text(headline(report), "bold"))


def told_of(report: Report) -> Sequence[Finding]:
    """What a person reads: the one check that tells why a provider does not load, in place of all that were not tried for that."""
    loads = [finding for finding in report.failures if finding.check.name == LOADING]
    return loads or report.findings


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#1a1f36;max-width:70rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .8rem;border-bottom:1px solid #e3e8ee;vertical-align:top}"
    ".passed{color:#0a7d33}.exempt{color:#8a6d00}.failed{color:#b3093c;font-weight:600}small{color:#697386}"
)


def as_page(report: Report) -> str:
    """One HTML page that needs nothing else."""
    versions = report.versions
    sdk = f", SDK {versions.sdk}" if versions.sdk else ""
    made = f"Contract {versions.contract}, billhook {versions.billhook}, provider {versions.provider}{sdk}, seed {report.seed}."
    rows = "".join(_rows(report.findings))
    unstruck = [f"<p>{escape(f'{name} is not struck: {reason}.')}</p>" for name, reason in report.unstruck.items()]
    title = escape(f"{report.name}{_reached(report)}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{escape(headline(report))}</p><p><small>{escape(made)}</small></p>"
        f"<table><thead><tr><th>tier<th>check<th>verdict<th>what was found</tr></thead><tbody>{rows}</tbody></table>"
        f"{''.join(unstruck)}</html>"
    )


def _rows(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        check, kind = finding.check, finding.verdict.kind
        promise = f"{escape(check.promise)}<br><small>{escape(check.rule.value)}</small>"
        yield (
            f"<tr><td>{check.tier}<td>{escape(check.name)}<br><small>{promise}</small>"
            f"<td class={kind}>{kind}<td>{escape(sentence(finding))}</tr>"
        )
