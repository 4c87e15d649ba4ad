"""The kit under pytest: a class of five lines, and a test for each check."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import pytest

from billhook.contract import Provider
from billhook.testing.kit.check import Exempt, Failed, Tier
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.examine import CHECKS, check_named, find
from billhook.testing.kit.report import sentence
from billhook.testing.kit.subject import SimulatorMaker, Subject


class ProviderConformance:
    """Derive a test class from it, and name the provider:

        class TestAcme(ProviderConformance):
            provider = "acme"

    Each check up to ``tier`` is a test; one that the provider is exempt from is skipped with the reason. A provider that is not
    installed is given as its class, with what makes its ``simulator``.
    """

    provider: ClassVar[str | type[Provider[Any]]]
    simulator: ClassVar[SimulatorMaker | None] = None
    tier: ClassVar[Tier] = Tier.GOLD
    seed: ClassVar[int] = 0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each check up to the tier."""
        if "check_name" in metafunc.fixturenames:
            names = [check.name for check in CHECKS if check.tier.rank <= self.tier.rank]
            metafunc.parametrize("check_name", names)

    def test_keeps_the_contract(self, check_name: str) -> None:
        """One check."""
        suite = type(self)
        provider: Any = suite.provider
        finding = find(_examination_of(provider, suite.simulator, suite.seed), check_named(check_name))
        if isinstance(finding.verdict, Exempt):
            pytest.skip(finding.verdict.reason)
        if isinstance(finding.verdict, Failed):
            pytest.fail(f"{finding.check.promise} {sentence(finding)}", pytrace=False)


@cache
def _examination_of(provider: Any, simulator: Any, seed: int) -> Examination:
    """One for all tests of a class, because checks share what was played."""
    subject = Subject.named(provider) if isinstance(provider, str) else Subject.of(provider, simulator)
    return Examination(subject, seed)
