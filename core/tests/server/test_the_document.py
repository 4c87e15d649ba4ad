"""Our own OpenAPI document."""

from __future__ import annotations

import re


def test_the_document_has_the_callbacks_and_the_shape_of_refusals(served):
    document = served.http(None).get("/openapi.json").json()
    paths = document["paths"]
    callback = paths["/api/v1/apps/custom-invoicing/{invoiceId}/payment/status"]["post"]
    body = callback["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert body == "#/components/schemas/PaymentStatus"
    for operations in paths.values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_everything_that_the_document_refers_to_is_in_it(served):
    text = served.http(None).get("/openapi.json").text
    schemas = served.http(None).get("/openapi.json").json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= set(schemas)


def test_an_answer_without_content_is_described_as_one(served):
    paths = served.http(None).get("/openapi.json").json()["paths"]
    marketplace = "/api/v1/marketplace/listings/{type}/install/oauth2/authorize"
    assert "content" not in paths["/api/v1/notification/events/{event_id}/resend"]["post"]["responses"]["202"]
    assert "content" not in paths[marketplace]["get"]["responses"]["303"]


def test_the_document_has_the_webhooks_of_providers_which_need_no_token(served):
    webhook = served.http(None).get("/openapi.json").json()["paths"]["/webhooks/{app_id}"]["post"]
    assert list(webhook["responses"]) == ["200", "401", "default"]
    assert "security" not in webhook
