"""The conformance reports of our own providers, kept so that the pages can be made anew without examining anybody.

Each says with what it was made, so that `billhook check NAME --seed SEED` makes it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from billhook.contract.version import CURRENT
from billhook.plugins import ProviderCatalog
from billhook.plugins.catalog import ProviderListing
from billhook.testing.kit import CHECKS, Report, Subject, Tier, examine
from generators import sizes
from generators.members import provider_names
from generators.source import DOCS

Kept: TypeAlias = dict[str, Any]

FOLDER = DOCS / "reference/conformance"
COMMAND = "python3 noxfile.py -s matrix --"


def read_all() -> tuple[Kept, ...]:
    """What is kept, by provider."""
    return tuple(json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json")))


def examine_and_keep(names: Sequence[str]) -> bool:
    """Examine these providers, every one of ours where none is named, and keep the reports. Whether all of them are gold."""
    ours = provider_names()
    tiers = []
    FOLDER.mkdir(exist_ok=True)
    for name in names or ours:
        subject = Subject.named(name)
        report = examine(subject)
        print(f"{name} is {report.tier or 'of no tier'}")
        tiers.append(report.tier)
        kept = to_keep(report, subject)
        _path(name).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        if path.stem not in ours:
            path.unlink()
    return all(tier is Tier.GOLD for tier in tiers)


def to_keep(report: Report, subject: Subject) -> Kept:
    """What a page or a later reader needs of a report."""
    whole = report.as_json()
    exempt = {check["name"]: check["reason"] for check in whole["checks"] if check["verdict"] == "exempt"}
    failed = [check["name"] for check in whole["checks"] if check["verdict"] == "failed"]
    return {
        **{name: whole[name] for name in ("provider", "tier", "versions", "seed", "counts")},
        "distribution": subject.distribution,
        "capabilities": _capabilities(subject),
        "exempt": exempt,
        "failed": failed,
        "unstruck": whole["unstruck"],
        "lines": _lines(report.name),
    }


def _lines(name: str) -> dict[str, int]:
    """Of its own code; a variant of a provider has none."""
    size = sizes.sizes().get(name, sizes.Sizes())
    return {part: size[part] for part in sizes.PARTS if size[part]}


def _capabilities(subject: Subject) -> dict[str, Any]:
    declared = subject.declaration.capabilities
    return {str(name): support.model_dump(mode="json") for name, support in sorted(declared.items())}


def stale() -> Iterator[str]:
    """Why a kept report does not say what an examination would say now, as far as that shows without one."""
    kept = {report["provider"]: report for report in read_all()}
    listed: dict[str, ProviderListing] = {each.name: each for each in ProviderCatalog().listing()}
    for name in provider_names():
        problem = _problem(name, kept.get(name), listed)
        if problem is not None:
            yield f"{problem} Run: {COMMAND} {name}"


def _problem(name: str, kept: Kept | None, listed: dict[str, ProviderListing]) -> str | None:
    if kept is None:
        return f"There is no conformance report of {name}."
    contract, version = kept["versions"]["contract"], kept["versions"]["provider"]
    if contract != str(CURRENT):
        return f"The report of {name} is about contract {contract}, and this is {CURRENT}."
    if version != listed[name].version:
        return f"The report is about {name} {version}, and this is {listed[name].version}."
    if kept["capabilities"] != _capabilities(Subject.named(name)):
        return f"The report of {name} shows other capabilities than it declares."
    if sum(kept["counts"].values()) != len(CHECKS):
        return f"The report of {name} has {sum(kept['counts'].values())} checks, and there are {len(CHECKS)}."
    return None


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
