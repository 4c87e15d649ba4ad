from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from billhook.contract import AppStatusChanged, InvoiceTransitioned, OperationSettled, hookimpl
from billhook.contract.entry_points import HOOKS
from billhook.errors import ContractViolation, ProviderLoadError
from billhook.plugins import Observers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOVED = InvoiceTransitioned("default", "inv-1", 3, (("next", "issued"),), NOW)
SETTLED = OperationSettled("default", "app-1", "issue", "inv-1", "done", NOW)
CHANGED = AppStatusChanged("default", "app-1", "unauthorized", enabled=True, at=NOW)

MODULE = """
from billhook.contract import hookimpl
SEEN = []

@hookimpl
def invoice_transitioned(event):
    SEEN.append(event)
"""


class Seeing:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def invoice_transitioned(self, event):
        self.seen.append(event)

    @hookimpl
    def operation_settled(self, event):
        self.seen.append(event)

    @hookimpl
    def app_status_changed(self, event):
        self.seen.append(event)


class Failing:
    @hookimpl
    def invoice_transitioned(self, event):
        raise ConnectionError("the audit log is away")


class Counting:
    count = 0

    @hookimpl
    def invoice_transitioned(self):
        self.count += 1


def test_every_observer_is_told_of_every_event() -> None:
    first, second = Seeing(), Seeing()
    observers = Observers([first, second])
    observers.notify_invoice_transitioned(MOVED)
    observers.notify_operation_settled(SETTLED)
    observers.notify_app_status_changed(CHANGED)
    assert first.seen == second.seen == [MOVED, SETTLED, CHANGED]


def test_an_observer_that_fails_is_logged_by_name_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before, after = Seeing(), Seeing()
    with caplog.at_level(logging.ERROR):
        Observers([before, Failing(), after]).notify_invoice_transitioned(MOVED)
    assert before.seen == after.seen == [MOVED]
    [record] = caplog.records
    assert "The observer Failing failed in invoice_transitioned" in record.getMessage()
    assert record.exc_info is not None


def test_an_observer_may_leave_the_event_aside() -> None:
    counting = Counting()
    Observers([counting]).notify_invoice_transitioned(MOVED)
    assert counting.count == 1


def test_two_observers_of_one_class_have_names_of_their_own() -> None:
    assert Observers([Seeing(), Seeing(), Seeing()]).names() == ("Seeing", "Seeing #2", "Seeing #3")


def test_what_is_no_observer_is_refused() -> None:
    with pytest.raises(ContractViolation, match="The observer object breaks"):
        Observers([object()])


def test_an_allowed_observer_is_loaded_and_no_other(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-audit", {HOOKS: {"audit": "acme_audit"}}, {"acme_audit": MODULE})
    install("acme-spy", {HOOKS: {"spy": "acme_spy"}}, {"acme_spy": "raise RuntimeError('imported')"})
    observers = Observers.from_entry_points(["audit"])
    observers.notify_invoice_transitioned(MOVED)
    import acme_audit

    assert acme_audit.SEEN == [MOVED]
    assert observers.names() == ("audit",)


def test_a_missing_observer_is_an_error(install: Any) -> None:
    install("acme-audit", {HOOKS: {"audit": "acme_audit"}}, {"acme_audit": MODULE})
    with pytest.raises(ProviderLoadError, match=r"no observer 'audits' \(there are: audit\)"):
        Observers.from_entry_points(["audits"])


def test_an_observer_that_can_not_be_imported_names_its_distribution(install: Any) -> None:
    install("acme-audit", {HOOKS: {"audit": "acme_audit"}}, {"acme_audit": "1 / 0"})
    with pytest.raises(ProviderLoadError, match=r"The hook 'audit' of acme-audit 1\.2\.3 could not be imported"):
        Observers.from_entry_points(["audit"])


def test_an_observer_offered_twice_is_refused(install: Any) -> None:
    install("acme-audit", {HOOKS: {"audit": "acme_audit"}}, {"acme_audit": MODULE})
    install("zz-audit", {HOOKS: {"audit": "zz_audit"}})
    with pytest.raises(ProviderLoadError, match="offered 2 times"):
        Observers.from_entry_points(["audit"])


def test_an_observer_that_wants_to_end_the_process_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving:
        @hookimpl
        def invoice_transitioned(self, event):
            raise SystemExit(3)

    seeing = Seeing()
    Observers([seeing, Leaving()]).notify_invoice_transitioned(MOVED)
    assert seeing.seen == [MOVED]
    assert "Leaving failed in invoice_transitioned" in caplog.text
