"""Whatever two processes ask for at the same moment, it comes to what one after the other would come to: every pair, at every statement."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, bearer, careful_draft, put, repeat
from meeting_kit import Act, Ids, Meetings, Scene
from money_kit import an_undecided_payment, collect_payment, credit, refund

from billhook.contract import (
    Batch,
    CustomerResult,
    Done,
    PaymentResult,
    PaymentStatus,
    RemovalResult,
    WebhookEvent,
    hookimpl,
)
from billhook.domain.numbering import Series
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.store import schema
from billhook.testing.postgres import PostgresServer

# What the providers of these scenes do.


def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
    known = batch.only.external_id
    reply = yield put("customer", batch, "customers" if known is None else "changes", recover=(repeat(),))
    return {item["ref"]: Done(CustomerResult(known or item["id"])) for item in reply.json()["items"]}


def remove(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("remove", batch, "removed", recover=(repeat(),))
    return {batch.only.id: Done(RemovalResult())}


def finds_it_paid(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("check", batch, "checks", safe=True, key=None)
    return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}


def read_webhook(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
    return [WebhookEvent(*line.split(":")) for line in body.decode().split()]


HOOKS: dict[str, Any] = {
    "sync_customer": sync_customer,
    "sync_draft": careful_draft,
    "credit": credit,
    "void": remove,
    "delete": remove,
    "refund": refund,
    "read_webhook": read_webhook,
    "credentials": True,
    "members": {"authenticate": hookimpl(bearer)},
}
CHARGING, INVOICING = a_provider(**HOOKS, collect_payment=collect_payment), a_provider(**HOOKS)
TELLING_LATER = a_provider(**HOOKS, collect_payment=an_undecided_payment, check_payment=finds_it_paid)


# What there is before they meet.


def two_of_each(shop: Shop) -> Ids:
    """An app and a profile that everybody uses, and others that nobody does yet."""
    spare = shop.an_app(name="Spare")
    return {
        "jane": shop.ns.customers.get("jane").id,
        "app": shop.app.id,
        "profile": shop.ns.profiles.default().id,
        "spare": spare.id,
        "spare_profile": shop.a_profile(spare, name="Spare", is_default=False).id,
    }


def an_invoice(shop: Shop) -> Ids:
    ids = two_of_each(shop)
    ids["invoice"] = shop.submit()
    shop.run()
    return ids


def a_new_invoice(shop: Shop) -> Ids:
    return {**two_of_each(shop), "invoice": shop.submit()}


def a_paid_invoice(shop: Shop) -> Ids:
    ids = an_invoice(shop)
    (payment,) = shop.get(ids["invoice"]).payments
    return {**ids, "payment": payment.id}


def a_refund_by_mistake(shop: Shop) -> Ids:
    ids = a_paid_invoice(shop)
    return {**ids, "mistake": shop.ns.refunds.record(ids["payment"], "10")}


def two_invoices(shop: Shop) -> Ids:
    ids = {**an_invoice(shop), "other_invoice": shop.submit()}
    shop.run()
    return ids


def pending_lines(shop: Shop) -> Ids:
    ids = two_of_each(shop)
    kept = shop.ns.pending_lines.add(ids["jane"], "EUR", [LINE, LINE])
    return {**ids, "line": kept.lines[0].id, "other_line": kept.lines[1].id, "pool": kept.gathering.id}


def a_rule(shop: Shop) -> Ids:
    ids, here = two_of_each(shop), shop.ns.notifications
    ids["channel"] = here.channels.create("Hook", "https://example.com/hook").id
    ids["spare_channel"] = here.channels.create("Spare", "https://example.com/spare").id
    return {**ids, "rule": here.rules.create("invoice.created", "New", [ids["channel"]]).id}


# What they ask for.

LINE = {
    "name": "Later",
    "quantity": "1",
    "invoice_at": NOON - timedelta(days=1),
    "price": {"type": "unit", "amount": "10.00"},
}


def submit(key: str) -> Act:
    return lambda shop, ids: shop.ns.invoices.submit({**shop.draft(), "key": key})


def credit_some(key: str) -> Act:
    line = {"name": "Back", "quantity": "1", "price": {"type": "unit", "amount": "6"}}
    note = {"type": "credit_note", "customer_key": "jane", "currency": "EUR", "lines": [line], "key": key}
    return lambda shop, ids: shop.ns.credit_notes.submit_many([{**note, "credited_invoice_id": ids["invoice"]}])


def note_of_there(invoice: str, external_id: str) -> Act:
    line = {"name": "Back", "quantity": "1", "price": {"type": "unit", "amount": "6"}}
    note = {"type": "credit_note", "customer_key": "jane", "currency": "EUR", "lines": [line], "key": invoice}
    stands = {**note, "number": "CN-7", "external_id": external_id}
    return lambda shop, ids: shop.ns.credit_notes.submit_many([{**stands, "credited_invoice_id": ids[invoice]}])


def know(**entry: Any) -> Act:
    return lambda shop, ids: shop.ns.customer_apps.set(ids["jane"], [CustomerAppEntry(ids["app"], **entry)])


def define(name: str, template: str, **changes: Any) -> Act:
    return lambda shop, ids: shop.ns.numbers.define(Series(name=name, template=template, **changes))


def take_the_app_away(shop: Shop, ids: Ids) -> None:
    """Another profile takes over, and nothing needs the app any more."""
    shop.ns.profiles.update(ids["spare_profile"], is_default=True)
    shop.ns.profiles.delete(ids["profile"])
    shop.ns.apps.uninstall(ids["app"])


def hear(event: str) -> Act:
    return lambda shop, ids: shop.engine.receive_webhook(ids["app"], {}, event.encode())


CUSTOMER: dict[str, Act] = {
    "rename": lambda shop, ids: shop.ns.customers.update(ids["jane"], name="Jane Smith"),
    "e-mail": lambda shop, ids: shop.ns.customers.update(ids["jane"], email="jane@smith.example"),
    "rekey": lambda shop, ids: shop.ns.customers.update(ids["jane"], key="smith"),
    "another of that key": lambda shop, ids: shop.ns.customers.create("John", key="smith"),
    "delete customer": lambda shop, ids: shop.ns.customers.delete(ids["jane"]),
    "erase": lambda shop, ids: shop.ns.erase_customer(ids["jane"]),
    "pays by": know(payment_method="pm_1"),
    "known as": know(external_id="cus_9"),
    "forget": lambda shop, ids: shop.ns.customer_apps.delete(ids["jane"], ids["app"]),
    "override": lambda shop, ids: shop.ns.overrides.set(ids["jane"], profile_id=ids["spare_profile"]),
}
SETTING_UP: dict[str, Act] = {
    "name app": lambda shop, ids: shop.ns.apps.update(ids["spare"], name="Other"),
    "describe app": lambda shop, ids: shop.ns.apps.update(ids["spare"], description="Another one"),
    "disable": lambda shop, ids: shop.ns.apps.disable(ids["spare"]),
    "new token": lambda shop, ids: shop.ns.apps.set_credentials(ids["spare"], {"token": "new"}),
    "share": lambda shop, ids: shop.ns.apps.share_credentials(ids["spare"], ids["app"]),
    "uninstall": lambda shop, ids: shop.ns.apps.uninstall(ids["spare"]),
    "default": lambda shop, ids: shop.ns.profiles.update(ids["spare_profile"], is_default=True),
    "new default": lambda shop, ids: shop.a_profile(shop.ns.apps.get(ids["spare"]), name="New"),
    "delete profile": lambda shop, ids: shop.ns.profiles.delete(ids["spare_profile"]),
    "override": CUSTOMER["override"],
    "rotate": lambda shop, ids: shop.engine.rotate_credentials(),
}
INVOICE: dict[str, Act] = {
    "work": lambda shop, ids: shop.engine.run_until_idle(),
    "approve": lambda shop, ids: shop.ns.invoices.approve(ids["invoice"]),
    "edit": lambda shop, ids: shop.ns.invoices.update(ids["invoice"], {"description": "better"}),
    "retry": lambda shop, ids: shop.ns.invoices.retry(ids["invoice"]),
    "void": lambda shop, ids: shop.ns.invoices.void(ids["invoice"]),
    "delete": lambda shop, ids: shop.ns.invoices.delete(ids["invoice"]),
    "pay": lambda shop, ids: shop.ns.invoices.record_payment(ids["invoice"], "4", key="bank"),
    "paid": lambda shop, ids: shop.ns.invoices.payment_status(ids["invoice"], "paid"),
    "credit": credit_some("one"),
    "credit more": credit_some("two"),
    "annotate": lambda shop, ids: shop.ns.invoices.annotate(ids["invoice"], {"seen": "yes"}),
    "take the app away": take_the_app_away,
}
MONEY: dict[str, Act] = {
    "refund": lambda shop, ids: shop.ns.refunds.refund(ids["payment"], "6", key="one"),
    "refund it too": lambda shop, ids: shop.ns.refunds.refund(ids["payment"], "6", key="one"),
    "refund elsewhere": lambda shop, ids: shop.ns.refunds.record(ids["payment"], "6", key="two"),
    "void": INVOICE["void"],
    "credit": INVOICE["credit"],
    "pay": INVOICE["pay"],
    "delete customer": CUSTOMER["delete customer"],
    "take the app away": take_the_app_away,
}
MISTAKES: dict[str, Act] = {
    "take it back": lambda shop, ids: shop.ns.refunds.take_back(ids["mistake"], reason="Never sent."),
    **{name: MONEY[name] for name in ("refund", "refund elsewhere", "void", "credit", "delete customer")},
}
NOTING: dict[str, Act] = {
    "note it": note_of_there("invoice", "memo-7"),
    "note it on the other": note_of_there("other_invoice", "memo-7"),
    "pay": INVOICE["pay"],
}
LINES: dict[str, Act] = {
    "add": lambda shop, ids: shop.ns.pending_lines.add(ids["jane"], "EUR", [LINE]),
    "open a pool": lambda shop, ids: shop.ns.pending_lines.add(ids["jane"], "USD", [LINE]),
    "remove": lambda shop, ids: shop.ns.pending_lines.remove([ids["other_line"], ids["line"]]),
    "invoice now": lambda shop, ids: shop.ns.gathering.invoice_now(ids["jane"]),
    "invoice one": lambda shop, ids: shop.ns.gathering.invoice_now(ids["jane"], line_ids=[ids["line"]]),
    "collect": lambda shop, ids: shop.ns.gathering.collect_due(),
    "delete pool": lambda shop, ids: shop.ns.all_invoices.delete(ids["pool"]),
    "delete customer": CUSTOMER["delete customer"],
    "take the app away": take_the_app_away,
}
TELLING: dict[str, Act] = {
    "name channel": lambda shop, ids: shop.ns.notifications.channels.update(ids["channel"], name="Other"),
    "switch off": lambda shop, ids: shop.ns.notifications.channels.update(ids["channel"], disabled=True),
    "delete spare": lambda shop, ids: shop.ns.notifications.channels.delete(ids["spare_channel"]),
    "new rule": lambda shop, ids: shop.ns.notifications.rules.create("invoice.created", "Two", [ids["spare_channel"]]),
    "move": lambda shop, ids: shop.ns.notifications.rules.update(ids["rule"], channel_ids=[ids["spare_channel"]]),
    "name rule": lambda shop, ids: shop.ns.notifications.rules.update(ids["rule"], name="Other"),
    "delete rule": lambda shop, ids: shop.ns.notifications.rules.delete(ids["rule"]),
    "submit": submit("one"),
}
NUMBERS: dict[str, Act] = {
    "work": INVOICE["work"],
    "approve": INVOICE["approve"],
    "begin at 100": define("invoice", "X-{sequence}", start=100),
    "new template": define("invoice", "Y-{sequence}"),
    "new series": define("eu", "EU-{sequence}"),
    "same template": define("eu2", "EU-{sequence}"),
    "submit": submit("one"),
}
SUBMITTING: dict[str, Act] = {
    "submit": submit("one"),
    "submit it too": submit("one"),
    "submit another": submit("two"),
    "work": INVOICE["work"],
    "take the app away": take_the_app_away,
    "new token": lambda shop, ids: shop.ns.apps.set_credentials(ids["app"], {"token": "new"}),
}

BRINGING = {"work": INVOICE["work"], **{name: CUSTOMER[name] for name in ("rename", "pays by", "known as", "forget")}}
NAMING = {
    **{name: BRINGING[name] for name in ("work", "rename", "known as", "forget")},
    "it was linked": hear("e1:customer:cus_9:linked"),
    "it was made": hear("e2:customer:customers-1:made"),
}
HEARING = {"work": INVOICE["work"], "it was paid": hear("e1:payment:pay-1:paid"), "pay": INVOICE["pay"]}


# What must hold in the end, whatever a worker was doing.


def what_was_said_of_jane_stays(shop: Shop, ids: Ids, done: set[str]) -> Iterator[str]:
    if "forget" in done:
        return  # whatever was said before it is forgotten, and the customer may be made anew
    links = shop.rows(schema.customer_link, customer_id=ids["jane"], app_id=ids["app"])
    link = links[0] if links else dict.fromkeys(("payment_method", "external_id", "synced_revision"))
    wanted = {"pays by": ("payment_method", "pm_1"), "known as": ("external_id", "cus_9")}
    wanted["rename"] = ("synced_revision", 2)
    for name, (column, value) in wanted.items():
        if name in done and link[column] != value:
            yield f"after {name}, {column} is {link[column]!r}"
    made = [id for reference, id in shop.books.documents if reference == ids["jane"] and id.startswith("customers")]
    if len(made) > 1:
        yield f"the customer was made as {made}"


def what_was_heard_was_looked_at(shop: Shop, ids: Ids, done: set[str]) -> Iterator[str]:
    if "it was paid" in done and shop.status(ids["invoice"]) != "paid":
        yield f"the invoice is {shop.status(ids['invoice'])}, although its payment was told of"


def who_was_named_is_known(shop: Shop, ids: Ids, done: set[str]) -> Iterator[str]:
    known = {row["external_id"] for row in shop.rows(schema.customer_link)}
    for event in shop.rows(schema.inbox):
        if event["state"] == "unmatched" and event["external_id"] in known:
            yield f"nobody knows {event['external_id']}, who is {ids['jane']}"


def each_line_is_somewhere_once(shop: Shop, ids: Ids, done: set[str]) -> Iterator[str]:
    pending = [row["id"] for row in shop.rows(schema.pending_line)]
    bodies = [bytes(row["body"]).decode() for row in shop.rows(schema.document_body)]
    for line in (ids["line"], ids["other_line"]):
        places = pending.count(line) + sum(line in body for body in bodies)
        if places > 1 or (places == 0 and done.isdisjoint({"remove", "delete pool"})):
            yield f"line {line} is in {places} places"


GATHERS = frozenset({"invoice now", "invoice one", "collect"})
"""They read the lines, ask for the usage, and then make the invoice: whoever took a line meanwhile has it, and they are to be asked again."""

SCENES = {
    scene.name: scene
    for scene in (
        Scene("customers", CHARGING, two_of_each, CUSTOMER),
        Scene("setting up", CHARGING, two_of_each, SETTING_UP),
        Scene("submitting", CHARGING, two_of_each, {**SUBMITTING, **CUSTOMER}),
        Scene("drafts", INVOICING, an_invoice, INVOICE, {"auto_advance": False}),
        Scene("issued", INVOICING, an_invoice, INVOICE),
        Scene("money", CHARGING, a_paid_invoice, MONEY),
        Scene("mistakes", CHARGING, a_refund_by_mistake, MISTAKES),
        Scene("noting", INVOICING, two_invoices, NOTING),
        Scene("pending lines", CHARGING, pending_lines, LINES, in_steps=GATHERS, rule=each_line_is_somewhere_once),
        Scene("telling", CHARGING, a_rule, TELLING),
        Scene("bringing", CHARGING, a_new_invoice, BRINGING, rule=what_was_said_of_jane_stays),
        Scene("naming", CHARGING, a_new_invoice, NAMING, rule=who_was_named_is_known),
        Scene("hearing", TELLING_LATER, a_new_invoice, HEARING, rule=what_was_heard_was_looked_at),
        Scene("numbers", INVOICING, an_invoice, NUMBERS, {"auto_advance": False}),
    )
}
EVERY_PAIR = [(scene, *pair) for scene in SCENES.values() for pair in product(scene.acts, repeat=2)]
EVERYDAY = (
    ("customers", "rename", "e-mail"),
    ("customers", "e-mail", "delete customer"),
    ("customers", "delete customer", "erase"),
    ("customers", "override", "delete customer"),
    ("setting up", "name app", "disable"),
    ("setting up", "describe app", "uninstall"),
    ("setting up", "default", "new default"),
    ("submitting", "submit", "delete customer"),
    ("submitting", "submit", "take the app away"),
    ("money", "refund", "refund elsewhere"),
    ("money", "refund", "refund it too"),
    ("money", "refund", "take the app away"),
    ("mistakes", "take it back", "void"),
    ("issued", "void", "credit"),
    ("noting", "note it", "note it on the other"),
    ("telling", "submit", "switch off"),
    ("bringing", "work", "pays by"),
    ("naming", "known as", "it was linked"),
    ("naming", "work", "it was made"),
    ("hearing", "work", "it was paid"),
    ("numbers", "approve", "begin at 100"),
)


@pytest.fixture(scope="module")
def meetings(postgres_server: PostgresServer, database_template: str) -> Meetings:
    return Meetings(postgres_server, database_template)


@pytest.mark.parametrize("scene, first, second", EVERYDAY)
def test_two_who_meet_come_to_what_one_after_the_other_comes_to(
    meetings: Meetings, scene: str, first: str, second: str
):
    assert meetings.strange(SCENES[scene], first, second) == []


@pytest.mark.long
@pytest.mark.parametrize("scene, first, second", EVERY_PAIR, ids=str)
def test_whoever_meets_comes_to_what_one_after_the_other_comes_to(
    meetings: Meetings, scene: Scene, first: str, second: str
):
    assert meetings.strange(scene, first, second) == []
