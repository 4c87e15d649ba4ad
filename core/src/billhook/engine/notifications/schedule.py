"""When a notification is tried again, and when a channel is given up: pure, on the clock, without chance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billhook.engine.notifications.kinds import DeliveryState

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
"""After the first try, which comes at once, one more after each of these."""
GIVE_UP_AFTER = timedelta(days=5)
"""A channel where nothing has arrived for so long is disabled."""

ARRIVED = "The receiver took it."


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. Without a status there was no answer, and ``body`` says why."""

    status_code: int | None
    body: str
    duration_ms: int

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it: any 2xx. A redirect is not followed, and no success."""
        return self.status_code is not None and 200 <= self.status_code < 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a delivery stands after a try."""

    state: DeliveryState
    reason: str
    due: datetime | None


def verdict(answer: Answer, tries: int, now: datetime) -> Verdict:
    """What the answer to the try of that number, counted from 1, means."""
    if answer.is_success:
        return Verdict(DeliveryState.SUCCESS, ARRIVED, None)
    reason = _reason(answer)
    if tries > len(PAUSES):
        return Verdict(DeliveryState.FAILED, f"{reason} It was tried {tries} times.", None)
    return Verdict(DeliveryState.SENDING, reason, now + PAUSES[tries - 1])


def failing_since(before: datetime | None, answer: Answer, now: datetime) -> datetime | None:
    """Since when nothing has arrived at the channel, None while something does."""
    return None if answer.is_success else before or now


def is_given_up(since: datetime, now: datetime) -> bool:
    """Whether the channel has failed for too long."""
    return now - since >= GIVE_UP_AFTER


def given_up_reason(since: datetime) -> str:
    """Why we stopped sending to a channel."""
    return (
        f"Nothing has arrived since {since:%Y-%m-%d %H:%M} UTC. Mend the receiver, then enable the channel and resend."
    )


def _reason(answer: Answer) -> str:
    if answer.status_code is None:
        return f"No answer: {answer.body}."
    return f"The receiver answered {answer.status_code}."
