"""What goes out to Stripe: how fast, which bytes, by how many threads, and not with a revoked key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from stripe_kit import CATALOG, FINAL, SENT, URL, VAT, flat, submit, unit

from billhook.contract import Outgoing
from billhook.engine.engine import Engine
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import work_until_quiet
from billhook.testing.transport import SimulatorTransport
from billhook_stripe.simulator import simulator
from billhook_stripe.simulator.rules import StripeRules
from billhook_stripe.simulator.server import StripeSimulator


def test_drafts_come_as_fast_as_their_endpoints_take_them(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        submit(engine)
        work_until_quiet(engine, shop.clock)
        shop.clock.advance(timedelta(minutes=1))
        line, began_at = flat("One of many", "10.00"), shop.clock.now()
        held = {**SENT, "auto_advance": False}
        drafts = [
            {"key": f"many-{number}", "customer_key": "ada", "currency": "GBP", "lines": [line], "workflow": held}
            for number in range(200)
        ]
        engine.namespace().invoices.submit_many(drafts)
        work_until_quiet(engine, shop.clock)
        calls = [call for call in shop.books.calls() if call.at >= began_at]
    assert (len(calls), {call.status for call in calls}) == (400, {200})
    assert (calls[-1].at - began_at).total_seconds() < 200 / 25 / 0.95
    shop.close()


def test_a_revoked_key_holds_the_work_until_a_good_one_is_given(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        app = namespace.apps.list().items[0]
        namespace.apps.set_credentials(app.id, {"api_key": "sk_revoked"})
        ids = submit(engine)
        work_until_quiet(engine, shop.clock)
        assert namespace.apps.get(app.id).status == "unauthorized"
        assert shop.books.documents() == ()
        namespace.apps.set_credentials(app.id, {"api_key": "sk_test_simulator"})
        work_until_quiet(engine, shop.clock)
        assert {key: namespace.invoices.get(id).status for key, id in ids.items()} == FINAL
    assert shop.books.duplicates() == ()
    shop.close()


class Recording(SimulatorTransport):
    """Keeps what goes out."""

    def __init__(self, books: StripeSimulator) -> None:
        super().__init__({URL: books})
        self.sent: list[Outgoing] = []

    def send(self, request: Outgoing, timeout_seconds: float) -> Any:
        self.sent.append(request)
        return super().send(request, timeout_seconds)


def test_a_preview_shows_the_very_bytes_that_are_sent_later(new_shop):
    shop = new_shop()
    wire = Recording(shop.books)
    with Engine.open(
        shop.store_url, clock=shop.clock, catalog=CATALOG, transport=wire, credential_keys=CREDENTIAL_KEYS
    ) as engine:
        submit(engine)  # so that the customers stand there
        work_until_quiet(engine, shop.clock)
        draft = {"key": "shown", "customer_key": "ada", "currency": "GBP", "workflow": {"auto_advance": False}}
        id = engine.namespace().invoices.submit({**draft, "lines": [unit("Vase", "2", "7.50", tax_config=VAT)]}).id
        calls = len(wire.sent)
        first = next(step for step in engine.namespace().invoices.preview(id).steps if step.method == "POST")
        assert len(wire.sent) == calls
        work_until_quiet(engine, shop.clock)
        sent = wire.sent[calls]
        assert (first.operation, first.url, first.body) == ("sync_draft", sent.url, sent.body)
        assert not {"sk_test_simulator", "whsec_simulator"} & set(repr(first).split())
    shop.close()


def test_several_threads_carry_invoices_over_real_http(tmp_path):
    rules = StripeRules(account_calls=None, endpoint_calls=None)
    books = simulator(tmp_path / "books.db", rules=rules)
    with books.serve() as served, Engine.open(tmp_path / "billhook.db", catalog=CATALOG) as engine:
        namespace = engine.namespace()
        app = namespace.apps.install(
            "stripe", settings={"base_url": served.url}, credentials={"api_key": "sk_test_simulator"}
        )
        roles = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app.id)
        namespace.profiles.create(name="Usual", is_default=True, supplier={"name": "Acme"}, workflow={}, **roles)
        submit(engine)
        lines = [flat("One more", "10.00")]
        namespace.invoices.submit_many(
            [{"key": f"more-{each}", "customer_key": "ada", "currency": "GBP", "lines": lines} for each in range(9)]
        )
        with engine.worker(threads=6):
            _wait_until(lambda: sum(each.status == "paid" for each in books.documents()) == 11)
    assert books.duplicates() == ()
    assert books.totals() == {"GBP": Decimal("512.17")}
    books.close()


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do; give up when it can't come any more."""
    for _ in range(600):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to that within half a minute")
