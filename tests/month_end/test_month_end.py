"""The month end of the session `month_end`, small: no call too many, every invoice once, and as few calls as may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from month import Month, end_of
from places import PLACES

from billhook.clock import TurnedClock


@pytest.mark.parametrize("provider", PLACES)
def test_a_tenant_with_much_to_do_is_never_refused_beside_somebody_else_who_calls_too(provider, tmp_path):
    invoices = 60 if provider == "stripe" else 700
    outcome = end_of(Month(provider, tenants=1, invoices_each=invoices), str(tmp_path / "billhook.db"))
    assert outcome.is_whole
    assert outcome.refused == 0
    assert outcome.another_made > 0


@pytest.mark.parametrize("provider", PLACES)
def test_small_tenants_keep_every_connection_of_the_worker_busy(provider, tmp_path):
    month = Month(provider, tenants=6, invoices_each=10, connections=2)
    outcome = end_of(month, str(tmp_path / "billhook.db"))
    assert outcome.is_whole
    assert outcome.refused == 0
    assert outcome.share > 0.75


@pytest.mark.parametrize("provider", PLACES)
def test_no_call_is_made_that_could_be_spared(provider, tmp_path):
    month = Month(provider, tenants=1, invoices_each=100, with_another=False)
    outcome = end_of(month, str(tmp_path / "billhook.db"))
    place = PLACES[provider](TurnedClock(month.begins_at), 1)
    allowed = {kind: least.for_invoices(100) for kind, least in place.least.items()}
    assert dict(outcome.calls) == allowed
