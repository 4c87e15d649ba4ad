"""Providers with one small mistake each, which a silver check must find, and only that check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from broken.parts import asking, each_result, ending, handed, telling, with_body
from broken.renewing import RenewingSandbox

from billhook.contract import (
    Absent,
    CredentialsResult,
    DocumentResult,
    Done,
    Finding,
    PaymentResult,
    PaymentStatus,
    Pending,
    ProviderTotals,
    Refusal,
    Rejected,
    RemovalResult,
    Reply,
    Unknown,
    WebhookEvent,
    hookimpl,
    registered,
)
from billhook.testing.sandbox import findings
from billhook.testing.sandbox.incoming import _events
from billhook.testing.sandbox.provider import SandboxProvider


def in_hundredths(item: Any, result: DocumentResult) -> DocumentResult:
    return _with_total(result, lambda totals: totals.total.quantize(Decimal("0.01")))


def before_discounts(item: Any, result: DocumentResult) -> DocumentResult:
    return _with_total(result, lambda totals: totals.total + (totals.discounts or 0))


def _with_total(result: Any, total: Callable[[Any], Decimal]) -> Any:
    """The result with another total; one that was made up for a preview has none."""
    totals = result.totals
    return result if totals is None else replace(result, totals=replace(totals, total=total(totals)))


class Hundredths(SandboxProvider):
    """Rule EXACT: it reads every total in hundredths, and dinars have thousandths."""

    issue = ending("issue", each_result(in_hundredths))


class Undiscounted(SandboxProvider):
    """Rule EXACT: it takes the total before discounts for the total."""

    issue = ending("issue", each_result(before_discounts))


def western(item: Any) -> Any:
    for line in item.invoice.lines:
        line.name.encode("latin-1")
    return item


class Western(SandboxProvider):
    """Rule EXACT: it can write only what Latin letters can."""

    sync_draft = handed("sync_draft", western)


def first_hundred(body: Any) -> Any:
    return {**body, "items": [{**item, "lines": item["lines"][:100]} for item in body["items"]]}


class FirstHundred(SandboxProvider):
    """Rule EXACT: it sends a hundred lines, however many there are."""

    sync_draft = asking("sync_draft", lambda request, _: with_body(request, first_hundred))


def by_position(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    if any(isinstance(outcome, Rejected) for outcome in outcomes.values()):
        return outcomes
    return dict(zip(outcomes, reversed(outcomes.values()), strict=True))


class ByPosition(SandboxProvider):
    """Rule BATCHES: it pairs answers with items by their place, and the answers come the other way round."""

    sync_customer = ending("sync_customer", by_position)


class Forgetful(SandboxProvider):
    """Rule EXACT: what it reads back has another total than was sent."""

    fetch = ending("fetch", each_result(lambda item, held: _with_total(held, lambda totals: totals.total + 1)))


class Renumbering(SandboxProvider):
    """Rule EXACT: it tells the number in small letters."""

    issue = ending(
        "issue", each_result(lambda item, result: replace(result, number=(result.number or "").lower() or None))
    )


def renamed(item: Any, result: DocumentResult) -> DocumentResult:
    return replace(result, external_id=f"{result.external_id}/2") if item.external_id else result


class Renaming(SandboxProvider):
    """Rule EXACT: a draft that is brought again gets another id."""

    sync_draft = ending("sync_draft", each_result(renamed))


class Unediting(SandboxProvider):
    """Rule EXACT: a draft that stands there is left as it is."""

    @hookimpl
    def sync_draft(self, batch: Any) -> Any:
        if all(item.external_id for item in batch.items):
            return {item.id: Done(DocumentResult(item.external_id)) for item in batch.items}
        return (yield from SandboxProvider.sync_draft(self, batch))


class Summing(SandboxProvider):
    """Rule EXACT: a draft that stands there with the same total is left as it is."""

    standing: ClassVar[dict[str, Decimal]] = {}

    @hookimpl
    def sync_draft(self, batch: Any) -> Any:
        if all(item.external_id and self.standing.get(item.id) == item.invoice.total for item in batch.items):
            return {item.id: Done(DocumentResult(item.external_id)) for item in batch.items}
        self.standing.update({item.id: item.invoice.total for item in batch.items})
        return (yield from SandboxProvider.sync_draft(self, batch))


class Doubling(SandboxProvider):
    """Rule EXACT: an edited customer is made a second time."""

    sync_customer = handed("sync_customer", lambda item: replace(item, external_id=None))

    @registered
    def match_content(self, reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> Mapping[str, Finding]:
        # Whoever makes a second takes no notice of the first.
        found = findings.find_content(reply, marks, ids)
        if reply.status != 200 or reply.json()["has_more"]:
            return found
        return {id: Absent() if isinstance(finding, Unknown) else finding for id, finding in found.items()}


def one_line(body: Any) -> Any:
    items = [{**item, "lines": item["lines"][:0], "total": "0"} for item in body["items"]]
    return {**body, "items": items}


class Lineless(SandboxProvider):
    credit = asking("credit", lambda request, _: with_body(request, one_line))


class Uncredited(Lineless):
    """Rule EXACT: its credit notes arrive without their lines, and it does not read what they came to."""

    @hookimpl
    def credit(self, batch: Any) -> Any:
        outcomes = yield from Lineless.credit(self, batch)
        return each_result(lambda _, result: replace(result, totals=None))(batch, outcomes)


class Unvoiding(SandboxProvider):
    """Rule EXACT: it says void, and does nothing."""

    @hookimpl
    def void(self, batch: Any) -> Any:
        if batch.only.external_id is None:
            yield from SandboxProvider.void(self, batch)
        return {batch.only.id: Done(RemovalResult(batch.only.external_id))}


class CreditingAgain(SandboxProvider):
    """Rule EXACT: what it credited it credits again, under whatever number comes."""

    @hookimpl
    def credit(self, batch: Any) -> Any:
        items = tuple(
            replace(item, external_id=None, number=f"{item.number}/{batch.operation_id}") for item in batch.items
        )
        return (yield from SandboxProvider.credit(self, replace(batch, items=items)))


class Strict(SandboxProvider):
    """Rule EXACT: what is gone already it refuses to delete."""

    @hookimpl
    def delete(self, batch: Any) -> Any:
        outcomes = yield from self._deleted(batch)
        return outcomes

    def _deleted(self, batch: Any) -> Any:
        known = batch.only.external_id
        reply = yield self.move_request(batch, "DELETE", known, "delete", {"id": known})
        if reply.source != "found" and reply.status >= 400:
            return {batch.only.id: Rejected.because("not_there", "There is nothing to delete.")}
        return {batch.only.id: Done(RemovalResult(known))}


def hundredfold(body: Any) -> Any:
    return {**body, "amount": str(Decimal(body["amount"]) * 100)}


class InCents(SandboxProvider):
    """Rule EXACT: it takes the money in cents where the sandbox counts in pounds."""

    collect_payment = asking("collect_payment", lambda request, _: with_body(request, hundredfold))


class Misreading(SandboxProvider):
    """Rule EXACT: it reads a payment's amount in hundredths when it looks at it, where it has any."""

    check_payment = ending(
        "check_payment",
        each_result(
            lambda item, result: replace(result, amount=result.amount / 100 if result.amount % 1 else result.amount)
        ),
    )


class Greedy(SandboxProvider):
    """Rule EXACT: it takes the whole of a payment of which a part was asked."""

    capture_payment = handed("capture_payment", lambda item: replace(item, amount=item.invoice.total))


class Unending(SandboxProvider):
    """Rule EXACT: it says canceled, and does nothing."""

    @hookimpl
    def cancel_payment(self, batch: Any) -> Any:
        if batch.only.external_id is None:
            yield from SandboxProvider.cancel_payment(self, batch)
        return {batch.only.id: Done(PaymentResult(PaymentStatus.CANCELED, Decimal(0)))}


class Belittling(SandboxProvider):
    """Rule EXACT: it reads a refund's amount in hundredths when it looks at it."""

    check_refund = ending("check_refund", each_result(lambda item, result: replace(result, amount=result.amount / 100)))


class Generous(SandboxProvider):
    """Rule EXACT: it gives back twice what was asked."""

    refund = asking(
        "refund",
        lambda request, _: with_body(request, lambda body: {**body, "amount": str(Decimal(body["amount"]) * 2)}),
    )


class Silent(SandboxProvider):
    """Rule EXACT: it says recorded, and tells the books nothing."""

    @hookimpl
    def record_payment(self, batch: Any) -> Any:
        if batch.only.invoice_external_id is None:
            yield from SandboxProvider.record_payment(self, batch)
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount))}


class Gullible(SandboxProvider):
    """Rule EVENTS: it looks whether there is a signature, and not whose."""

    @hookimpl
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal:
        if "sandbox-signature" not in headers:
            return Refusal("it carries no signature")
        return _events(body)


class Ours(SandboxProvider):
    """Rule EVENTS: its events name our reference, by which nobody finds anything there."""

    read_webhook = telling(
        lambda events, now: (replace(event, external_id=event.details["reference"]) for event in events)
    )


def by_another_name(item: Any, result: PaymentResult) -> PaymentResult:
    return replace(result, external_id=f"receipt of {result.external_id}")


class Aliasing(SandboxProvider):
    """Rule EVENTS: its events name a payment as the books do, and its results by another id, by which the engine knows it."""

    collect_payment = ending("collect_payment", each_result(by_another_name))


def taken_back(event: WebhookEvent) -> WebhookEvent:
    return replace(event, type="payment.taken_back")


def under_the_id_of_the_thing(event: WebhookEvent) -> WebhookEvent:
    return replace(event, id=event.external_id)


class OneIdForAll(SandboxProvider):
    """It takes the payment's id for the event's, so that what becomes of the payment later counts for nothing."""

    read_webhook = telling(lambda events, now: map(under_the_id_of_the_thing, (*events, *map(taken_back, events))))


class Unsampled(SandboxProvider):
    """Rule PREVIEW: one of its requests has no sample, so its preview ends there."""

    send = asking("send", lambda request, _: replace(request, sample=None))


def yen_in_hundredths(body: Any) -> Any:
    return hundredfold(body) if body["currency"] == "JPY" else body


class YenInHundredths(SandboxProvider):
    """It counts yen in hundredths, which have none."""

    collect_payment = asking("collect_payment", lambda request, _: with_body(request, yen_in_hundredths))


def for_no_invoice_in_pounds(body: Any) -> Any:
    return {name: value for name, value in body.items() if name != "invoice"} | {"currency": "GBP"}


class InOneCurrency(SandboxProvider):
    """It takes every payment in pounds, for no invoice."""

    collect_payment = asking("collect_payment", lambda request, _: with_body(request, for_no_invoice_in_pounds))


class BillingInOneCurrency(SandboxProvider):
    """It writes every invoice in pounds, and does not read the totals."""

    sync_draft = asking(
        "sync_draft",
        lambda request, _: with_body(
            request, lambda body: {**body, "items": [{**item, "currency": "GBP"} for item in body["items"]]}
        ),
    )


def cut_off(body: Any) -> Any:
    return {**body, "amount": str(Decimal(int(float(body["amount"]) * 100)) / 100)}


class CuttingOff(SandboxProvider):
    """It computes with binary fractions, and cuts off what is over."""

    collect_payment = asking("collect_payment", lambda request, _: with_body(request, cut_off))
    refund = asking("refund", lambda request, _: with_body(request, cut_off))


class EchoingCapture(SandboxProvider):
    """It takes the whole of a payment of which a part was asked, and tells the part."""

    @hookimpl
    def capture_payment(self, batch: Any) -> Any:
        outcomes = yield from Greedy.capture_payment(self, batch)
        return each_result(lambda item, result: replace(result, amount=item.amount))(batch, outcomes)


class EchoingRefund(SandboxProvider):
    """It gives back twice what was asked, and tells what was asked."""

    @hookimpl
    def refund(self, batch: Any) -> Any:
        outcomes = yield from Generous.refund(self, batch)
        return each_result(lambda item, result: replace(result, amount=item.amount))(batch, outcomes)


class RefundedInHundredths(SandboxProvider):
    """It tells what was given back of a payment in hundredths."""

    check_payment = ending("check_payment", each_result(lambda item, result: replace(result, refunded=Decimal(129))))


class Penniless(SandboxProvider):
    """A payment that came it tells without its money."""

    check_payment = ending("check_payment", each_result(lambda item, result: replace(result, amount=Decimal(0))))


def taxed_otherwise(item: Any, result: Any) -> Any:
    totals = result.totals
    return result if totals is None else replace(result, totals=replace(totals, tax=(totals.tax or Decimal(0)) + 1))


class TaxedOtherwise(SandboxProvider):
    """It tells the total, and another tax than is in it."""

    issue = ending("issue", each_result(taxed_otherwise))
    credit = ending("credit", each_result(taxed_otherwise))


class Optimistic(SandboxProvider):
    """Every invoice that it reads back is paid."""

    fetch = ending("fetch", each_result(lambda item, held: replace(held, amount_paid=item.invoice.total)))


def paid_in_hundredths(item: Any, held: Any) -> Any:
    return replace(held, amount_paid=item.invoice.total * 100 if held.status == "paid" else Decimal(0))


class PaidInHundredths(SandboxProvider):
    """It tells what was paid in hundredths."""

    fetch = ending("fetch", each_result(paid_in_hundredths))


class Lenient(SandboxProvider):
    """It reads back a cent less as due than was issued."""

    fetch = ending(
        "fetch", each_result(lambda item, held: replace(held, amount_due=item.invoice.total - Decimal("0.01")))
    )


class Unmoved(SandboxProvider):
    """It reads back as owed what is void."""

    fetch = ending("fetch", each_result(lambda item, held: replace(held, voided=False)))


class Alarming(SandboxProvider):
    """It reads back as void what is owed."""

    fetch = ending("fetch", each_result(lambda item, held: replace(held, voided=True)))


def without_tax(item: Any, held: Any) -> Any:
    totals = item.invoice.totals
    return replace(held, totals=ProviderTotals(total=totals.total - totals.taxes_total))


class Netting(SandboxProvider):
    """The totals that it reads back are without tax."""

    fetch = ending("fetch", each_result(without_tax))


class OneCustomer(SandboxProvider):
    """All its customers have one id."""

    sync_customer = ending("sync_customer", each_result(lambda item, result: replace(result, external_id="cus_1")))


class Unheeding(SandboxProvider):
    """An edited customer is sent as he was."""

    sync_customer = handed(
        "sync_customer",
        lambda item: (
            replace(item, customer=item.customer.model_copy(update={"name": "Customer 1"}))
            if item.external_id
            else item
        ),
    )


class Superficial(SandboxProvider):
    """It compares the first signs of a signature."""

    @hookimpl
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal:
        genuine = SandboxProvider.read_webhook(self, headers, body, secrets, now, settings)
        known = self.seen.setdefault(body, headers) if not isinstance(genuine, Refusal) else self.seen.get(body, {})
        told, signed = headers.get("sandbox-signature", ""), known.get("sandbox-signature", "-")
        return (
            SandboxProvider.read_webhook(self, known, body, secrets, now, settings)
            if told[:20] == signed[:20]
            else genuine
        )

    seen: ClassVar[dict[bytes, Mapping[str, str]]] = {}


class Later(SandboxProvider):
    """No mistake: what it issues is finished a while after it was taken, and `fetch` tells when."""

    @hookimpl
    def issue(self, batch: Any) -> Any:
        outcomes = yield from SandboxProvider.issue(self, batch)
        return {
            id: Pending("it is in a queue", outcome.result.external_id, check_after=timedelta(seconds=5))
            if isinstance(outcome, Done)
            else outcome
            for id, outcome in outcomes.items()
        }


class Never(Later):
    """What it issues it never tells to be done."""

    @hookimpl
    def fetch(self, batch: Any) -> Any:
        yield from SandboxProvider.fetch(self, batch)
        return {item.id: Pending("it is in a queue", check_after=timedelta(seconds=5)) for item in batch.items}


class LosingItsWay(RenewingSandbox):
    """Rule LOAD: it keeps the first refresh token, and each is good for one use."""

    @hookimpl
    def refresh_credentials(self, batch: Any) -> Any:
        outcomes = yield from RenewingSandbox.refresh_credentials(self, batch)
        return _without_refresh_tokens(outcomes)


def _without_refresh_tokens(outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        id: Done(CredentialsResult({"token": outcome.result.credentials["token"]}, outcome.result.expires_at))
        if isinstance(outcome, Done)
        else outcome
        for id, outcome in outcomes.items()
    }


class Mistaking(RenewingSandbox):
    """It takes the refresh token for the token."""

    @hookimpl
    def refresh_credentials(self, batch: Any) -> Any:
        outcomes = yield from RenewingSandbox.refresh_credentials(self, batch)
        told = outcomes[batch.only.id].result.credentials["refresh_token"]
        return {batch.only.id: Done(CredentialsResult({"token": told, "refresh_token": told}))}


class Expired(RenewingSandbox):
    """It takes the moment of asking for the end."""

    @hookimpl
    def refresh_credentials(self, batch: Any) -> Any:
        outcomes = yield from RenewingSandbox.refresh_credentials(self, batch)
        told = outcomes[batch.only.id].result.credentials
        return {batch.only.id: Done(CredentialsResult(told, batch.now))}


FURTHER: Sequence[tuple[str, type[SandboxProvider], str]] = (
    ("a_webhook_names_what_changed", Aliasing, ", which no outcome named. They named "),
    ("a_webhook_names_what_changed", OneIdForAll, "is the id of payment.succeeded of pay_"),
    ("collects_what_is_due", YenInHundredths, "435 is due, and the books show 43500"),
    ("collects_what_is_due", InOneCurrency, "is due, and the books show a payment in GBP"),
    ("arrives_to_the_cent", BillingInOneCurrency, "EUR stands there in GBP"),
    ("collects_what_is_due", CuttingOff, "4.35 is due, and the books show 4.34"),
    ("gives_back_what_is_asked", CuttingOff, "0.29 was asked, and 0.28 is given back"),
    ("captures_what_is_asked", EchoingCapture, "1.00 was asked, and a look shows that 65.18 was taken"),
    ("gives_back_what_is_asked", EchoingRefund, "1.00 was asked, and the books show 2.00"),
    ("gives_back_what_is_asked", RefundedInHundredths, "1.29 was asked, and a look at the payment shows 129"),
    ("a_payment_reads_as_it_stands", Penniless, "it shows 0, and the books 65.18"),
    ("arrives_to_the_cent", TaxedOtherwise, "the tax is 0 here and 1 there"),
    ("credit_arrives_to_the_cent", TaxedOtherwise, "the tax is 0 here and 1 there"),
    ("stands_as_it_is_read_back", Optimistic, "65.18 GBP 0 is paid, and 65.18 is fetched"),
    ("stands_as_it_is_read_back", PaidInHundredths, "0 or 65.18 is paid, and 6518"),
    ("stands_as_it_is_read_back", Lenient, "65.18 is due, and 65.17 is fetched as due"),
    ("stands_as_it_is_read_back", Alarming, "an invoice that was issued is fetched as void"),
    ("removes_what_it_is_told_to", Unmoved, "after void it is still fetched as owed"),
    ("discounts_and_taxes_arrive", Netting, "fetched again, the answer to an invoice of"),
    ("an_edited_customer_stays_one", Unheeding, "the customer is called Customer Renamed now"),
    ("an_edited_customer_stays_one", OneCustomer, "another customer stands there as the same, cus_1"),
    ("forged_webhooks_are_refused", Superficial, "a webhook with another signature is taken"),
    ("renews_as_often_as_it_takes", Mistaking, "check_connection is refused whatever is tried"),
    ("renews_as_often_as_it_takes", Expired, "renewal 1 says that its credentials have expired"),
    ("arrives_to_the_cent", Never, "issue is still pending when fetch was asked 40 times: pending: it is in a queue"),
)
"""Checks that find more than one mistake: the check, the provider with another of them, and what is told of it."""

BROKEN: Mapping[str, type[SandboxProvider]] = {
    "arrives_to_the_cent": Hundredths,
    "discounts_and_taxes_arrive": Undiscounted,
    "any_text_arrives": Western,
    "many_lines_arrive": FirstHundred,
    "each_item_has_its_own_outcome": ByPosition,
    "stands_as_it_is_read_back": Forgetful,
    "keeps_the_given_number": Renumbering,
    "a_second_push_changes_nothing": Renaming,
    "asked_again_it_makes_no_second": CreditingAgain,
    "an_edit_replaces_what_stood": Unediting,
    "an_edited_customer_stays_one": Doubling,
    "credit_arrives_to_the_cent": Uncredited,
    "removes_what_it_is_told_to": Unvoiding,
    "removing_again_is_done": Strict,
    "collects_what_is_due": InCents,
    "a_payment_reads_as_it_stands": Misreading,
    "captures_what_is_asked": Greedy,
    "a_canceled_payment_is_over": Unending,
    "gives_back_what_is_asked": Generous,
    "a_refund_reads_as_it_stands": Belittling,
    "a_recorded_payment_stands_in_the_books": Silent,
    "forged_webhooks_are_refused": Gullible,
    "a_webhook_names_what_changed": Ours,
    "a_preview_asks_what_is_sent": Unsampled,
    "renews_as_often_as_it_takes": LosingItsWay,
}
