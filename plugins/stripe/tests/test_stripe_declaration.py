"""What the plugin says of itself, and that saying it loads nothing of Stripe's."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from billhook.contract import Capability, Unsupported
from billhook.errors import ConfigError
from billhook.plugins import ProviderHandle, check_provider, imports_on_load
from billhook_stripe import provider

HANDLE = ProviderHandle(provider)


def test_the_provider_keeps_the_contract():
    assert check_provider(provider) is provider


def test_loading_it_imports_nobody_else():
    assert imports_on_load("billhook_stripe:provider") == frozenset()


def test_describing_it_imports_no_sdk_and_no_simulator():
    script = (
        "import sys, billhook_stripe, billhook_stripe.simulator\n"
        "billhook_stripe.provider.declaration.describe()\n"
        "print([name for name in ('stripe', 'requests', 'httpx', 'sqlite3') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_provider_and_simulator_are_found_by_name():
    from billhook_stripe.simulator import simulator

    found = {
        group: [point.load() for point in entry_points(group=group, name="stripe")]
        for group in ("billhook.providers", "billhook.simulators")
    }
    if not any(found.values()):
        pytest.skip("the distribution is not installed here, so it has no entry points")
    assert found == {"billhook.providers": [provider], "billhook.simulators": [simulator]}


def test_what_it_can_t_do_has_a_reason():
    support = HANDLE.declaration.capabilities[Capability.CALCULATE_TAX]
    assert isinstance(support, Unsupported)
    assert support.reason


def test_no_endpoint_can_be_asked_more_often_than_it_takes():
    for limit in HANDLE.declaration.limits:
        assert limit.calls == (25 if limit.steps else 97), "three of a hundred are left to others"


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"base_url": "stripe"}, "base_url"),
        ({"base_url": "https://sk:x@api.stripe.com"}, "credentials"),
        ({"base_url": "https://api.stripe.com/v1"}, "base_url"),
        ({"account": "1234"}, "account"),
        ({"capture": "later"}, "capture"),
        ({"unattached_credit_notes": "lose"}, "unattached_credit_notes"),
        ({"api_key": "sk_1"}, "api_key"),
    ],
)
def test_a_wrong_setting_is_refused_when_the_app_is_configured(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        HANDLE.settings(changes)


def test_the_usual_settings_need_no_saying():
    assert HANDLE.settings({}).model_dump()["base_url"] == "https://api.stripe.com"
