"""What a host must not hand in: a clear error with a stable code, and nothing left behind on either store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Shop, a_provider, bearer, careful_draft, copy_of, open_shop

from billhook.contract import hookimpl
from billhook.errors import BillhookError, ConfigError, InvalidInput, KeyReused, NotFound, ProviderLoadError
from billhook.testing.builders import a_supplier

OpenShop = Callable[..., Shop]
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
LINE = {"name": "Work", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}
MEGABYTE = 1024 * 1024


def settled(shop: Shop) -> Shop:
    """A shop in which everything that is made once is made already."""
    shop.submit()
    shop.run()
    return shop


@pytest.fixture(scope="module")
def one_shop(file_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all that is refused before the store is asked."""
    shop = settled(open_shop(copy_of(file_template, tmp_path_factory.mktemp("bad") / "billhook.db")))
    yield shop
    shop.close()


@pytest.fixture
def shop(a_shop_anywhere: OpenShop) -> Shop:
    return settled(a_shop_anywhere())


def refused(shop: Shop, act: Callable[[], Any]) -> BillhookError:
    """The error; every table has as many rows as before, and the worker finds nothing to do."""
    before, sent = shop.counts(), len(shop.wire.sent)
    with pytest.raises(BillhookError) as refusal:
        act()
    assert shop.counts() == before
    shop.run()
    assert (shop.counts(), len(shop.wire.sent)) == (before, sent)
    assert str(refusal.value)
    assert len(str(refusal.value)) < 1000
    return refusal.value


def a_line(**changes: Any) -> dict[str, Any]:
    return {**LINE, **changes}


def priced(amount: Any) -> dict[str, Any]:
    return a_line(price={"type": "unit", "amount": amount})


DRAFTS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown currency": ({"currency": "XXY"}, "/currency"),
    "a currency in small letters": ({"currency": "eur"}, "/currency"),
    "no currency": ({"currency": None}, "/currency"),
    "a price that is no number": ({"lines": [priced("NaN")]}, "/lines/0/price/amount"),
    "an infinite price": ({"lines": [priced("Infinity")]}, "/lines/0/price/amount"),
    "a binary fraction": ({"lines": [priced(0.1)]}, "/lines/0/price/amount"),
    "a price in words": ({"lines": [priced("ten")]}, "/lines/0/price/amount"),
    "a price of a thousand digits": ({"lines": [priced("9" * 1000)]}, "/lines/0/price/amount"),
    "a price with a huge exponent": ({"lines": [priced("1E+400")]}, "/lines/0/price/amount"),
    "a quantity that is no number": ({"lines": [a_line(quantity="NaN")]}, "/lines/0/quantity"),
    "a price of no known kind": ({"lines": [a_line(price={"type": "magic"})]}, "/lines/0/price"),
    "no lines": ({"lines": []}, "/lines"),
    "too many lines": ({"lines": [LINE] * 10_001}, "/lines"),
    "lines that are no list": ({"lines": {"0": LINE}}, "/lines"),
    "a line without a name": ({"lines": [a_line(name="")]}, "/lines/0/name"),
    "a line of ten megabytes": ({"lines": [a_line(description="x" * 10 * MEGABYTE)]}, "/lines/0/description"),
    "a name with a NUL": ({"lines": [a_line(name="a\0b")]}, "/lines/0/name"),
    "half a character": ({"lines": [a_line(name="\ud800")]}, "/lines/0/name"),
    "a line id that is none": ({"lines": [a_line(id="1")]}, "/lines/0/id"),
    "one line id twice": ({"lines": [a_line(id=UNKNOWN), a_line(id=UNKNOWN)]}, ""),
    "a discount of more than everything": (
        {"lines": [a_line(discounts=[{"type": "percentage", "percentage": "101"}])]},
        "/lines/0/discounts/0/percentage",
    ),
    "a period that ends before it begins": (
        {"period": {"start": "2026-05-02T00:00:00Z", "end": "2026-05-01T00:00:00Z"}},
        "/period",
    ),
    "a time without a zone": (
        {"period": {"start": "2026-05-01T00:00:00", "end": "2026-05-02T00:00:00"}},
        "/period/start",
    ),
    "a field that does not exist": ({"custmer": "jane"}, "/custmer"),
    "a key of a thousand letters": ({"key": "k" * 1000}, "/key"),
    "no customer": ({"customer_key": None}, ""),
    "two customers": ({"customer_id": UNKNOWN}, ""),
    "too much metadata": ({"metadata": {str(number): "x" for number in range(1000)}}, "/metadata"),
    "metadata that is no text": ({"metadata": {"a": 1}}, "/metadata/a"),
    "an exchange rate of exactly one": (
        {"exchange_rate": {"from_currency": "EUR", "to_currency": "USD", "rate": "1"}},
        "/exchange_rate",
    ),
    "an exchange rate from another currency": (
        {"exchange_rate": {"from_currency": "GBP", "to_currency": "USD", "rate": "1.25"}},
        "",
    ),
    "a workflow that contradicts itself": ({"workflow": {"tax_enabled": False, "tax_enforced": True}}, "/workflow"),
    "a draft period that is no duration": ({"workflow": {"draft_period": "tomorrow"}}, "/workflow/draft_period"),
    "a day that is still to come": ({"issued_at": "2099-01-01T00:00:00Z"}, "/issued_at"),
    "due before it is issued": ({"due_at": "2026-01-01T00:00:00Z"}, "/due_at"),
    "a credit note": ({"type": "credit_note"}, "/type"),
}


@pytest.mark.parametrize("case", DRAFTS)
def test_a_bad_draft_is_refused_at_its_place_and_leaves_nothing(one_shop: Shop, case: str):
    changes, place = DRAFTS[case]
    draft = {name: value for name, value in {**one_shop.draft(), **changes}.items() if value is not None}
    error = refused(one_shop, lambda: one_shop.ns.invoices.submit(draft))
    assert isinstance(error, InvalidInput)
    assert error.code
    assert error.code == error.code.lower()
    assert any(problem.path.startswith(place) for problem in error.problems), error.problems


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"currency": "EUR"',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'"' + b"x" * (33 * MEGABYTE) + b'"',
        b'{"currency": "EUR", "lines": NaN}',
    ],
    ids=["nothing", "null", "a list", "a brace", "no text", "cut off", "deep lists", "deep objects", "33 MB", "NaN"],
)
def test_bytes_that_are_no_draft_are_refused(one_shop: Shop, body: bytes):
    error = refused(one_shop, lambda: one_shop.ns.invoices.submit(body))
    assert isinstance(error, InvalidInput)


def test_deep_values_in_metadata_are_refused(one_shop: Shop):
    deep: Any = "x"
    for _ in range(5000):
        deep = {"a": deep}
    refused(one_shop, lambda: one_shop.ns.invoices.submit(one_shop.draft(metadata=deep)))


def test_all_problems_are_told_at_once(one_shop: Shop):
    draft = one_shop.draft(currency="XXY", lines=[priced("NaN"), a_line(name="")])
    error = refused(one_shop, lambda: one_shop.ns.invoices.submit(draft))
    assert isinstance(error, InvalidInput)
    paths = {problem.path for problem in error.problems}
    assert paths == {"/currency", "/lines/0/price/amount", "/lines/1/name"}


def test_a_digit_is_never_lost_on_the_way_in(shop: Shop):
    line = a_line(quantity="0.333333333333", price={"type": "unit", "amount": "1234567890123456.123456789012"})
    body = json.dumps(shop.draft(lines=[line])).encode()
    view = shop.ns.invoices.submit(body)
    assert view.lines[0].quantity == Decimal("0.333333333333")
    assert view.lines[0].price.amount == Decimal("1234567890123456.123456789012")


# Things that are not there, or are somebody else's.


def test_a_customer_of_another_namespace_is_not_found(shop: Shop):
    stranger = shop.engine.namespace("other").customers.create("Eve", key="eve")
    for changes in ({"customer_key": "eve"}, {"customer_key": None, "customer_id": stranger.id}):
        draft = {name: value for name, value in {**shop.draft(), **changes}.items() if value is not None}
        assert isinstance(refused(shop, lambda draft=draft: shop.ns.invoices.submit(draft)), NotFound)


def test_every_command_on_an_invoice_of_another_namespace_finds_nothing(shop: Shop):
    id = shop.ns.invoices.list().items[0].id
    other = shop.engine.namespace("other").invoices
    for act in (
        lambda: other.get(id),
        lambda: other.update(id, {"description": "x"}),
        lambda: other.delete(id),
        lambda: other.void(id),
        lambda: other.approve(id),
        lambda: other.retry(id),
        lambda: other.advance(id),
        lambda: other.record_payment(id, "1"),
        lambda: other.payment_status(id, "paid"),
        lambda: other.issuing_synchronized(id),
        lambda: other.timeline(id),
        lambda: other.preview(id),
    ):
        assert isinstance(refused(shop, act), NotFound)
    assert other.list().items == ()


def test_ids_that_nobody_has_find_nothing(shop: Shop):
    for id in (UNKNOWN, "", "nobody", "' OR 1=1 --", "\0", "\ud800"):
        for act in (
            shop.ns.invoices.get,
            lambda who: shop.ns.invoices.update(who, {"description": "x"}),
            shop.ns.customers.get,
            shop.ns.apps.get,
            shop.ns.profiles.get,
            shop.ns.credit_notes.get,
            lambda who: shop.ns.refunds.refund(who, "1"),
        ):
            error = refused(shop, lambda act=act, who=id: act(who))
            assert isinstance(error, NotFound | InvalidInput)


def test_an_app_of_another_namespace_serves_no_profile_here(shop: Shop):
    stranger = shop.engine.namespace("other").apps.install("books")
    supplier = a_supplier()
    apps = {"tax_app_id": stranger.id, "invoicing_app_id": stranger.id, "payment_app_id": stranger.id}
    error = refused(shop, lambda: shop.ns.profiles.create("Stolen", supplier=supplier, **apps))
    assert isinstance(error, NotFound)


def test_a_namespace_without_a_profile_says_what_is_missing(shop: Shop):
    other = shop.engine.namespace("empty")
    other.customers.create("Jane", key="jane")
    assert isinstance(refused(shop, lambda: other.invoices.submit(shop.draft())), NotFound)


# Keys.


CHANGES = [{"description": "other"}, {"currency": "USD"}, {"lines": [a_line(quantity="2")]}, {"metadata": {"a": "b"}}]


def test_a_key_that_was_used_with_other_content_is_refused(shop: Shop):
    draft = shop.draft()
    first = shop.ns.invoices.submit(draft)
    shop.run()
    for changes in CHANGES:
        error = refused(shop, lambda changes=changes: shop.ns.invoices.submit({**draft, **changes}))
        assert isinstance(error, KeyReused)
        assert first.id in str(error)
    assert shop.ns.invoices.submit(draft).id == first.id


def test_a_key_belongs_to_its_namespace(shop: Shop):
    draft = shop.draft()
    shop.ns.invoices.submit(draft)
    other = shop.engine.namespace("other")
    app = other.apps.install("books")
    apps = {"tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
    other.profiles.create("Usual", supplier=a_supplier(), is_default=True, **apps)
    other.customers.create("Jane", key="jane")
    assert other.invoices.submit({**draft, "description": "other"}).namespace == "other"


# Many at once.


def test_one_bad_draft_of_many_is_named_and_none_of_them_is_stored(one_shop: Shop):
    drafts = [one_shop.draft(), one_shop.draft(), one_shop.draft(lines=[LINE, priced("NaN")]), one_shop.draft()]
    error = refused(one_shop, lambda: one_shop.ns.invoices.submit_many(drafts))
    assert isinstance(error, InvalidInput)
    assert error.path == "/2/lines/1/price/amount"


def test_one_key_twice_in_one_call_is_one_invoice_or_refused(shop: Shop):
    draft = shop.draft()
    first, second = shop.ns.invoices.submit_many([draft, draft])
    assert first == second
    shop.run()
    other = shop.draft()
    error = refused(shop, lambda: shop.ns.invoices.submit_many([other, {**other, "description": "different"}]))
    assert isinstance(error, KeyReused)


def test_a_customer_that_one_draft_of_many_does_not_find_refuses_all(shop: Shop):
    drafts = [shop.draft(), shop.draft(customer_key="nobody")]
    assert isinstance(refused(shop, lambda: shop.ns.invoices.submit_many(drafts)), NotFound)


# Edits.


EDITS: list[dict[str, Any]] = [
    {"lines": [priced("NaN")]},
    {"lines": []},
    {"currency": "USD"},
    {"workflow": {"draft_period": "soon"}},
    {"metadata": {"a": 1}},
    {"description": "x" * 10 * MEGABYTE},
]


def test_a_bad_edit_leaves_the_invoice_as_it_was(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    before = shop.get(id)
    for edit in EDITS:
        assert isinstance(refused(shop, lambda edit=edit: shop.ns.invoices.update(id, edit)), InvalidInput)
        assert shop.get(id) == before


# Money.


def test_texts_and_amounts_of_a_payment_that_can_not_be_kept_are_refused(shop: Shop):
    id = shop.submit()
    shop.run()
    for amount, notes in (
        ("10.001", {}),
        ("1E-30", {}),
        ("1", {"method": "a\0b"}),
        ("1", {"external_id": "\ud800"}),
        ("1", {"key": "k" * 1000}),
    ):
        error = refused(shop, lambda amount=amount, notes=notes: shop.ns.invoices.record_payment(id, amount, **notes))
        assert isinstance(error, InvalidInput)


# Apps, customers, profiles.


def test_an_app_of_an_unknown_type_is_refused_with_what_there_is(one_shop: Shop):
    error = refused(one_shop, lambda: one_shop.ns.apps.install("boooks"))
    assert isinstance(error, ProviderLoadError)
    assert "books" in str(error)


@pytest.mark.parametrize("settings", [{"leger": "main"}, {"ledger": 7}, {"ledger": None}])
def test_settings_that_a_provider_does_not_take_are_refused(one_shop: Shop, settings: dict[str, Any]):
    assert isinstance(refused(one_shop, lambda: one_shop.ns.apps.install("books", settings=settings)), ConfigError)
    assert isinstance(
        refused(one_shop, lambda: one_shop.ns.apps.update(one_shop.app.id, settings=settings)), ConfigError
    )


def test_a_refused_secret_is_never_shown(a_shop: OpenShop):
    shop = a_shop(a_provider(credentials=True, sync_draft=careful_draft, members={"authenticate": hookimpl(bearer)}))
    error = refused(shop, lambda: shop.ns.apps.set_credentials(shop.app.id, {"tokn": "very-secret"}))
    assert isinstance(error, ConfigError)
    assert "very-secret" not in str(error)


CUSTOMERS: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 2000},
    {"name": "a\0b"},
    {"name": "\ud800"},
    {"name": "Jane", "email": "nobody"},
    {"name": "Jane", "currency": "XXY"},
    {"name": "Jane", "metadata": {"a": 1}},
    {"name": "Jane", "key": "jane"},
]


def test_a_bad_customer_is_refused(shop: Shop):
    for customer in CUSTOMERS:
        refused(shop, lambda customer=customer: shop.ns.customers.create(**customer))
