"""Every operation of the contract is struck, or says why it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from broken_providers import subject_of

from billhook.contract import Capability, Full, Unsupported, ValidationIssue, hookimpl
from billhook.contract.operations import OPERATIONS
from billhook.testing.kit import Failed, Passed, Subject, check_named, examine
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.report import as_page, counted
from billhook.testing.kit.scenes import SCENES, UNSTAGED
from billhook.testing.sandbox import simulator
from billhook.testing.sandbox.provider import SandboxProvider

STRIKES = check_named("every_operation_can_be_struck")


def test_every_operation_has_a_scene_or_a_reason() -> None:
    staged = {scene.capability for scene in SCENES}
    assert OPERATIONS.keys() - staged == UNSTAGED.keys(), "Write a scene, or the reason why there is none."


def test_the_perfect_provider_has_a_scene_of_each_of_its_operations() -> None:
    assert Examination(subject_of(SandboxProvider)).unstruck == {}


class Sealed(SandboxProvider):
    """It connects by a person's consent, and issues nothing, so that there is nothing to fetch."""

    declaration = SandboxProvider.declaration.model_copy(
        update={
            "type": "sealed",
            "capabilities": {
                **dict.fromkeys((Capability.EXCHANGE_CODE, Capability.FETCH), Full()),
                Capability.ISSUE: Unsupported(reason="others issue"),
            },
            "operations": {},
        }
    )


def test_a_report_names_what_is_not_struck_and_why() -> None:
    examination = Examination(Subject.of(Sealed, simulator))
    examination.subject.__dict__["provider"] = Sealed
    assert set(examination.unstruck) == {Capability.EXCHANGE_CODE, Capability.FETCH}
    assert "issue" in examination.unstruck[Capability.FETCH]
    assert examination.unstruck[Capability.EXCHANGE_CODE] == UNSTAGED[Capability.EXCHANGE_CODE]


@pytest.fixture(scope="module")
def unauthorizing() -> Callable[..., Any]:
    """A simulator that says nothing of how payments come to stand authorized."""

    class Unauthorizing:
        def __init__(self, **options: Any) -> None:
            self._books = simulator(**options)

        def __getattr__(self, name: str) -> Any:
            if name == "authorizing_connection":
                raise AttributeError(name)
            return getattr(self._books, name)

    return Unauthorizing


def test_what_a_simulator_leaves_out_is_unproven(unauthorizing: Callable[..., Any]) -> None:
    report = examine(
        Subject.of(SandboxProvider, unauthorizing), checks=[STRIKES, check_named("captures_what_is_asked")]
    )
    struck, captured = (finding.verdict for finding in report.findings)
    assert isinstance(struck, Failed)
    assert struck.unproven
    assert captured.kind == "exempt"
    assert list(report.unstruck) == ["capture_payment"]
    assert "authorizing_connection" in json.dumps(report.as_json()["unstruck"])
    assert "capture_payment is not struck" in as_page(report)


def test_where_nothing_can_be_authorized_an_open_payment_is_canceled(unauthorizing: Callable[..., Any]) -> None:
    check = check_named("a_lost_answer_is_recovered")
    subject = Subject.of(SandboxProvider, unauthorizing)
    (finding,) = examine(subject, checks=[check], fault="cancel_payment/lost_response").findings
    assert isinstance(finding.verdict, Passed)


@pytest.mark.parametrize(
    "count, what, told",
    [(1, "strike", "1 strike"), (2, "strike", "2 strikes"), (3, "currency", "3 currencies"), (2, "batch", "2 batches")],
)
def test_counts_are_told_in_words_that_fit(count: int, what: str, told: str) -> None:
    assert counted(count, what) == told


class OfItsOwn(SandboxProvider):
    """It collects for invoices of its own, and takes for granted that it has their id. It only authorizes for others."""

    @hookimpl
    def collect_payment(self, batch: Any) -> Any:
        if batch.settings.capture == "automatic":
            assert all(item.invoice_external_id.startswith("inv_") for item in batch.items)
        return (yield from SandboxProvider.collect_payment(self, batch))


class SayingSo(OfItsOwn):
    """It says beforehand that it takes no other."""

    @hookimpl
    def validate_invoice(self, invoice: Any, lines: Any, settings: Any) -> Any:
        return () if lines else (ValidationIssue.told("not_ours", "It collects for its own."),)


def test_who_collects_only_for_its_own_is_told_where_to_say_so() -> None:
    (finding,) = examine(Subject.of(OfItsOwn, simulator), checks=[STRIKES]).findings
    assert isinstance(finding.verdict, Failed)
    assert "`invoice_external_id` is None" in finding.verdict.happened
    assert "`validate_invoice`" in finding.verdict.happened


def test_who_refuses_other_invoices_beforehand_need_not_stand_them_later() -> None:
    (finding,) = examine(Subject.of(SayingSo, simulator), checks=[STRIKES]).findings
    assert isinstance(finding.verdict, Passed), finding.verdict
