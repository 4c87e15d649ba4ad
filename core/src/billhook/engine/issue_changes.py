"""What is found wrong with documents in a transaction, and what no longer is: kept in memory, and written at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from billhook.domain.issue import Severity, ValidationIssue
from billhook.engine import tables
from billhook.store import schema
from billhook.store.transaction import Transaction

_issue = schema.validation_issue
_TOLD = ("document_id", "component", "severity", "code", "message", "path")


class IssueChanges:
    """The issues that one transaction opens and closes. ``flush`` writes what was reported."""

    def __init__(self, tx: Transaction, new_id: Callable[[], str], now_micros: int) -> None:
        self._tx = tx
        self._new_id = new_id
        self._now_micros = now_micros
        self._reported: list[tuple[Any, ...]] = []
        self._superseded: list[tuple[Any, ...]] = []

    def report(self, document_id: str, component: str, issues: Sequence[ValidationIssue]) -> int:
        """Replace the open issues of one component. Returns how many of the new ones are critical."""
        self._superseded.append((document_id, component, self._now_micros))
        self._reported = [each for each in self._reported if (each[1], each[2]) != (document_id, component)]
        for issue in issues:
            self._reported.append(
                (
                    self._new_id(),
                    document_id,
                    component,
                    issue.severity.value,
                    issue.code,
                    issue.message,
                    issue.path,
                    tables.dump_text(dict(issue.metadata)),
                    self._now_micros,
                )
            )
        return sum(issue.severity is Severity.CRITICAL for issue in issues)

    def tell_again(self, document_id: str, component: str) -> None:
        """Open again what was told last of one component, where that ended."""
        told = sa.and_(_issue.c.document_id == document_id, _issue.c.component == component)
        last = self._tx.first(sa.select(_issue).where(told).order_by(_issue.c.id.desc()).limit(1))
        if last is None or last.superseded_at is None:
            return
        issue = ValidationIssue(
            severity=Severity(last.severity),
            code=last.code,
            message=last.message,
            path=last.path,
            metadata=json.loads(last.metadata),
        )
        self.report(document_id, component, [issue])

    def open_components(self, document_id: str, beginning: str) -> set[str]:
        """The components that begin so and have open issues, as it stands once this is written."""
        mine = sa.and_(self._open(document_id), _issue.c.component.startswith(beginning, autoescape=True))
        stored = {row.component for row in self._tx.all(sa.select(_issue.c.component).where(mine))}
        stored -= {component for id, component, _ in self._superseded if id == document_id}
        return stored | {each[2] for each in self._reported if each[1] == document_id and each[2].startswith(beginning)}

    def dismissed_components(self, document_id: str, beginning: str) -> set[str]:
        """The components that begin so and told of what a person said was dealt with."""
        told = sa.and_(_issue.c.document_id == document_id, _issue.c.dismissed_at.is_not(None))
        mine = sa.and_(told, _issue.c.component.startswith(beginning, autoescape=True))
        return {row.component for row in self._tx.all(sa.select(_issue.c.component).where(mine))}

    def downgrade(self, document_id: str) -> None:
        """Critical issues become warnings, so that a retry is not stopped by what it is to mend."""
        critical = sa.and_(self._open(document_id), _issue.c.severity == Severity.CRITICAL.value)
        self._tx.execute(sa.update(_issue).where(critical).values(severity=Severity.WARNING.value))
        self._end_dismissed(document_id)

    def _end_dismissed(self, document_id: str) -> None:
        """What a person said was dealt with is no warning either where it was critical meanwhile."""
        known = self._tx.all(sa.select(_issue).where(_issue.c.document_id == document_id))
        words = {row.id: tuple(getattr(row, name) for name in _TOLD) for row in known}
        dismissed = {words[row.id] for row in known if row.dismissed_at is not None}
        ended = [row.id for row in known if row.superseded_at is None and words[row.id] in dismissed]
        if ended:
            self._tx.execute(sa.update(_issue).where(_issue.c.id.in_(ended)).values(superseded_at=self._now_micros))

    def dismiss(self, document_id: str, code: str) -> None:
        """Issues of that code are open no more, whoever told of them, and in the same words they are not told again."""
        of_code = sa.and_(self._open(document_id), _issue.c.code == code)
        ended = {"superseded_at": self._now_micros, "dismissed_at": self._now_micros}
        self._tx.execute(sa.update(_issue).where(of_code).values(ended))

    def clear(self, document_id: str) -> None:
        """No issue is open any more."""
        self._tx.execute(sa.update(_issue).where(self._open(document_id)).values(superseded_at=self._now_micros))

    def flush(self) -> None:
        """Write what was reported."""
        if self._superseded:
            self._tx.update_many(tables.SUPERSEDE_ISSUES, self._superseded)
        told = self._not_dismissed()
        if told:
            self._tx.insert_many(tables.INSERT_ISSUE, told)
        self._superseded, self._reported = [], []

    def _not_dismissed(self) -> list[tuple[Any, ...]]:
        """What was reported, but for what a person said was dealt with."""
        warned = sorted({each[1] for each in self._reported if each[3] == Severity.WARNING.value})
        known = self._tx.select_in(_issue, ("dismissed_at", *_TOLD), "document_id", warned)
        dismissed = {tuple(told) for at, *told in known if at is not None}
        return [each for each in self._reported if each[1:7] not in dismissed]

    def _open(self, document_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(_issue.c.document_id == document_id, _issue.c.superseded_at.is_(None))
