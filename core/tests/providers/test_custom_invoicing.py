from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billhook.contract import Batch, Capability, CustomerLink, DocumentResult, Done, InvoiceItem, Pending, RemovalResult
from billhook.contract.operations import OPERATIONS
from billhook.errors import ConfigError, Unsupported
from billhook.plugins import ProviderHandle, check_provider, imports_on_load
from billhook.providers.custom_invoicing import CustomInvoicingSettings, provider
from billhook.testing.builders import a_view, an_id

HANDLE = ProviderHandle(provider)
VIEW = a_view()
WAITS_FOR_DRAFT = CustomInvoicingSettings(enable_draft_sync_hook=True)
WAITS_FOR_ISSUING = CustomInvoicingSettings(enable_issuing_sync_hook=True)


def outcome_of(capability, settings):
    item = InvoiceItem(VIEW.id, VIEW, CustomerLink(VIEW.customer_id))
    batch = Batch(an_id(9), (item,), settings, datetime(2026, 3, 1, tzinfo=UTC), "app", "default")
    outcomes = HANDLE.start(capability, batch)
    assert outcomes.keys() == {VIEW.id}
    return outcomes[VIEW.id]


def test_the_provider_keeps_the_contract():
    assert check_provider(provider) is provider


def test_loading_it_imports_no_client_of_anything():
    assert not imports_on_load("billhook.providers.custom_invoicing:provider") & {"httpx", "sqlalchemy", "sqlite3"}


def test_everything_it_does_is_done_inside_the_command():
    done = [capability for capability in OPERATIONS if HANDLE.declaration.can(capability)]
    assert done == [Capability.SYNC_DRAFT, Capability.ISSUE, Capability.VOID, Capability.DELETE]
    assert all(HANDLE.declaration.rules(capability).local for capability in done)


def test_without_hooks_nothing_waits():
    settings = HANDLE.settings({})
    assert outcome_of(Capability.SYNC_DRAFT, settings) == Done(DocumentResult())
    assert outcome_of(Capability.ISSUE, settings) == Done(DocumentResult())


@pytest.mark.parametrize(
    "settings, waiting, going_on",
    [
        (WAITS_FOR_DRAFT, Capability.SYNC_DRAFT, Capability.ISSUE),
        (WAITS_FOR_ISSUING, Capability.ISSUE, Capability.SYNC_DRAFT),
    ],
)
def test_a_hook_makes_the_invoice_wait_at_its_point_alone_and_only_for_a_caller(settings, waiting, going_on):
    pending = outcome_of(waiting, settings)
    assert isinstance(pending, Pending)
    assert (pending.check_after, pending.give_up_at) == (None, None)
    assert isinstance(outcome_of(going_on, settings), Done)


@pytest.mark.parametrize("capability", [Capability.DELETE, Capability.VOID])
@pytest.mark.parametrize("settings", [WAITS_FOR_DRAFT, WAITS_FOR_ISSUING])
def test_removing_never_waits(capability, settings):
    assert outcome_of(capability, settings) == Done(RemovalResult())


def test_money_is_never_collected_here():
    with pytest.raises(Unsupported, match="calls back with the payment's status"):
        HANDLE.start(Capability.COLLECT_PAYMENT, None)


def test_a_misspelt_hook_is_an_error():
    with pytest.raises(ConfigError, match="enable_draft_hook"):
        HANDLE.settings({"enable_draft_hook": True})
