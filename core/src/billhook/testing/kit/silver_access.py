"""Silver: access that ends is renewed."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from billhook.contract import Capability, Done
from billhook.testing.desk import NotDone, in_words
from billhook.testing.kit.check import Check, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import Scene
from billhook.testing.kit.trying import tried

RENEWALS = 3
BETWEEN = timedelta(hours=12)
"""Longer than an access token lasts, and than a refresh token that was used is honoured again; shorter than an unused one lasts."""


def renews_as_often_as_it_takes(examination: Examination) -> Verdict:
    """Access is renewed with what the renewal before left behind, and lets in."""
    return tried("access is renewed again and again", "provider", [partial(_renewed, examination)])


def _renewed(examination: Examination) -> str | None:
    scene = _lightest(examination.scenes)
    with examination.bench() as bench:
        for number in range(1, RENEWALS + 1):
            bench.turned.advance(BETWEEN)
            try:
                renewed = bench.renew_credentials()
            except NotDone as refused:
                return f"renewal {number}: {refused}{_HINTS.get(number, _LEFT_OUT)}"
            if renewed.expires_at is not None and renewed.expires_at <= bench.clock.now():
                return f"renewal {number} says that its credentials have expired at {renewed.expires_at:%Y-%m-%d %H:%M}"
        if scene is None:
            return None
        outcomes = bench.work(scene.capability, *scene.prepare(bench)).outcomes.values()
        shut_out = next((outcome for outcome in outcomes if not isinstance(outcome, Done)), None)
    return f"{scene.name} with what was renewed comes to {in_words(shut_out)}" if shut_out is not None else None


def _lightest(scenes: tuple[Scene, ...]) -> Scene | None:
    """What to ask for to see whether one is let in."""
    looks = (scene for scene in scenes if scene.capability is Capability.CHECK_CONNECTION)
    return next(looks, next(iter(scenes), None))


_LEFT_OUT = ". Where its refresh tokens rotate, return the new one with the access token"
_HINTS = {1: ". The simulator's `connection` gives what a grant leaves behind, so that it can be renewed"}


CHECKS: tuple[Check, ...] = (
    Check(
        renews_as_often_as_it_takes.__name__,
        Tier.SILVER,
        Rule.LOAD,
        (renews_as_often_as_it_takes.__doc__ or "").splitlines()[0],
        renews_as_often_as_it_takes,
        (Capability.REFRESH_CREDENTIALS,),
    ),
)
