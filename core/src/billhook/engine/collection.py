"""When pending lines become due for an invoice, and what has to be asked about them. Decisions alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from billhook.domain.invoice import LineDraft
from billhook.domain.period import CalendarDuration, Duration, RecurringPeriod
from billhook.domain.price import FlatPrice
from billhook.domain.usage import UsageQuestion
from billhook.domain.workflow import CollectionAlignment, WorkflowConfig
from billhook.errors import InvalidInput, Problem

AVERAGE_MONTH = timedelta(days=146_097) / 4_800
"""The calendar repeats itself every 400 years."""


def cut_off(workflow: WorkflowConfig, now: datetime) -> datetime:
    """Lines up to this time are collected now: all that are due, or with an anchor those before its last recurrence."""
    anchor = workflow.collection_anchor
    if workflow.collection_alignment is CollectionAlignment.SUBSCRIPTION or anchor is None:
        return now
    return last_recurrence(anchor, now)


def last_recurrence(recurring: RecurringPeriod, now: datetime) -> datetime:
    """The last time at or before now. An interval of nothing recurs always."""
    if not _average(recurring.interval):
        return now
    return _recurrence(recurring, _count(recurring, now))


def collection_due(workflow: WorkflowConfig, invoice_at: datetime) -> datetime:
    """When a line that is due at that time is collected: then, or with an anchor at its next recurrence."""
    anchor = workflow.collection_anchor
    if workflow.collection_alignment is CollectionAlignment.SUBSCRIPTION or anchor is None:
        return invoice_at
    last = last_recurrence(anchor, invoice_at)
    return last if last == invoice_at else _recurrence(anchor, _count(anchor, last) + 1)


def _average(interval: Duration) -> timedelta:
    return interval if isinstance(interval, timedelta) else interval.months * AVERAGE_MONTH + interval.rest


def _count(recurring: RecurringPeriod, now: datetime) -> int:
    """How often it has come by then, the anchor itself not counted."""
    # Months differ by some days, so begin one or two late and step back.
    count = (now - recurring.anchor) // _average(recurring.interval) + 2
    while _recurrence(recurring, count) > now:
        count -= 1
    return count


def _recurrence(recurring: RecurringPeriod, count: int) -> datetime:
    # Counted from the anchor each time, so that an anchor on the 31st comes back to the 31st.
    interval = recurring.interval
    if isinstance(interval, timedelta):
        return recurring.anchor + interval * count
    return recurring.anchor + CalendarDuration(interval.months * count, interval.rest * count)


def is_metered(line: LineDraft) -> bool:
    """Whether the quantity has to be asked for."""
    return line.quantity is None and not isinstance(line.price, FlatPrice)


def usage_questions(customer_id: str, lines: Iterable[LineDraft]) -> list[UsageQuestion]:
    """What has to be asked about the metered lines. Lines have their ids."""
    return [
        UsageQuestion(line.id, customer_id, line.feature_key, line.period)
        for line in lines
        if is_metered(line) and line.id and line.feature_key and line.period
    ]


def check_pending_lines(lines: Sequence[LineDraft]) -> None:
    """Raise InvalidInput that lists every line that could never be invoiced."""
    problems = [problem for index, line in enumerate(lines) for problem in _problems(line, f"/lines/{index}")]
    if not lines:
        problems = [Problem("lines_empty", "There are no lines. State at least one.", "/lines")]
    if problems:
        raise InvalidInput(problems[0].code, problems[0].message, problems[0].path, problems=problems)


def _problems(line: LineDraft, path: str) -> Iterable[Problem]:
    if line.invoice_at is None:
        yield Problem(
            "line_invoice_at_missing",
            f"The line {line.name!r} does not say when it is to be invoiced. State invoice_at.",
            f"{path}/invoice_at",
        )
    if is_metered(line) and line.feature_key is None:
        yield Problem(
            "line_feature_key_missing",
            f"The line {line.name!r} has neither a quantity nor a feature to ask about. State one of them.",
            f"{path}/feature_key",
        )
    if is_metered(line) and line.period is None:
        yield Problem(
            "line_period_missing",
            f"The usage of line {line.name!r} can't be asked for without a period. State the period, or a quantity.",
            f"{path}/period",
        )
