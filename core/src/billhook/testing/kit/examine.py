"""Examine a provider: run the checks up to a tier and report what they found."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version as version_of

from billhook import __version__
from billhook.clock import Clock, SystemClock
from billhook.contract.version import CURRENT
from billhook.errors import InvalidInput
from billhook.plugins.catalog import sdk_distribution
from billhook.testing.kit import (
    bronze,
    gold_recovery,
    gold_replay,
    gold_world,
    silver_access,
    silver_books,
    silver_documents,
    silver_money,
    silver_refusals,
)
from billhook.testing.kit.check import Check, Exempt, Failed, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.report import Finding, Report, Versions
from billhook.testing.kit.subject import Subject
from billhook.testing.kit.telling import told_with_place

CHECKS: tuple[Check, ...] = (
    *bronze.CHECKS,
    *silver_documents.CHECKS,
    *silver_money.CHECKS,
    *silver_books.CHECKS,
    *silver_refusals.CHECKS,
    *silver_access.CHECKS,
    *gold_recovery.CHECKS,
    *gold_replay.CHECKS,
    *gold_world.CHECKS,
)
"""Every check, the lowest tier first."""

LOADS = bronze.CHECKS[0]
"""What does not load can't be asked anything else."""

STRIKES = gold_recovery.CHECKS[0]
"""Whether every operation can be struck."""


def check_named(name: str) -> Check:
    """The check of that name. Raises InvalidInput that names them all."""
    for check in CHECKS:
        if check.name == name:
            return check
    there_are = ", ".join(check.name for check in CHECKS)
    raise InvalidInput("check_unknown", f"There is no check {name!r}. There are: {there_are}.", "/check")


def examine(
    subject: Subject,
    *,
    tier: Tier = Tier.GOLD,
    seed: int = 0,
    checks: Sequence[Check] | None = None,
    fault: str | None = None,
    step: int | None = None,
    clock: Clock | None = None,
) -> Report:
    """Run the checks up to that tier (or those that are named). ``fault`` and ``step`` strike at one place alone.

    The same subject under the same seed gives the same report. Only one of every check, struck everywhere, tells a tier.
    """
    clock = clock or SystemClock()
    began = clock.monotonic()
    examination = Examination(subject, seed, fault, step)
    wanted = [check for check in CHECKS if check.tier.rank <= tier.rank] if checks is None else checks
    findings = tuple(find(examination, check) for check in wanted)
    seconds = clock.monotonic() - began
    is_whole = checks is None and fault is None and step is None
    return Report(subject.name, _versions(subject), seed, findings, seconds, _unstruck(examination, wanted), is_whole)


def _unstruck(examination: Examination, checks: Sequence[Check]) -> dict[str, str]:
    """Nothing is said of it where nothing could be struck, or it was not asked."""
    if STRIKES not in checks or examination.subject.simulator is None or isinstance(LOADS.run(examination), Failed):
        return {}
    return {str(operation): reason for operation, reason in examination.unstruck.items()}


def find(examination: Examination, check: Check) -> Finding:
    """Run one check. What it can't be asked is exempt, and what it can't prove has failed."""
    verdict = _verdict(examination, check)
    return Finding(check, verdict, _again(examination, check, verdict))


def _verdict(examination: Examination, check: Check) -> Verdict:
    if check is LOADS:
        return check.run(examination)
    subject = examination.subject
    if isinstance(LOADS.run(examination), Failed):
        return Failed(check.promise, "it was not tried, because the provider does not load", unproven=True)
    if check.needs and not subject.can(*check.needs):
        return Exempt("; ".join(dict.fromkeys(subject.declaration.why_not(need) for need in check.needs)))
    if check.remote and not subject.remote_operations:
        return Exempt("all its operations are local: there is no outside that could let it down")
    if check.remote and subject.simulator is None:
        return Failed(check.promise, "it was not tried, because there is no simulator", unproven=True)
    try:
        return check.run(examination)
    except Exception as error:  # noqa: BLE001 - whatever a plugin brings about, the other checks are told
        return Failed(check.promise, f"it came to no end: {told_with_place(error)}")


def _again(examination: Examination, check: Check, verdict: Verdict) -> str | None:
    if not isinstance(verdict, Failed):
        return None
    command = f"billhook check {examination.subject.name} --check {check.name} --seed {examination.seed}"
    place = verdict.place
    return command if place is None else f"{command} --fault {place.scene}/{place.fault} --step {place.step}"


def _versions(subject: Subject) -> Versions:
    sdk = None if isinstance(LOADS.run(Examination(subject)), Failed) else subject.declaration.sdk
    return Versions(str(CURRENT), __version__, subject.version, _installed(sdk.requirement) if sdk else None)


def _installed(requirement: str) -> str:
    name = sdk_distribution(requirement)
    try:
        return f"{name} {version_of(name)}"
    except PackageNotFoundError:
        return f"{name}, not installed"
