"""How the kit has things refused: what it can't have refused it says, and a system that decides later is followed."""

from __future__ import annotations

import pytest
from broken.refusals import BROKEN, RefusedLater
from broken_providers import PERFECT, subject_of

from billhook.testing.kit import Exempt, Failed, Passed, Subject, check_named, examine
from billhook.testing.sandbox import provider
from billhook.testing.sandbox.server import SandboxSimulator


class Accepting(SandboxSimulator):
    """It can't be told to refuse anything."""

    refuse = decline = None


class Deaf(SandboxSimulator):
    """It is told to refuse things, and refuses none."""

    def refuse(self, name):
        pass


def verdicts(subject):
    report = examine(subject, checks=[check_named(name) for name in BROKEN])
    return {finding.check.name: finding.verdict for finding in report.findings}


def sandbox(simulator):
    return Subject.of(provider, lambda *, clock, hurried, currency: simulator(clock=clock))


@pytest.mark.parametrize("examined", [PERFECT, RefusedLater])
def test_who_reads_refusals_passes_whenever_they_come(examined):
    assert all(isinstance(verdict, Passed) for verdict in verdicts(subject_of(examined)).values())


def test_a_simulator_that_can_t_be_told_exempts_and_says_what_it_takes():
    told = verdicts(sandbox(Accepting))
    assert all(isinstance(verdict, Exempt) for verdict in told.values())
    assert "`refuse(name)`" in told["a_refusal_is_told"].reason
    assert "`decline(name)`" in told["a_failed_charge_is_told"].reason


def test_a_simulator_that_refuses_nothing_is_suspected():
    verdict = verdicts(sandbox(Deaf))["a_refusal_is_told"]
    assert isinstance(verdict, Failed)
    assert verdict.happened.endswith("too much: is it that its simulator does not refuse it?")
