"""The conformance kit: whether a provider keeps the contract, with proof.

    report = examine(Subject.named("acme"))
    assert report.reaches(Tier.GOLD), report.failures

``billhook check acme`` does the same from the command line, and `ProviderConformance` makes a test of each check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billhook.testing.kit.check import Check, Exempt, Failed, Passed, Place, Tier, Verdict
from billhook.testing.kit.examine import CHECKS, check_named, examine
from billhook.testing.kit.report import Finding, Report, Versions
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.subject import SimulatorProtocol, Subject

if TYPE_CHECKING:
    from billhook.testing.kit.conformance import ProviderConformance

__all__ = [
    "CHECKS",
    "Check",
    "Exempt",
    "Failed",
    "Finding",
    "Passed",
    "Place",
    "ProviderConformance",
    "Report",
    "Rule",
    "SimulatorProtocol",
    "Subject",
    "Tier",
    "Verdict",
    "Versions",
    "check_named",
    "examine",
]


def __getattr__(name: str) -> Any:
    # Whoever only runs `billhook check` needs no pytest.
    if name == "ProviderConformance":
        from billhook.testing.kit.conformance import ProviderConformance

        return ProviderConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
