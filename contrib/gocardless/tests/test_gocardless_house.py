from __future__ import annotations

import pytest

from billhook.contract import Capability
from billhook.errors import ConfigError, Unsupported
from billhook.plugins import ProviderHandle, check_provider, imports_on_load
from billhook_gocardless import GoCardlessProvider, GoCardlessSettings

HANDLE = ProviderHandle(GoCardlessProvider)


def test_the_provider_keeps_the_contract():
    assert check_provider(GoCardlessProvider) is GoCardlessProvider


@pytest.mark.parametrize("target", ["billhook_gocardless:provider", "billhook_gocardless.simulator:simulator"])
def test_describing_it_imports_no_client_of_anything(target):
    assert not imports_on_load(target) & {"gocardless_pro", "httpx", "requests", "urllib3", "sqlalchemy"}


@pytest.mark.parametrize("capability", [Capability.ISSUE, Capability.SYNC_DRAFT, Capability.RECORD_PAYMENT])
def test_what_it_can_t_do_is_refused_with_the_reason(capability):
    with pytest.raises(Unsupported, match=r"GoCardless (collects money and keeps no invoices|knows only money)"):
        HANDLE.start(capability, None)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"base_url": "api.gocardless.com"}, "must be an address"),
        ({"base_url": "https://token@api.gocardless.com"}, "must hold no credentials"),
        ({"received_when": "created"}, "received_when"),
        ({"acess_token": "x"}, "acess_token"),
    ],
)
def test_a_wrong_setting_is_refused_when_the_app_is_configured(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        HANDLE.settings(changes)


def test_live_is_the_usual_address():
    assert GoCardlessSettings().base_url == "https://api.gocardless.com"
    assert HANDLE.settings({"base_url": "http://127.0.0.1:8080/"}).base_url == "http://127.0.0.1:8080"
