"""A turned clock stands still, wakes its sleepers, and never runs backwards."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from billhook.clock import Clock, SystemClock, TurnedClock

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def sleep_on(clock: Clock, condition: threading.Condition, seconds: float, asleep: threading.Event) -> bool:
    with condition:
        asleep.set()
        return clock.wait(condition, seconds)


def test_a_turned_clock_stands_still_until_it_is_turned() -> None:
    clock = TurnedClock(START)

    assert clock.now() == START
    assert clock.advance(timedelta(hours=36)) == datetime(2026, 2, 2, tzinfo=UTC)
    assert clock.monotonic() == 36 * 3600


def test_turning_the_clock_wakes_a_sleeper_whose_time_is_up() -> None:
    clock, condition, asleep = TurnedClock(START), threading.Condition(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(sleep_on, clock, condition, 3600, asleep)
        asleep.wait()
        with condition:  # given back only once the sleeper really sleeps
            pass
        clock.advance(timedelta(hours=1))

        assert woken.result(timeout=10) is False


def test_a_notification_wakes_a_sleeper_before_its_time() -> None:
    clock, condition, asleep = TurnedClock(START), threading.Condition(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(sleep_on, clock, condition, 3600, asleep)
        asleep.wait()
        with condition:
            condition.notify_all()

        assert woken.result(timeout=10) is True


def test_waiting_for_no_time_at_all_returns_at_once() -> None:
    condition = threading.Condition()
    for clock in (SystemClock(), TurnedClock(START)):
        with condition:
            assert clock.wait(condition, 0) is False


def test_a_clock_refuses_to_run_backwards_or_to_start_without_a_zone() -> None:
    with pytest.raises(ValueError, match="turned back"):
        TurnedClock(START).advance(timedelta(seconds=-1))
    with pytest.raises(ValueError, match="aware"):
        TurnedClock(START.replace(tzinfo=None))


def test_the_system_clock_speaks_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta()
