"""Trying a promise on several things, and telling the first that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from billhook.contract import Capability, CreditNoteItem, InvoiceItem
from billhook.domain.issue import Severity
from billhook.testing.desk import NotDone
from billhook.testing.kit.bench import Bench, Stuck
from billhook.testing.kit.check import Exempt, Failed, Passed, Verdict
from billhook.testing.kit.telling import told_with_place


class Refused(Exception):
    """The provider refuses this one, and says so before anything is sent: that is honest."""


def tried(expected: str, what: str, attempts: Iterable[Callable[[], str | None]]) -> Verdict:
    """Passed when no attempt (at one ``what`` each) finds a problem; exempt when each of them is honestly refused. Whatever is raised is a problem."""
    count, refusal = 0, "there is nothing to try it on"
    for attempt in attempts:
        try:
            problem = attempt()
        except Refused as refused:
            refusal = str(refused)
            continue
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises is what is reported
            problem = str(error) if isinstance(error, Stuck | NotDone) else told_with_place(error)
        if problem is not None:
            return Failed(expected, problem)
        count += 1
    return Passed(count, what) if count else Exempt(refusal)


def refuse_beforehand(bench: Bench, item: InvoiceItem | CreditNoteItem) -> None:
    """Raises Refused where the provider would not let that document through: a line without a place, or what its validation says."""
    document = item.invoice if isinstance(item, InvoiceItem) else item.credit_note
    if len(item.lines) < len(document.lines):
        raise Refused("some line is not mapped")
    if not bench.can(Capability.VALIDATE_INVOICE):
        return
    issues = bench.handle.validate_invoice(document, item.lines, bench.settings)
    refused = [issue.message for issue in issues if issue.severity is Severity.CRITICAL]
    if refused:
        raise Refused(refused[0])
