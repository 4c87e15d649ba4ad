"""The figures that the server shows of its own answers."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from server_kit import Served, listening

from billhook.server import create_app
from billhook.testing.builders import an_id

CALLED = {
    ("GET", "/api/v1/customers/jane"): "/api/v1/customers/{customer}",
    ("GET", "/api/v3/openmeter/customers"): "/api/v3/openmeter/customers",
    ("GET", "/v3/openmeter/customers"): "/v3/openmeter/customers",
    ("POST", f"/api/v1/apps/custom-invoicing/{an_id()}/payment/status"): "/api/v1/apps/custom-invoicing/{invoiceId}/payment/status",
    ("POST", f"/webhooks/{an_id()}"): "/webhooks/{app_id}",
    ("GET", "/api/v1/nowhere"): "none",
}  # fmt: skip


@pytest.mark.parametrize("call, route", CALLED.items(), ids=CALLED.values())
def test_answers_are_counted_by_the_route_as_it_is_declared(served: Served, call: tuple[str, str], route: str):
    caller = served.http()
    status = caller.request(*call, json={"trigger": "paid"} if call[0] == "POST" else None).status_code
    counted = f'billhook_http_requests_total{{method="{call[0]}",route="{route}",status="{status}"}} 1.0'
    assert counted in caller.get("/metrics").text


def test_a_hosts_own_prefix_is_no_part_of_the_route(served: Served):
    host = FastAPI()
    host.mount("/billing", create_app(served.engine))
    with listening(host) as url, httpx.Client(base_url=url, trust_env=False) as caller:
        assert caller.get("/billing/readyz").status_code == 200
        assert 'route="/readyz",status="200"} 1.0' in caller.get("/billing/metrics").text
