"""What may happen in a life, as a table: each step, and how often it is taken among all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import elsewhere
import outages
import regrets
import tenant
from life import CUSTOMERS, LATEST, Life
from town import PERCENTAGES, Place

from billhook.errors import BillhookError
from billhook.testing.sandbox.payments import STEERING_KEY
from billhook.testing.simulator import FAULTS

CURRENCIES = ("EUR", "EUR", "EUR", "GBP", "JPY", "KWD")
AMOUNTS = ("10.00", "2.55", "99.99", "12.34", "0.01", "-3.00")
DISCOUNTS: tuple[dict[str, str], ...] = (
    {"type": "percentage", "percentage": "33.333"},
    {"type": "percentage", "percentage": "100"},
    {"type": "amount", "amount": "1"},
)
CARDS = (
    *("pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_card_threeDSecure2Required"),
    *("pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"),
)
STEERED = ("paid", "failed", "uncollectible", "action_required", "authorized", "processing")
COMMANDS = ("advance", "approve", "retry", "void", "delete", "capture", "cancel_payment", "preview", "timeline")
METHODS = {"snapshotQuantities": "snapshot_quantities"}
PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "late": {"seconds": 30},
    "slow": {"seconds": 20},
    "throttle": {"after_seconds": 61},
    "stored_500": {"applied": True},
}
WAITS = (1, 61, 3_600, 86_400, 31 * 86_400)
UNFINISHED = {"processing", "action_required", "authorized", "requires_action"}
MISTAKES: Mapping[str, tuple[dict[str, Any], ...]] = {
    "xero": ({"sales_account": "299"}, {"payment_account": "200"}, {"tax_types": {}}),
    "quickbooks": ({"default_item": "99"},),
}


# What the host does.


def submit(life: Life) -> str:
    chance = life.chance
    draft = {
        **_document(life, chance.choice(CURRENCIES)),
        "customer_key": _customer(life),
        "metadata": {STEERING_KEY: chance.choice(STEERED)} if chance.random() < 0.3 else {},
        "workflow": {
            "auto_advance": chance.random() < 0.8,
            "draft_period": chance.choice(["PT0S", "PT0S", "PT1H"]),
            "collection_method": chance.choice(["charge_automatically"] * 3 + ["send_invoice"]),
            "tax_rounding": chance.choice(["per_line", "on_total"]),
        },
    }
    life.invoices.append(life.space.invoices.submit(draft).id)
    return life.invoices[-1]


def edit(life: Life) -> str:
    invoice = life.some().invoice
    life.space.invoices.update(invoice.id, {"lines": _document(life, invoice.currency)["lines"]})
    life.lines.difference_update(line.id for line in invoice.lines)
    return invoice.id


def do_what_is_offered(life: Life) -> str:
    invoice = life.some()
    offered = [action.value for action in invoice.available_actions]
    likely = [action for action in offered if action != "delete"] or offered
    if not likely:
        return "nothing is offered"
    action = life.chance.choice(likely)
    try:
        getattr(life.space.invoices, METHODS.get(action, action))(invoice.id)
    except BillhookError as refused:
        life.troubles.append(f"{action} is offered to {invoice.id}, {invoice.status}, and refused: {refused}")
    return f"{action} of {invoice.id}"


def command(life: Life) -> str:
    name, id = life.chance.choice(COMMANDS), life.some().id
    getattr(life.space.invoices, name)(id)
    return f"{name} of {id}"


def record_a_payment(life: Life) -> str:
    invoice = life.some().invoice
    amount = life.chance.choice(["1", "100000", f"{invoice.amount_due:f}", f"{invoice.amount_due:f}"])
    life.space.invoices.record_payment(invoice.id, amount, key=life.key)
    return f"{amount} for {invoice.id}"


def take_a_payment_back(life: Life) -> str:
    invoice = life.some()
    if not invoice.payments:
        return "there is none"
    payment = life.chance.choice(invoice.payments)
    life.space.invoices.take_back_payment(invoice.id, payment.id, reason="noted by mistake")
    return payment.id


def give_back(life: Life) -> str:
    payments = life.some().payments
    if not payments:
        return "there is nothing"
    payment = life.chance.choice(payments)
    give = life.chance.choice([life.space.refunds.refund, life.space.refunds.refund, life.space.refunds.record])
    amount = life.chance.choice(["1", f"{payment.amount_received:f}"])
    give(payment.id, amount, key=life.key)
    return f"{amount} of {payment.id} by {give.__name__}"


def credit(life: Life) -> str:
    """Sometimes on an invoice of which somebody moved money in the books, known here or not."""
    differing = [each.reference for each in (*life.moved, *life.taken_out) if life.town[each.place].keeps_accounts]
    id = life.chance.choice(differing[-LATEST:]) if differing and life.chance.random() < 0.4 else life.some().id
    invoice = life.space.invoices.get(id).invoice
    draft = {
        **_document(life, invoice.currency),
        "type": "credit_note",
        "customer_key": invoice.content.customer.key,
        "credited_invoice_id": invoice.id if life.chance.random() < 0.8 else None,
    }
    life.notes.append(life.space.credit_notes.submit(draft).id)
    return f"{life.notes[-1]} on {invoice.id}"


def mend_a_note(life: Life) -> str:
    note = life.chance.choice(life.notes or ["none"])
    life.space.credit_notes.retry(note)
    return note


def say_how_it_is_paid(life: Life) -> str:
    said, id = life.chance.choice(["payment_failed", "payment_uncollectible", "payment_overdue"]), life.some().id
    life.space.invoices.payment_status(id, said)
    return f"{said} of {id}"


def serve_by_another_profile(life: Life) -> str:
    customer = life.space.customers.get(_customer(life))
    profile = life.chance.choice(life.profiles)
    life.space.overrides.set(customer.id, profile_id=profile)
    return f"{customer.key} by {profile}"


def change_a_customer(life: Life) -> str:
    key, card = _customer(life), life.chance.choice(CARDS)
    life.space.customers.update(key, name=f"Customer {life.key}", metadata={"stripe_payment_method": card})
    return f"{key} pays by {card}"


def retry_all(life: Life) -> int:
    return len(life.space.retry_failed())


def look_again(life: Life) -> str:
    doubts = life.space.doubts.list()
    if not doubts:
        return "nothing is in doubt"
    doubt = life.chance.choice(doubts)
    life.space.doubts.resolve(doubt.document_id, operation=doubt.operation, look_again=True)
    return f"for {doubt.operation} of {doubt.document_id}"


def disturb_an_app(life: Life) -> str:
    place, apps = _place(life), life.space.apps
    mistakes = MISTAKES.get(place.type.partition("_")[0], ())
    what = life.chance.choice(["disable", "revoke", "mistake"])
    if what == "mistake" and mistakes:
        apps.update(place.app_id, settings={**place.connection.settings, **life.chance.choice(mistakes)})
    elif what == "revoke":
        apps.set_credentials(place.app_id, place.wrong_credentials)
    else:
        apps.disable(place.app_id)
    return f"{what} of {place.name}"


def mend_the_apps(life: Life) -> None:
    life.mend()


# What the tenant changes.


def keep_lines(life: Life) -> str:
    return tenant.keep_lines(life, _document(life, life.chance.choice(CURRENCIES)), _customer(life))


def invoice_some_lines(life: Life) -> str:
    return tenant.invoice_some_lines(life, _customer(life))


def change_an_override(life: Life) -> str:
    return tenant.change_an_override(life, _customer(life))


def part_with_a_customer(life: Life) -> str:
    return tenant.part_with_a_customer(life, _customer(life))


# What happens elsewhere.


def strike(life: Life) -> str:
    kind, place = life.chance.choice(list(FAULTS)), _place(life)
    part = life.chance.choice([None, None, "POST ", "GET ", "ayment", "efund", "nvoice"])
    times, at_call = life.chance.choice([1, 1, 2, 5]), life.chance.choice([1, 2, 3])
    place.books.fault(kind, times=times, matching=part, at_call=at_call, **PARAMETERS.get(kind, {}))
    return f"{kind} at {place.name}, {part}"


def work(life: Life) -> None:
    life.work()


def work_a_little(life: Life) -> None:
    life.work(life.chance.choice([1, 2, 3]))


def crash(life: Life) -> str:
    return life.crash(life.chance.randint(1, 25))


def let_time_pass(life: Life) -> int:
    seconds = life.chance.choice(WAITS)
    life.clock.advance(timedelta(seconds=seconds))
    return seconds


def deliver_webhooks(life: Life) -> int:
    return life.deliver(losing=0.2)


def payers_act(life: Life) -> str:
    place = life.town[life.chance.choice(["sandbox", "later", "stripe", "cards"])]
    waiting = [payment for payment in place.books.payments() if payment.status in UNFINISHED]
    if not waiting:
        return "nobody has to"
    payment, does = life.chance.choice(waiting), life.chance.random() < 0.6
    if place.type == "stripe":
        place.books.finish_payment(payment.id, succeeds=does)
    else:
        place.books.finish_payment(payment.id, "paid" if does else "failed")
    return f"{payment.id} at {place.name}: {does}"


def a_bank_sends_a_refund_back(life: Life) -> str:
    place = life.town[life.chance.choice(["sandbox", "later", "stripe", "cards"])]
    made = [refund.id for refund in place.books.refunds() if refund.status == "succeeded"]
    if made:
        place.books.bounce_refund(made[0])
    return f"{made[:1]} of {place.name}"


def the_database_ends_every_session(life: Life) -> str:
    """At some moment of what is being done; the process goes on."""
    step = life.chance.choice(list(REPEATED))
    return f"{outages.sessions_end(life, step)} during {step.__name__}"


REPEATED = (
    *(submit, record_a_payment, take_a_payment_back, give_back, credit, retry_all, keep_lines, deliver_webhooks),
    *(work, work, work, work, work_a_little, regrets.take_a_refund_back, regrets.dismiss_a_warning),
)
"""What a host may ask again: under the same key, or because doing it twice is doing it once."""

STEPS: Mapping[Callable[[Life], Any], int] = {
    submit: 18,
    edit: 5,
    do_what_is_offered: 10,
    command: 8,
    record_a_payment: 6,
    take_a_payment_back: 3,
    give_back: 6,
    credit: 6,
    mend_a_note: 1,
    say_how_it_is_paid: 2,
    serve_by_another_profile: 4,
    change_a_customer: 4,
    retry_all: 2,
    look_again: 3,
    disturb_an_app: 3,
    mend_the_apps: 3,
    strike: 8,
    work: 20,
    work_a_little: 8,
    crash: 4,
    let_time_pass: 8,
    deliver_webhooks: 6,
    payers_act: 5,
    a_bank_sends_a_refund_back: 1,
    keep_lines: 4,
    tenant.remove_a_line: 1,
    invoice_some_lines: 3,
    tenant.collect_what_is_due: 1,
    tenant.change_a_profile: 2,
    tenant.add_a_profile: 1,
    change_an_override: 2,
    tenant.uninstall_an_app: 1,
    tenant.install_an_app_anew: 1,
    tenant.renew_credentials: 1,
    part_with_a_customer: 2,
    tenant.erase_who_is_gone: 1,
    tenant.prune: 2,
    tenant.void_a_note: 1,
    tenant.capture_a_part: 2,
    elsewhere.a_payer_pays_on_the_page: 5,
    elsewhere.the_office_enters_a_payment: 4,
    elsewhere.support_refunds_in_the_dashboard: 3,
    elsewhere.webhooks_are_lost: 1,
    regrets.take_a_refund_back: 3,
    regrets.owe_again_while_it_is_collected: 3,
    regrets.dismiss_a_warning: 3,
    regrets.the_office_enters_a_refund: 4,
    regrets.the_office_takes_out_what_was_taken_back: 3,
    regrets.the_office_slips: 1,
    regrets.the_office_undoes_a_slip: 2,
    the_database_ends_every_session: 3,
}

CHARACTER = (0, 1, 1, 1, 5)


def live(life: Life, steps: int) -> None:
    """So many steps, as chance has them. The first gives the others something to be about.

    Each life has a character: some things happen in it much more often than in others, and meet each other there.
    """
    life.take(submit)
    weights = [often * life.chance.choice(CHARACTER) for often in STEPS.values()]
    chosen = life.chance.choices(list(STEPS), weights, k=steps)
    for step in chosen:
        life.take(step)


# What steps are made of.


def _place(life: Life) -> Place:
    return life.chance.choice(list(life.town.values()))


def _customer(life: Life) -> str:
    return f"customer-{life.chance.randrange(CUSTOMERS)}"


def _document(life: Life, currency: str) -> dict[str, Any]:
    behavior = life.chance.choice(["inclusive", "exclusive"])
    lines = [_line(life, behavior) for _ in range(life.chance.choice([1, 1, 2, 3]))]
    return {"key": life.key, "currency": currency, "lines": lines}


def _line(life: Life, behavior: str) -> dict[str, Any]:
    chance = life.chance
    rates = [{"name": "VAT", "percentage": chance.choice(PERCENTAGES)}]
    taxed = {"tax_config": {"behavior": behavior, "rates": rates}} if chance.random() < 0.5 else {}
    less = {"discounts": [chance.choice(DISCOUNTS)]} if chance.random() < 0.3 else {}
    price = {"type": "unit", "amount": chance.choice(AMOUNTS)}
    return {"name": "Work", "quantity": chance.choice(["1", "3", "0.5"]), "price": price, **taxed, **less}
