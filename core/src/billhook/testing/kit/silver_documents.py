"""Silver: what is billed stands at the provider, to the cent, once, and is read back as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from billhook.contract import Capability, CreditNoteItem, Done, InvoiceItem, PaymentItem
from billhook.contract.version import ContractVersion
from billhook.domain.invoice import InvoiceDraft
from billhook.engine.totals import compare, differences
from billhook.testing.builders import a_line, an_invoice
from billhook.testing.desk import Ran, in_words, told_in
from billhook.testing.kit.bench import Bench
from billhook.testing.kit.check import Check, Exempt, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import (
    ONE_AT_A_TIME,
    a_credit_note,
    an_edited_customer,
    issued,
    removable,
    settled_payment,
    several_of,
    to_be_issued,
)
from billhook.testing.kit.strikes import another_ones
from billhook.testing.kit.trying import Refused, refuse_beforehand, tried
from billhook.testing.simulator.books import BookedDocument

C = Capability
MANY_LINES = 120
TEXTS = (
    "Zażółć gęślą jaźń",
    "漢字とかな 🎉",
    "عربى",
    "A \"quoted\" & <tagged> \\ name; -- 'x'",
    "%s {0} ${x}",
    "L" * 250,
)
MOST_AT_ONCE = 100
OTHER = 2
"""A customer who is not there yet."""
WORDS = ("Worded", "Reworded")
VAT = {"rates": [{"name": "VAT", "percentage": "20"}]}
_SAYS_VOID = ContractVersion(1, 1)
"""The first contract in which a look can say that something is void."""
INCLUDED = {"behavior": "inclusive", **VAT}
PERCENT_OFF = ({"type": "percentage", "percentage": "12.5"},)
MONEY_OFF = ({"type": "amount", "amount": "1"},)


def arrives_to_the_cent(examination: Examination) -> Verdict:
    """The total at the provider is ours, in currencies with no, two and three decimals."""
    currencies = examination.subject.currencies_to_try
    attempts = (partial(_in_currency, examination, currency) for currency in currencies)
    return tried("the total at the provider is the invoice's", "currency", attempts)


def _in_currency(examination: Examination, currency: str) -> str | None:
    dice = examination.dice(f"arrives/{currency}")
    lines = tuple(a_line(dice.randint(1, 40), currency) for _ in range(3))
    with examination.bench(currency=currency) as bench:
        draft = an_invoice(currency=currency).model_copy(update={"lines": lines})
        return _carried(bench, draft, may_refuse=currency != examination.subject.currency)


def _carried(bench: Bench, draft: InvoiceDraft, *, may_refuse: bool = False) -> str | None:
    """Issue an invoice. What its totals differ in there; raises Refused where it is refused beforehand, or may be refused at all."""
    try:
        return _issued_to_the_cent(bench, bench.invoice_item(1, draft))
    except AssertionError as error:
        if may_refuse:
            raise Refused(str(error)) from error
        raise


def _issued_to_the_cent(bench: Bench, item: InvoiceItem) -> str | None:
    refuse_beforehand(bench, item)
    if bench.can(C.SYNC_DRAFT):
        told = bench.run(C.SYNC_DRAFT, item)
        problem = _total_told(told.result.totals, item)
        item = replace(item, external_id=told.result.external_id)
        if problem is not None:
            return problem
    final = replace(item, number="INV-1")
    told = bench.run(C.ISSUE, final).result
    problem = _total_told(told.totals, item) or _total_in_books(bench, item)
    return problem or _total_fetched(bench, replace(final, external_id=told.external_id or item.external_id))


def _total_fetched(bench: Bench, item: InvoiceItem) -> str | None:
    """What differs in the figures that are read back: the engine would say that somebody changed the document there."""
    if not bench.can(C.FETCH):
        return None
    problem = _total_told(bench.run(C.FETCH, item).result.totals, item)
    return problem and f"fetched again, {problem}"


def _total_told(totals: Any, item: InvoiceItem) -> str | None:
    """What differs in the figures that an answer tells, compared as the engine does."""
    told = None if totals is None else totals.total
    if told is not None and told != item.invoice.total:
        return f"the answer to an invoice of {item.invoice.total} {item.invoice.currency} is a total of {told}"
    return "; ".join(differences(compare(item.invoice, totals))) or None


def _total_in_books(bench: Bench, item: InvoiceItem) -> str | None:
    document = booked(bench, item.id)
    if document is None:
        return f"the invoice {item.id} does not stand in the books"
    if document.total != item.invoice.total:
        return f"an invoice of {item.invoice.total} {item.invoice.currency} stands there with {document.total}"
    if document.currency != item.invoice.currency:
        return f"an invoice of {item.invoice.total} {item.invoice.currency} stands there in {document.currency}"
    return None if document.is_issued else "it stands in the books, and is not issued"


def booked(bench: Bench, reference: str) -> BookedDocument | None:
    """The document of that reference of ours, as the books have it."""
    return next((each for each in bench.books.documents() if each.reference == reference), None)


def discounts_and_taxes_arrive(examination: Examination) -> Verdict:
    """Discounts and taxes, added or included, come to the same total there."""
    shapes: tuple[dict[str, Any], ...] = (
        {"discounts": PERCENT_OFF},
        {"discounts": MONEY_OFF},
        {"tax_config": VAT},
        {"tax_config": INCLUDED},
        {"tax_config": VAT, "discounts": PERCENT_OFF},
    )
    attempts = (partial(_shaped, examination, shape) for shape in shapes)
    return tried("a discount or a tax is in the provider's total as it is in ours", "shape", attempts)


def _shaped(examination: Examination, shape: dict[str, Any]) -> str | None:
    with examination.bench() as bench:
        return _carried(bench, _shaped_draft(bench, shape))


def _shaped_draft(bench: Bench, shape: dict[str, Any]) -> InvoiceDraft:
    """Two lines, the first of that shape."""
    line = a_line(3, bench.currency).model_dump(mode="json", exclude_none=True) | shape
    lines = [line, a_line(1, bench.currency)]
    return InvoiceDraft.model_validate({"currency": bench.currency, "customer_key": "customer-1", "lines": lines})


def any_text_arrives(examination: Examination) -> Verdict:
    """Names in any script, with any sign, are carried or refused beforehand."""
    attempts = (partial(_named, examination, text) for text in TEXTS)
    return tried("a name in any script is carried", "text", attempts)


def _named(examination: Examination, text: str) -> str | None:
    with examination.bench() as bench:
        line = a_line(1, bench.currency, name=text)
        return _carried(bench, an_invoice(currency=bench.currency).model_copy(update={"lines": (line,)}))


def many_lines_arrive(examination: Examination) -> Verdict:
    """An invoice of many lines is carried whole."""
    most = examination.subject.declaration.money.max_lines or MANY_LINES

    def carried() -> str | None:
        with examination.bench() as bench:
            return _carried(bench, an_invoice(lines=min(most, MANY_LINES), currency=bench.currency))

    return tried(f"an invoice of {min(most, MANY_LINES)} lines is carried whole", "invoice", [carried])


def each_item_has_its_own_outcome(examination: Examination) -> Verdict:
    """Of as many in one request as it says it takes each gets its own id and its own total."""
    batched = [scene for scene in examination.scenes if _batch_of(examination, scene.capability) > 1]
    if not batched:
        return Exempt(ONE_AT_A_TIME)
    attempts = (partial(_own_outcomes, examination, scene) for scene in batched)
    return tried("each item's outcome is its own", "operation", attempts)


def _batch_of(examination: Examination, capability: Capability) -> int:
    return examination.subject.declaration.rules(capability).batch


def _own_outcomes(examination: Examination, scene: Any) -> str | None:
    with examination.bench() as bench:
        items = several_of(scene, bench, min(_batch_of(examination, scene.capability), MOST_AT_ONCE))
        if len(items) < 2:
            raise Refused(f"there is no second item of {scene.name}")
        outcomes = bench.run(scene.capability, *items).outcomes
        mixed_up = another_ones(bench.books, outcomes)
    undone = next((outcome for outcome in outcomes.values() if not isinstance(outcome, Done)), None)
    if undone is not None:
        return f"of {len(items)} of {scene.name} in one request, which it declares to take, one comes to {in_words(undone)}"
    return f"{scene.name} says {mixed_up}" if mixed_up else None


def stands_as_it_is_read_back(examination: Examination) -> Verdict:
    """Fetching an invoice shows what was sent."""
    attempts = [partial(_read_back, examination)]
    if examination.subject.can(C.COLLECT_PAYMENT) and examination.subject.can(C.ISSUE):
        attempts.append(partial(_read_back_paid, examination))
    return tried("what is fetched is what was issued", "invoice", attempts)


def _read_back(examination: Examination) -> str | None:
    with examination.bench() as bench:
        (item,) = issued(bench)
        known = bench.run(C.FETCH, item).result
        if not known.found:
            return "an invoice that was issued is not found"
        if known.external_id != item.external_id:
            return f"{item.external_id} was issued, and {known.external_id} is fetched"
        if known.voided:
            return "an invoice that was issued is fetched as void"
        owed = _due(known.amount_due, item, item.invoice.total)
        return _total_told(known.totals, item) or _paid(known.amount_paid, item, Decimal(0)) or owed


def _read_back_paid(examination: Examination) -> str | None:
    with examination.bench() as bench:
        payment = settled_payment(bench)
        if payment.invoice_external_id is None:
            raise Refused("it collects for invoices that live elsewhere")
        item = bench.invoice_item(1, number="INV-1", external_id=payment.invoice_external_id)
        known = bench.run(C.FETCH, item).result
        due = _due(known.amount_due, payment, payment.invoice.total, payment.invoice.total - payment.amount)
        return _paid(known.amount_paid, payment, Decimal(0), payment.amount) or due


def _due(told: Decimal | None, item: InvoiceItem | PaymentItem, *possible: Decimal) -> str | None:
    if told is None or told in possible:
        return None
    owed = " or ".join(f"{amount}" for amount in possible)
    return f"of an invoice of {item.invoice.total} {item.invoice.currency} {owed} is due, and {told} is fetched as due"


def _paid(told: Decimal | None, item: InvoiceItem | PaymentItem, *possible: Decimal) -> str | None:
    if told is None or told in possible:
        return None
    came = " or ".join(f"{amount}" for amount in possible)
    return f"of an invoice of {item.invoice.total} {item.invoice.currency} {came} is paid, and {told} is fetched"


def keeps_the_given_number(examination: Examination) -> Verdict:
    """An issued invoice has the number that it was given, and whoever gives it gives it once."""
    return tried("the number is the one that was given", "invoice", [partial(_numbered, examination)])


def _numbered(examination: Examination) -> str | None:
    with examination.bench() as bench:
        first, second = to_be_issued(bench)[0], _another(bench)
        told = [bench.run(C.ISSUE, item).result.number for item in (first, second)]
    if examination.subject.declaration.numbers.owner != "engine":
        return None if len(set(told)) == 2 else f"two invoices have the number {told[0]}"
    for item, number in zip((first, second), told, strict=True):
        if number not in {None, item.number}:
            return f"{item.number} was given, and the answer says {number}"
    return None


def _another(bench: Bench) -> InvoiceItem:
    return bench.drafted(2) if bench.can(C.SYNC_DRAFT) else replace(bench.invoice_item(2), number="INV-2")


def a_second_push_changes_nothing(examination: Examination) -> Verdict:
    """Bringing the same draft again leaves one, under the same id."""
    return tried("the draft that stands there is taken", "draft", [partial(_pushed_again, examination)])


def _pushed_again(examination: Examination) -> str | None:
    with examination.bench() as bench:
        item = replace(bench.invoice_item(1), external_id=bench.drafted(1).external_id)
        again = bench.run(C.SYNC_DRAFT, item).result.external_id
        if again not in {None, item.external_id}:
            return f"{item.external_id} became {again}"
        return _only_one(bench, item.id)


def _only_one(bench: Bench, reference: str) -> str | None:
    count = sum(each.reference == reference for each in bench.books.documents())
    return None if count == 1 else f"the draft stands there {count} times"


def asked_again_it_makes_no_second(examination: Examination) -> Verdict:
    """Asked again for what stands there already, as by a retry after other totals, it makes no second one."""
    attempts = (partial(_asked_again, examination, capability) for capability in (C.ISSUE, C.CREDIT))
    return tried("what stands there is taken", "operation", attempts)


def _asked_again(examination: Examination, capability: Capability) -> str | None:
    if not examination.subject.can(capability):
        raise Refused(f"it has no {capability}")
    if capability is C.ISSUE and examination.subject.can(C.FETCH):
        raise Refused("a retry looks at what stands there, and asks again only where it is gone")
    with examination.bench() as bench:
        item = _once(bench, capability)
        told = bench.run(capability, item).result
        known = replace(item, external_id=told.external_id or item.external_id)
        again = bench.run(capability, known).outcome
        count = sum(each.reference == item.id for each in bench.books.documents())
    if count != 1:
        return f"{capability} was asked again with the id that it told, {known.external_id}, and {count} stand there"
    named = again.result.external_id if isinstance(again, Done) else None
    return None if named in {None, known.external_id} else f"{known.external_id} became {named}"


def _once(bench: Bench, capability: Capability) -> InvoiceItem | CreditNoteItem:
    found: InvoiceItem | CreditNoteItem
    (found,) = to_be_issued(bench) if capability is C.ISSUE else a_credit_note(bench)
    return found


def an_edit_replaces_what_stood(examination: Examination) -> Verdict:
    """An edited draft has its new total there; new words are sent where the total stays."""
    attempts = (partial(attempt, examination) for attempt in (_edited, _reworded))
    return tried("the edited draft replaces the older one", "edit", attempts)


def _edited(examination: Examination) -> str | None:
    with examination.bench() as bench:
        standing = bench.drafted(1)
        shorter = bench.invoice_item(1, an_invoice(lines=1, currency=bench.currency), external_id=standing.external_id)
        bench.run(C.SYNC_DRAFT, shorter)
        document = booked(bench, shorter.id)
    if document is None:
        return "the draft is gone"
    return None if document.total == shorter.invoice.total else f"it still stands there with {document.total}"


def _reworded(examination: Examination) -> str | None:
    before, after = WORDS
    with examination.bench() as bench:
        first = bench.run(C.SYNC_DRAFT, _worded(bench, before))
        if not _says(first, before):
            raise Refused("the names of lines are not sent")
        again = bench.run(C.SYNC_DRAFT, replace(_worded(bench, after), external_id=first.result.external_id))
    return None if _says(again, after) else f"its lines are named {after} now, and nothing that is sent says so"


def _worded(bench: Bench, name: str) -> InvoiceItem:
    """A draft whose lines have that name."""
    draft = an_invoice(currency=bench.currency)
    lines = tuple(line.model_copy(update={"name": name}) for line in draft.lines)
    return bench.invoice_item(1, draft.model_copy(update={"lines": lines}))


def _says(ran: Ran, name: str) -> bool:
    """Whether something was sent with that name in it."""
    return any(name.encode() in told_in(step) for step in ran.sent)


def an_edited_customer_stays_one(examination: Examination) -> Verdict:
    """An edited customer is changed, not made a second time, and the new name is sent."""
    return tried("the customer who stands there is changed", "customer", [partial(_renamed, examination)])


def _renamed(examination: Examination) -> str | None:
    with examination.bench() as bench:
        items = an_edited_customer(bench)
        before = len(bench.books.customers())
        ran = bench.run(C.SYNC_CUSTOMER, *items)
        after = len(bench.books.customers())
        first = bench.run(C.SYNC_CUSTOMER, bench.customer_item(OTHER))
    if before != after:
        return f"there were {before} customers, and are {after}"
    if first.result.external_id == items[0].external_id:
        return f"another customer stands there as the same, {first.result.external_id}"
    *_, word = items[0].customer.name.split()
    if _says(ran, word) or not _says(first, "Customer"):
        return None
    return f"the customer is called {items[0].customer.name} now, and nothing that is sent says so"


def credit_arrives_to_the_cent(examination: Examination) -> Verdict:
    """A credit note stands there with our total, and with the tax in it."""
    attempts = (partial(_credited, examination, shape) for shape in ({}, {"tax_config": VAT}))
    return tried("the total of the credit note is ours", "credit note", attempts)


def _credited(examination: Examination, shape: dict[str, Any]) -> str | None:
    with examination.bench() as bench:
        draft = _shaped_draft(bench, shape)
        refuse_beforehand(bench, bench.invoice_item(1, draft))
        invoice = bench.issued(1, draft=draft) if bench.can(C.ISSUE) else None
        credited = draft.model_copy(update={"lines": draft.lines[:1]})
        item = bench.credit_item(50, credited, applies_to=invoice.external_id if invoice else None)
        refuse_beforehand(bench, item)
        told = bench.run(C.CREDIT, item).result
        document = booked(bench, item.id)
    if document is None:
        return "the credit note does not stand in the books"
    expected = item.credit_note.total
    if document.total != expected:
        return f"a credit note of {expected} stands there with {document.total}"
    return "; ".join(differences(compare(item.credit_note, told.totals))) or None


def removes_what_it_is_told_to(examination: Examination) -> Verdict:
    """What is voided or deleted counts no more."""
    return tried("it counts no more in the books", "operation", _removals(examination, _removed))


def _removals(
    examination: Examination, attempt: Callable[[Examination, Capability], str | None]
) -> Iterator[Callable[[], str | None]]:
    for capability in (C.VOID, C.DELETE):
        if examination.subject.can(capability) and examination.subject.can(C.ISSUE):
            yield partial(attempt, examination, capability)


def _to_remove(bench: Bench, capability: Capability) -> InvoiceItem:
    (item,) = removable(bench) if capability is C.DELETE else issued(bench)
    found: InvoiceItem = item
    return found


def _removed(examination: Examination, capability: Capability) -> str | None:
    with examination.bench() as bench:
        item = _to_remove(bench, capability)
        before = _counted(bench, item.id)
        bench.run(capability, item)
        after = _counted(bench, item.id)
        is_read = capability is not C.VOID or not _can_say_void(bench) or _is_read_as_void(bench, item)
    if before == after or after[1]:
        return f"after {capability} it still stands there"
    return None if is_read else "after void it is still fetched as owed; a Snapshot says `voided`"


def _can_say_void(bench: Bench) -> bool:
    """Whether the provider can look, and its contract has a word for what is void."""
    return bench.can(C.FETCH) and ContractVersion.parse(bench.subject.declaration.contract) >= _SAYS_VOID


def _is_read_as_void(bench: Bench, item: InvoiceItem) -> bool:
    """Whether a look shows that nobody owes it any more."""
    known = bench.run(C.FETCH, item).result
    return bool(known.voided or not known.found)


def _counted(bench: Bench, reference: str) -> tuple[object, bool]:
    document = booked(bench, reference)
    return (getattr(document, "status", document), document is not None and document.is_issued)


def removing_again_is_done(examination: Examination) -> Verdict:
    """Voiding, deleting or writing off what is so already is done."""
    removals = [*_removals(examination, _removed_again), *_write_offs(examination)]
    return tried("already void, gone or written off is Done", "operation", removals)


def _write_offs(examination: Examination) -> Iterator[Callable[[], str | None]]:
    if examination.subject.can(C.MARK_UNCOLLECTIBLE) and examination.subject.can(C.ISSUE):
        yield partial(_removed_again, examination, C.MARK_UNCOLLECTIBLE)


def _removed_again(examination: Examination, capability: Capability) -> str | None:
    with examination.bench() as bench:
        item = _to_remove(bench, capability)
        bench.run(capability, item)
        outcome = bench.run(capability, item).outcome
    return None if isinstance(outcome, Done) else f"a second {capability} comes to {in_words(outcome)}"


def _check(run: Callable[[Examination], Verdict], rule: Rule, *needs: Capability) -> Check:
    return Check(run.__name__, Tier.SILVER, rule, (run.__doc__ or "").splitlines()[0], run, needs)


CHECKS: tuple[Check, ...] = (
    _check(arrives_to_the_cent, Rule.EXACT, C.ISSUE),
    _check(discounts_and_taxes_arrive, Rule.EXACT, C.ISSUE),
    _check(any_text_arrives, Rule.EXACT, C.ISSUE),
    _check(many_lines_arrive, Rule.EXACT, C.ISSUE),
    _check(each_item_has_its_own_outcome, Rule.BATCHES),
    _check(stands_as_it_is_read_back, Rule.EXACT, C.FETCH),
    _check(keeps_the_given_number, Rule.EXACT, C.ISSUE),
    _check(a_second_push_changes_nothing, Rule.EXACT, C.SYNC_DRAFT),
    _check(asked_again_it_makes_no_second, Rule.EXACT, C.ISSUE, C.CREDIT),
    _check(an_edit_replaces_what_stood, Rule.EXACT, C.SYNC_DRAFT),
    _check(an_edited_customer_stays_one, Rule.EXACT, C.SYNC_CUSTOMER),
    _check(credit_arrives_to_the_cent, Rule.EXACT, C.CREDIT),
    _check(removes_what_it_is_told_to, Rule.EXACT, C.VOID, C.DELETE),
    _check(removing_again_is_done, Rule.EXACT, C.VOID, C.DELETE, C.MARK_UNCOLLECTIBLE),
)
