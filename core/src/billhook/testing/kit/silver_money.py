"""Silver: money is taken and given back as asked, webhooks are believed only when they are signed, and a preview shows what is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from billhook.contract import (
    Capability,
    Done,
    PaymentItem,
    PaymentStatus,
    Pending,
    RefundItem,
    RefundStatus,
    Refusal,
    Rejected,
    Request,
    WebhookEvent,
)
from billhook.contract.requests import Call
from billhook.domain.invoice import InvoiceDraft
from billhook.domain.money import is_exact, round_to
from billhook.engine.rehearsal import rehearse
from billhook.testing.builders import a_line, an_invoice
from billhook.testing.desk import NotDone, in_words
from billhook.testing.kit.bench import NOTHING_AUTHORIZES, Bench
from billhook.testing.kit.check import Check, Exempt, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import (
    Scene,
    a_payment,
    a_refund,
    collected,
    settled_payment,
    to_be_canceled,
    to_be_captured,
    to_be_paid,
)
from billhook.testing.kit.subject import Authorizing, Refunding
from billhook.testing.kit.trying import Refused, refuse_beforehand, tried

C = Capability
LONG_WORDS = re.compile("[A-Za-z0-9+/_-]{16,}")
UNEVEN = ("435", "4.35", "1.005")
OF_ELSEWHERE = "statement-17"
"""The id that a payment has where it came: its payer's, its bank's or another app's, and none of the provider's."""
REFUNDS = (Decimal("1.00"), Decimal("0.29"))
"""The second is none of those that a binary fraction holds: a hundred times it, cut off, is 28."""


def collects_what_is_due(examination: Examination) -> Verdict:
    """What is collected is what is due, in currencies with no, two and three decimals."""
    attempts = in_each_currency(examination, _collected)
    return tried("the amount that is due is collected, once", "payment", attempts)


def _collected(bench: Bench) -> str | None:
    item = to_be_paid(bench, _of_no_binary_fraction(bench.currency))
    outcome = bench.run(C.COLLECT_PAYMENT, item).outcome
    if isinstance(outcome, Rejected):
        raise NotDone(f"a payment of {_shown(item)} comes to {in_words(outcome)}")
    bench.let_the_payer_act(outcome)
    taken = [payment.amount for payment in bench.books.payments()]
    if taken != [item.amount]:
        return f"{item.amount} is due, and the books show {', '.join(map(str, taken)) or 'nothing'}"
    if isinstance(outcome, Done) and outcome.result.amount not in {item.amount, Decimal(0)}:
        return f"{item.amount} is due, and the outcome says {outcome.result.amount}"
    return _in_another_currency(bench, item)


def _of_no_binary_fraction(currency: str) -> InvoiceDraft:
    """An invoice whose total no binary fraction holds: in smallest units, cut off, that is one less."""
    price = max((Decimal(each) for each in UNEVEN if is_exact(Decimal(each), currency)), key=_decimals)
    line = a_line(1, currency, price={"type": "unit", "amount": price})
    return an_invoice(currency=currency).model_copy(update={"lines": (line,)})


def _decimals(amount: Decimal) -> int:
    return -int(amount.as_tuple().exponent)


def _shown(item: PaymentItem | RefundItem) -> str:
    return f"{item.amount} {item.currency}"


def _in_another_currency(bench: Bench, item: PaymentItem) -> str | None:
    """Books may tell the currency of a payment; those that know but one don't."""
    told = {str(getattr(payment, "currency", None) or item.currency) for payment in bench.books.payments()} - {
        item.currency
    }
    return f"{_shown(item)} is due, and the books show a payment in {min(told)}" if told else None


def in_each_currency(
    examination: Examination, attempt: Callable[[Bench], str | None]
) -> Iterator[Callable[[], str | None]]:
    """The attempt in the provider's usual currency, and in those whose smallest unit is another one, where it takes them."""
    return (partial(_in_currency, examination, attempt, each) for each in examination.subject.currencies_to_try)


def _in_currency(examination: Examination, attempt: Callable[[Bench], str | None], currency: str) -> str | None:
    with examination.bench(currency=currency) as bench:
        try:
            return attempt(bench)
        except AssertionError as error:
            if currency != examination.subject.currency:
                raise Refused(str(error)) from error
            raise


def a_payment_reads_as_it_stands(examination: Examination) -> Verdict:
    """Looking at a payment shows the one that was collected."""
    return tried(
        "the payment that is looked at is the one that was made", "payment", [partial(_looked_at, examination)]
    )


def _looked_at(examination: Examination) -> str | None:
    with examination.bench() as bench:
        item = collected(bench)
        bench.rest()
        outcome = bench.run(C.CHECK_PAYMENT, item).outcome
        taken = {payment.amount for payment in bench.books.payments()}
    if not isinstance(outcome, Done):
        return None if isinstance(outcome, Pending) else f"it is answered with {in_words(outcome)}"
    if outcome.result.external_id not in {None, item.external_id}:
        return f"{item.external_id} was collected, and {outcome.result.external_id} is shown"
    amount = outcome.result.amount
    if outcome.result.status is PaymentStatus.SUCCEEDED or amount:
        return None if amount in taken else f"it shows {amount}, and the books {_listed(taken)}"
    return None


def _listed(amounts: Iterable[Decimal]) -> str:
    return ", ".join(map(str, sorted(amounts))) or "nothing"


def captures_what_is_asked(examination: Examination) -> Verdict:
    """Of a payment that is authorized so much is taken as is asked, and so much is shown."""
    attempts = in_each_currency(examination, _captured)
    return tried("the part that was asked is taken", "payment", attempts)


def _captured(bench: Bench) -> str | None:
    if not isinstance(bench.books, Authorizing):
        raise Refused(NOTHING_AUTHORIZES)
    (item,) = to_be_captured(bench)
    outcome = bench.run(C.CAPTURE_PAYMENT, item).outcome
    if not isinstance(outcome, Done):
        return None if isinstance(outcome, Pending) else f"it is answered with {in_words(outcome)}"
    amount = outcome.result.amount
    if amount not in {item.amount, Decimal(0)}:
        return f"{item.amount} was asked, and {amount} is taken"
    return _shown_after(bench, item)


def _shown_after(bench: Bench, item: PaymentItem) -> str | None:
    """What a look shows of a payment of which a part was captured. It is told the whole, so that it can't tell what it is told."""
    if not bench.can(C.CHECK_PAYMENT):
        return None
    bench.rest()
    shown = bench.run(C.CHECK_PAYMENT, replace(item, amount=item.invoice.total)).outcome
    if not isinstance(shown, Done) or shown.result.status is not PaymentStatus.SUCCEEDED:
        return None
    taken = shown.result.amount
    return None if taken == item.amount else f"{item.amount} was asked, and a look shows that {taken} was taken"


def a_canceled_payment_is_over(examination: Examination) -> Verdict:
    """A payment that is said to be canceled takes no money any more."""
    return tried("canceled is canceled there, too", "payment", [partial(_canceled, examination)])


def _canceled(examination: Examination) -> str | None:
    with examination.bench() as bench:
        (item,) = to_be_canceled(bench)
        outcome = bench.run(C.CANCEL_PAYMENT, item).outcome
        if not isinstance(outcome, Done) or outcome.result.status is not PaymentStatus.CANCELED:
            raise Refused(f"its payment could not be canceled any more: {outcome}")
        if not bench.can(C.CHECK_PAYMENT):
            return None
        after = bench.run(C.CHECK_PAYMENT, item).outcome
    status = after.result.status if isinstance(after, Done) else after
    return None if status in {PaymentStatus.CANCELED, PaymentStatus.FAILED} else f"it says canceled, and is {status}"


def a_refund_reads_as_it_stands(examination: Examination) -> Verdict:
    """Looking at a refund shows the one that was made."""
    return tried(
        "the refund that is looked at is the one that was made", "refund", [partial(_read_refund, examination)]
    )


def _read_refund(examination: Examination) -> str | None:
    with examination.bench() as bench:
        (item,) = a_refund(bench)
        made = bench.run(C.REFUND, item).outcome
        known, told = (
            (made.result.external_id, made.result.amount) if isinstance(made, Done) else (made.external_id, None)
        )
        item = replace(item, external_id=known)
        bench.rest()
        outcome = bench.run(C.CHECK_REFUND, item).outcome
    if not isinstance(outcome, Done):
        return None if isinstance(outcome, Pending) else f"it is answered with {in_words(outcome)}"
    if outcome.result.external_id not in {None, item.external_id}:
        return f"{item.external_id} was made, and {outcome.result.external_id} is shown"
    amount = outcome.result.amount
    return None if told in {None, amount} else f"{told} was given back, and {amount} is shown"


def gives_back_what_is_asked(examination: Examination) -> Verdict:
    """A part that is refunded is that part, and no more, in currencies with no, two and three decimals."""
    attempts = in_each_currency(examination, _given_back)
    return tried("each refund is of the amount that was asked", "refund", attempts)


def _given_back(bench: Bench) -> str | None:
    payment, given, is_over = settled_payment(bench), list[Decimal](), True
    for number, part in enumerate(REFUNDS):
        amount = round_to(part, bench.currency) or Decimal(1)
        item = bench.refund_item(str(payment.external_id), str(amount), 700 + number)
        outcome = bench.run(C.REFUND, item).outcome
        if isinstance(outcome, Done) and outcome.result.amount != amount:
            return f"{amount} was asked, and {outcome.result.amount} is given back"
        if not isinstance(outcome, Done) and not isinstance(outcome, Pending):
            raise NotDone(f"a refund of {_shown(item)} comes to {in_words(outcome)}")
        problem = _refund_in_books(bench, item)
        if problem is not None:
            return problem
        given.append(amount)
        is_over = is_over and isinstance(outcome, Done) and outcome.result.status is RefundStatus.SUCCEEDED
    return _refunded_shown(bench, payment, given, is_over=is_over)


def _refunded_shown(bench: Bench, payment: PaymentItem, given: Sequence[Decimal], *, is_over: bool) -> str | None:
    """What a look shows of a payment: all of what came, and of it what went back, or less while some of that is under way."""
    if not bench.can(C.CHECK_PAYMENT):
        return None
    bench.rest()
    shown = bench.run(C.CHECK_PAYMENT, payment).outcome
    if not isinstance(shown, Done):
        return None
    told, came = shown.result.refunded, shown.result.amount
    possible = {None, Decimal(0), sum(given), *(() if is_over else given)}
    if told not in possible:
        return f"{sum(given)} was asked, and a look at the payment shows {told} given back"
    if shown.result.status is not PaymentStatus.SUCCEEDED or came == payment.amount:
        return None
    return f"{payment.amount} came and {sum(given)} of it went back, and a look at the payment shows that {came} came"


def _refund_in_books(bench: Bench, item: RefundItem) -> str | None:
    if not isinstance(bench.books, Refunding):
        return None
    given = {refund.amount for refund in bench.books.refunds() if refund.reference == item.id}
    return None if given <= {item.amount} else f"{item.amount} was asked, and the books show {_listed(given)}"


def a_recorded_payment_stands_in_the_books(examination: Examination) -> Verdict:
    """A payment that came another way is noted at the provider."""
    return tried("the books show the payment", "payment", in_each_currency(examination, _recorded))


def _recorded(bench: Bench) -> str | None:
    if bench.can(C.ISSUE):
        refuse_beforehand(bench, bench.invoice_item())
    (item,) = a_payment(bench)
    bench.run(C.RECORD_PAYMENT, replace(item, external_id=OF_ELSEWHERE))
    shown = [payment.amount for payment in bench.books.payments()]
    return None if item.amount in shown else f"{item.amount} was recorded, and the books show {shown or 'nothing'}"


# Webhooks.


def _what(event: WebhookEvent) -> tuple[str, str, str]:
    return event.kind, event.external_id, event.type


def told_in(bench: Bench) -> list[tuple[dict[str, str], bytes]]:
    """What the simulator has to tell: header names in lower case, and the body."""
    return [
        ({name.lower(): value for name, value in headers}, body) for headers, body in bench.books.pending_webhooks()
    ]


def told_by(examination: Examination, bench: Bench) -> list[tuple[dict[str, str], bytes]]:
    """What the provider tells of an invoice and its payment."""
    sound = {scene.capability: scene for scene, _ in examination.sound()}
    telling = [sound[each] for each in (C.COLLECT_PAYMENT, C.RECORD_PAYMENT, C.ISSUE) if each in sound]
    for scene in telling[:1]:
        bench.run(scene.capability, *scene.prepare(bench))
    return told_in(bench)


def _read(bench: Bench, headers: dict[str, str], body: bytes, secrets: Any) -> tuple[WebhookEvent, ...] | Refusal:
    return bench.handle.read_webhook(headers, body, secrets, bench.clock.now(), bench.settings)


def forged_webhooks_are_refused(examination: Examination) -> Verdict:
    """A webhook whose body or signature was changed, or whose signature is missing, is refused."""
    with examination.bench() as bench:
        told = told_by(examination, bench)
        if not told:
            return Exempt("its simulator tells nothing by webhook")
        attempts = (partial(_forged, bench, headers, body) for headers, body in told)
        return tried("a forged webhook is refused, and the real one taken", "webhook", attempts)


def _forged(bench: Bench, headers: dict[str, str], body: bytes) -> str | None:
    genuine = _read(bench, headers, body, bench.credentials)
    if isinstance(genuine, Refusal):
        return f"a real webhook is refused: {genuine.reason}"
    if not isinstance(_read(bench, headers, body + b" ", bench.credentials), Refusal):
        return "a webhook whose body was changed is taken"
    changed = {name: _another_signature(value) if "sig" in name else value for name, value in headers.items()}
    if changed != headers and not isinstance(_read(bench, changed, body, bench.credentials), Refusal):
        return "a webhook with another signature is taken"
    without = {name: value for name, value in headers.items() if "sig" not in name}
    if not isinstance(_read(bench, without, body, bench.credentials), Refusal):
        return "a webhook without a signature is taken"
    return None


def _another_signature(value: str) -> str:
    """Each long word in it with another sign in its middle: neither the first few nor the last few tell."""
    return LONG_WORDS.sub(lambda word: _with_another_middle(word[0]), value)


def _with_another_middle(word: str) -> str:
    middle = len(word) // 2
    return f"{word[:middle]}{'1' if word[middle] == '0' else '0'}{word[middle + 1 :]}"


def a_webhook_names_what_changed(examination: Examination) -> Verdict:
    """The id in a webhook's event is one by which the thing is known here, and what happens later is another event."""
    with examination.bench() as bench:
        told_by(examination, bench)
        bench.rest()
        told = told_in(bench)
        events = [event for headers, body in told for event in _events(_read(bench, headers, body, bench.credentials))]
    ours = [event for event in events if event.kind in {"document", "payment"}]
    if not ours:
        return Exempt("its simulator tells of no document and no payment")
    attempts = (partial(_is_known, event, bench.named, events) for event in ours)
    return tried("an event names the remote id", "event", attempts)


def _events(read: tuple[WebhookEvent, ...] | Refusal) -> tuple[WebhookEvent, ...]:
    return () if isinstance(read, Refusal) else read


def _is_known(event: WebhookEvent, named: Set[str], events: Sequence[WebhookEvent]) -> str | None:
    others = (each for each in events if each.id == event.id and _what(each) != _what(event))
    other = next(others, None)
    if other is not None:
        return (
            f"{event.id} is the id of {event.type} of {event.external_id} and of {other.type} of {other.external_id}: each id counts once, "
            "so nobody would look for the second"
        )
    if event.external_id in named:
        return None
    return (
        f"the event {event.type} names {event.external_id}, which no outcome named. They named {', '.join(sorted(named))}. "
        "The engine finds a thing by the `external_id` of its result"
    )


# Previews.


_SAMPLES = "Nothing is sent for a preview, not even what only reads: give each Request a `sample`."


def a_preview_asks_what_is_sent(examination: Examination) -> Verdict:
    """Driven by its samples an operation comes to its end, and begins with the request that is sent."""
    attempts = (partial(_previewed, examination, scene) for scene, _ in examination.sound())
    return tried("a preview shows the requests that are sent, to the end", "operation", attempts)


def _previewed(examination: Examination, scene: Scene) -> str | None:
    with examination.bench() as bench:
        items = scene.prepare(bench)
        batch = bench.batch(*items)
        rehearsal = rehearse(bench.handle, scene.capability, batch)
        if rehearsal.stopped is not None:
            if rehearsal.call is not None:
                raise Refused(rehearsal.stopped)
            return f"{scene.name}: {rehearsal.stopped} {_SAMPLES}"
        steps: Any = bench.handle.start(scene.capability, batch)
        first = next(steps, None)
    if not rehearsal.requests or first is None:
        return None
    return None if _same(rehearsal.requests[0], first) else f"{scene.name} begins with another request than its preview"


def _same(shown: Request, sent: Request | Call) -> bool:
    return isinstance(sent, Request) and (shown.method, shown.url, shown.body) == (sent.method, sent.url, sent.body)


def _check(run: Callable[[Examination], Verdict], rule: Rule, *needs: Capability) -> Check:
    return Check(run.__name__, Tier.SILVER, rule, (run.__doc__ or "").splitlines()[0], run, needs)


CHECKS: tuple[Check, ...] = (
    _check(collects_what_is_due, Rule.EXACT, C.COLLECT_PAYMENT),
    _check(a_payment_reads_as_it_stands, Rule.EXACT, C.CHECK_PAYMENT),
    _check(captures_what_is_asked, Rule.EXACT, C.CAPTURE_PAYMENT),
    _check(a_canceled_payment_is_over, Rule.EXACT, C.CANCEL_PAYMENT),
    _check(gives_back_what_is_asked, Rule.EXACT, C.REFUND),
    _check(a_refund_reads_as_it_stands, Rule.EXACT, C.CHECK_REFUND),
    _check(a_recorded_payment_stands_in_the_books, Rule.EXACT, C.RECORD_PAYMENT),
    _check(forged_webhooks_are_refused, Rule.EVENTS, C.READ_WEBHOOK),
    _check(a_webhook_names_what_changed, Rule.EVENTS, C.READ_WEBHOOK),
    _check(a_preview_asks_what_is_sent, Rule.PREVIEW),
)
