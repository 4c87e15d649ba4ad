"""Providers with one small mistake each, which a gold check must find, and only that check."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from broken.parts import asking, ending, handed, telling, with_body, with_header

from billhook.contract import (
    Absent,
    Answered,
    Done,
    Find,
    Finding,
    Found,
    Refusal,
    Rejected,
    Repeat,
    Reply,
    Request,
    Verdict,
    WebhookEvent,
    hookimpl,
    registered,
)
from billhook.testing.sandbox import findings
from billhook.testing.sandbox.provider import SandboxProvider

FOR_EVER = timedelta(days=30)


def repeating(request: Request) -> tuple[Any, ...]:
    return tuple(way for way in request.recover if isinstance(way, Repeat))


def looking(request: Request) -> tuple[Any, ...]:
    return tuple(way for way in request.recover if isinstance(way, Find))


class Unable(SandboxProvider):
    """Rule LOAD: it declares cancel_payment, and refuses to cancel anything."""

    cancel_payment = ending(
        "cancel_payment", lambda batch, _: {batch.only.id: Rejected.because("not_cancelable", "It can't be canceled.")}
    )


class Careless(SandboxProvider):
    """Rule RECOVERY: whether something was made void nobody can say when the answer is lost."""

    void = asking("void", lambda request, _: replace(request, recover=()))


class Keyless(SandboxProvider):
    """Rule KEYS: it repeats a charge without a key, and the sandbox charges twice."""

    collect_payment = asking("collect_payment", lambda request, _: replace(request, key=None))


class Believing(SandboxProvider):
    """Rule CLASSIFY: it believes an error 500 or 503."""

    @hookimpl
    def classify(self, request: Request, reply: Reply) -> Verdict | None:
        return Answered() if reply.status in {500, 503} else SandboxProvider.classify(self, request, reply)


class Stubborn(SandboxProvider):
    """Rule RECOVERY: it can only repeat, and an error that is kept under the key comes back for ever."""

    send = asking("send", lambda request, _: replace(request, recover=repeating(request)))


class Impatient(SandboxProvider):
    """Rule LATE: it looks at once, sees nothing, and sends again without a key."""

    refund = asking("refund", lambda request, _: replace(request, recover=looking(request), key=None))


class Unwelcome(SandboxProvider):
    """Rule CLASSIFY: it takes a 429 for a refusal of the thing."""

    @hookimpl
    def classify(self, request: Request, reply: Reply) -> Verdict | None:
        return Answered() if reply.status == 429 else SandboxProvider.classify(self, request, reply)


class Offended(SandboxProvider):
    """Rule CLASSIFY: it takes a 401 for a refusal of the thing."""

    @hookimpl
    def classify(self, request: Request, reply: Reply) -> Verdict | None:
        return Answered() if reply.status == 401 else SandboxProvider.classify(self, request, reply)


class FirstPage(SandboxProvider):
    """Rule RECOVERY: what is not on the first page is not there, it says."""

    @registered
    def match_content(self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> Mapping[str, Finding]:
        whole = Reply.of({**reply.json(), "has_more": False}) if reply.status == 200 else reply
        return findings.find_content(whole, marks, ids)


class Boastful(SandboxProvider):
    """Rule KEYS: it says that the sandbox honours a key for a month. It does so for a day."""

    collect_payment = asking(
        "collect_payment", lambda request, _: replace(request, recover=(Repeat(FOR_EVER), *looking(request)))
    )


class Amnesiac(SandboxProvider):
    """Rule LEFTOVERS: it begins anew beside what an unfinished operation left behind."""

    sync_draft = handed("sync_draft", lambda item: replace(item, leftovers={}))


class Hurried(SandboxProvider):
    """Rule BATCHES: it takes a batch for wholly done when any of it stands."""

    @registered
    def match_content(self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> Mapping[str, Finding]:
        found = findings.find_content(reply, marks, ids)
        standing = next((each for each in found.values() if isinstance(each, Found)), None)
        return {item: standing or each for item, each in found.items()}


class Fickle(SandboxProvider):
    """Rule REPLAY: every run asks under another mark."""

    sync_draft = asking("sync_draft", lambda request, _: with_header(request, "X-Mark", str(uuid.uuid4())))


class Branded(SandboxProvider):
    """Rule REPLAY: each request tells the release, so that a new one can't go on where the old one stopped."""

    issue = asking("issue", lambda request, self: with_header(request, "X-Made-By", self.declaration.description))


def in_the_order_of_a_set(body: Any) -> Any:
    by_reference = {item["reference"]: item for item in body["items"]}
    return {**body, "items": [by_reference[reference] for reference in set(by_reference)]}


class Unordered(SandboxProvider):
    """Rule REPLAY: its customers are sent in the order of a set."""

    sync_customer = asking("sync_customer", lambda request, _: with_body(request, in_the_order_of_a_set))


class Sharing(SandboxProvider):
    """Rule PARKING: all operations share one place for what they work on."""

    current: ClassVar[Any] = None

    @hookimpl
    def void(self, batch: Any) -> Any:
        type(self).current = batch.only
        outcomes = yield from SandboxProvider.void(self, batch)
        (outcome,) = outcomes.values()
        return {type(self).current.id: outcome}


class Sticky(SandboxProvider):
    """Rule PARKING: it keeps the address of the first app that it meets on a host, and sends all others there."""

    addresses: ClassVar[dict[str, str]] = {}

    def kept(self, request: Request) -> Request:
        parts = urlsplit(request.url)
        if not str(parts.hostname).endswith(".test"):
            return request
        first = self.addresses.setdefault(str(parts.hostname), parts.netloc)
        return replace(request, url=parts._replace(netloc=first).geturl())

    check_connection = asking("check_connection", lambda request, self: self.kept(request))


class Literal(SandboxProvider):
    """Rule EXACT: it looks for a header as it is written in the documentation, and a real connection tells it in small letters."""

    @hookimpl
    def send(self, batch: Any) -> Any:
        steps: Any = SandboxProvider.send(self, batch)
        reply = None
        while True:
            try:
                request = next(steps) if reply is None else steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = yield request
            if reply.source == "sent":
                dict(reply.headers)["Date"]


class Restless(SandboxProvider):
    """Rule EVENTS: the same event has another id whenever it is told."""

    read_webhook = telling(
        lambda events, now: (replace(event, id=f"{event.id} at {now.isoformat()}") for event in events)
    )


class Indiscreet(SandboxProvider):
    """Rule NO_CREDENTIALS: it tells with each event by which secret it was signed."""

    @hookimpl
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal:
        read = SandboxProvider.read_webhook(self, headers, body, secrets, now, settings)
        if isinstance(read, Refusal):
            return read
        details = {"signed_with": secrets.webhook_secret.get_secret_value()}
        return tuple(replace(event, details={**event.details, **details}) for event in read)


class Renamed(SandboxProvider):
    """A payment that is found again it tells under our reference."""

    @hookimpl
    def collect_payment(self, batch: Any) -> Any:
        steps, was_found = SandboxProvider.collect_payment(self, batch), False
        request = next(steps)
        while True:
            reply = yield replace(request, recover=looking(request))
            was_found |= reply.source == "found"
            try:
                request = steps.send(reply)
            except StopIteration as end:
                return {id: _called(id, outcome) if was_found else outcome for id, outcome in end.value.items()}


def _called(id: str, outcome: Any) -> Any:
    if isinstance(outcome, Done):
        return replace(outcome, result=replace(outcome.result, external_id=id))
    return replace(outcome, external_id=id)


class Stray(SandboxProvider):
    """It answers for what nobody asked, and not for what was asked."""

    issue = ending("issue", lambda batch, outcomes: dict.fromkeys([batch.operation_id], *outcomes.values()))


def _as_if_of(item: str, other: str, finding: Finding) -> Finding:
    if not isinstance(finding, Found):
        return finding
    return Found(replace(finding.reply, body=finding.reply.body.replace(other.encode(), item.encode())))


class Swapping(SandboxProvider):
    """Of a batch that is looked up it gives each item what was found for another one."""

    @registered
    def match_content(self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> Mapping[str, Finding]:
        found = findings.find_content(reply, marks, ids)
        pairs = zip(found, reversed(found.items()), strict=True)
        return {item: _as_if_of(item, other, finding) for item, (other, finding) in pairs}


def _by_amount(request: Request, provider: Any) -> Request:
    ways = []
    for way in looking(request):
        url = way.request.url.partition("?")[0]
        told = json.loads(request.body)
        match = provider.function("by_amount", item=told["reference"], amount=told["amount"])
        ways.append(replace(way, request=replace(way.request, url=url), match=match))
    return replace(request, key=None, recover=tuple(ways))


class Lookalike(SandboxProvider):
    """It knows a charge and a refund by their amount."""

    collect_payment = asking("collect_payment", _by_amount)
    refund = asking("refund", _by_amount)

    @registered
    def by_amount(self, reply: Reply, item: str, amount: str) -> Mapping[str, Finding]:
        same = [each for each in reply.json()["items"] if each["amount"] == amount]
        return {item: Found(Reply.of(same[0])) if same else Absent()}


FURTHER: Sequence[tuple[str, type[SandboxProvider], str]] = (
    ("of_a_batch_only_the_rest_is_done_again", Swapping, "in the books"),
    ("an_error_is_no_answer", Lookalike, "the books lack payment"),
)
"""Checks that find more than one mistake: the check, the provider with another of them, and what is told of it."""

BROKEN: Mapping[str, type[SandboxProvider]] = {
    "every_operation_can_be_struck": Unable,
    "every_effect_says_how_it_is_learnt": Careless,
    "a_lost_answer_is_recovered": Keyless,
    "an_error_is_no_answer": Believing,
    "a_kept_error_is_got_over": Stubborn,
    "a_late_request_does_no_harm": Impatient,
    "a_refusal_for_now_is_waited_out": Unwelcome,
    "an_expired_token_is_no_answer": Offended,
    "a_short_page_is_not_the_whole": FirstPage,
    "keys_are_believed_as_long_as_they_hold": Boastful,
    "starts_from_what_was_left_behind": Amnesiac,
    "of_a_batch_only_the_rest_is_done_again": Hurried,
    "a_restart_goes_on_where_it_stopped": Fickle,
    "an_upgrade_that_changes_nothing_goes_on": Branded,
    "asks_the_same_under_every_hash_seed": Unordered,
    "two_operations_do_not_meet": Sharing,
    "two_apps_do_not_meet": Sticky,
    "a_story_adds_up_over_http": Literal,
    "webhooks_count_once_in_any_order": Restless,
    "no_secret_is_stored": Indiscreet,
}
