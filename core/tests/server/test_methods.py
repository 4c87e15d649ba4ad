"""A method that a path does not take: the answer lists those that it does, whichever routes they belong to."""

from __future__ import annotations

import pytest

from billhook.testing.builders import an_id

HERE = an_id(77)


@pytest.mark.parametrize(
    "path, allowed",
    [
        ("/api/v1/customers", "GET, POST, HEAD"),
        (f"/api/v1/customers/{HERE}", "GET, PUT, DELETE, HEAD"),
        (f"/api/v3/openmeter/customers/{HERE}", "GET, PUT, DELETE, HEAD"),
        (f"/api/billhook/v1/invoices/{HERE}", "GET, PATCH, HEAD"),
        (f"/api/v1/apps/custom-invoicing/{HERE}/draft/synchronized", "POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_the_methods_of_every_route_at_the_path_are_listed(served, method, path, allowed):
    answer = served.http().request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_every_method_that_is_listed_is_taken_and_no_other(served):
    for path, operations in served.http(None).get("/openapi.json").json()["paths"].items():
        called = path.replace("{", "").replace("}", "")
        answer = served.http().request("TRACE", called)
        listed = {method.lower() for method in answer.headers["allow"].split(", ")} - {"head"}
        assert set(operations) <= listed, path
