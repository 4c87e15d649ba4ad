"""Whether a number is final is a fact of the row, whatever the number looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billhook.contract import DocumentResult
from billhook.domain.numbering import DRAFT_SERIES
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.plugins.catalog import ProviderCatalog
from billhook.providers.custom_invoicing import provider

DRAFT = {
    "customer_key": "buyer",
    "currency": "EUR",
    "lines": [{"name": "Work", "price": {"type": "flat", "amount": "10"}}],
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.open(tmp_path / "billhook.db", catalog=ProviderCatalog.from_objects([provider])) as opened:
        yield opened


def a_shop(engine: Engine, **settings: bool) -> Namespace:
    billing = engine.namespace()
    app = billing.apps.install("custom_invoicing", settings=settings)
    billing.profiles.create(
        "Default",
        supplier={"name": "Seller"},
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
        is_default=True,
    )
    billing.customers.create("Buyer Company", key="buyer")
    return billing


def test_a_draft_series_of_the_hosts_own_still_ends_in_a_final_number(engine: Engine) -> None:
    billing = a_shop(engine)
    billing.numbers.define(DRAFT_SERIES.model_copy(update={"template": "D-{sequence}"}))
    issued = billing.invoices.submit(DRAFT)
    assert issued.number == "INV-BUCO-1"
    assert billing.numbers.audit("invoice")["invoice"].is_whole


def test_a_hosts_number_is_kept_even_if_it_looks_like_a_drafts(engine: Engine) -> None:
    billing = a_shop(engine)
    issued = billing.invoices.submit(DRAFT | {"number": "DRAFT-2026-7"})
    assert (issued.status, issued.number) == ("payment_processing.pending", "DRAFT-2026-7")
    assert billing.numbers.audit("invoice") == {}


def test_a_number_confirmed_with_the_draft_is_the_invoices(engine: Engine) -> None:
    billing = a_shop(engine, enable_draft_sync_hook=True)
    waiting = billing.invoices.submit(DRAFT)
    assert billing.invoices.get(waiting.id).waiting_for
    confirmed = billing.invoices.draft_synchronized(waiting.id, DocumentResult(number="X-9"))
    assert (confirmed.status, confirmed.invoice.number) == ("payment_processing.pending", "X-9")
