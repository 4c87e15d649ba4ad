"""A provider that collects by an SDK of its own, which has a socket of its own, and mistakes that are made with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from broken.gold import looking
from broken.parts import asking

from billhook.contract import Call, Find, Reply, Request, registered
from billhook.testing.sandbox.provider import SandboxProvider

LATEST = timedelta(minutes=2)
"""After that nothing of what an SDK has given up arrives any more."""


def by_sdk(request: Request, provider: Any) -> Any:
    """A call in place of a request that changes something. It has no key, so nothing but looking tells."""
    if not request.effectful:
        return request
    function = provider.function("sdk", url=request.url, headers=dict(request.headers), body=request.body.decode())
    ways = tuple(replace(way, after=LATEST) for way in looking(request))
    return Call(request.step, function, request.items, ways, request.identify)


class Calling(SandboxProvider):
    """No mistake: payments are collected and given back by an SDK, and looked up where nobody knows."""

    collect_payment = asking("collect_payment", by_sdk)
    refund = asking("refund", by_sdk)

    @registered
    def sdk(self, credentials: Any, url: str, headers: Mapping[str, str], body: str) -> Reply:
        signed = {**headers, "Authorization": f"Bearer {credentials.token.get_secret_value()}"}
        with httpx.Client(timeout=10, trust_env=False) as client:
            came = client.post(url, headers=signed, content=body)
        return Reply(came.status_code, tuple(came.headers.items()), came.content)


class Insistent(Calling):
    """Its SDK tries again by itself, and the sandbox charges twice."""

    @registered
    def sdk(self, credentials: Any, url: str, headers: Mapping[str, str], body: str) -> Reply:
        try:
            return Calling.sdk(self, credentials, url, headers, body)
        except httpx.TransportError:
            return Calling.sdk(self, credentials, url, headers, body)


def _without_recovery(request: Request, provider: Any) -> Any:
    step = by_sdk(request, provider)
    return replace(step, recover=()) if isinstance(step, Call) else step


class Forgetting(Calling):
    """Nobody can say what its SDK did when the answer is lost."""

    collect_payment = asking("collect_payment", _without_recovery)


def _looking_at_once(request: Request, provider: Any) -> Any:
    step = by_sdk(request, provider)
    ways = tuple(replace(way, after=timedelta()) for way in step.recover if isinstance(way, Find))
    return replace(step, recover=ways) if isinstance(step, Call) else step


class Hasty(Calling):
    """It looks what its SDK did before that can have arrived."""

    refund = asking("refund", _looking_at_once)


class TwoCalls(Calling):
    """Its SDK takes every answer for one."""

    @registered
    def sdk(self, credentials: Any, url: str, headers: Mapping[str, str], body: str) -> Reply:
        return replace(Calling.sdk(self, credentials, url, headers, body), status=200)


def _in_no_order(request: Request, provider: Any) -> Any:
    step = by_sdk(request, provider)
    if not isinstance(step, Call):
        return step
    words = list({"one", "two", "three", "four", "five"})
    return replace(step, function=provider.function("ordered", words=words, **step.function.args))


class Shuffling(Calling):
    """What its SDK is given stands in the order of a set."""

    refund = asking("refund", _in_no_order)

    @registered
    def ordered(self, credentials: Any, words: Sequence[str], **told: Any) -> Reply:
        return Calling.sdk(self, credentials, **told)


CALLING: Sequence[tuple[str, type[SandboxProvider], str]] = (
    ("a_lost_answer_is_recovered", Insistent, "too much"),
    ("every_effect_says_how_it_is_learnt", Forgetting, "collect_payment has neither"),
    ("a_late_request_does_no_harm", Hasty, "too much"),
    ("an_error_is_no_answer", TwoCalls, "request"),
    ("asks_the_same_under_every_hash_seed", Shuffling, "refund differ by hash seed"),
)
"""The check, the provider that makes that mistake with an SDK, and what is told of it."""
