"""An invoice as OpenMeter's first API shows it, judged by OpenMeter's own document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import openmeter_documents
from engine_kit import Shop, a_provider, careful_draft

from billhook.contract import DocumentResult
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.server.v1.invoice_wire import invoice_v1

UNIT = {"type": "unit", "amount": "10.00"}
TIERS = [{"up_to_amount": "5", "unit_price": "2"}, {"flat_price": "1", "unit_price": "0.5"}]
PERIOD = {"start": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}


def a_custom_shop(a_shop: Any, *, draft: bool = True, issuing: bool = True, **options: Any) -> Shop:
    shop: Shop = a_shop(custom_invoicing, **options)
    hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
    shop.ns.apps.update(shop.app.id, settings=hooks)
    return shop


def shown(shop: Shop, invoice_id: str, **options: Any) -> dict[str, Any]:
    """The invoice on the wire, as the document wants it."""
    wire = invoice_v1(shop.get(invoice_id), **options)
    assert_is_an_invoice(wire)
    return wire


def assert_is_an_invoice(wire: Mapping[str, Any]) -> None:
    path = f"/api/v1/billing/invoices/{wire['id']}"
    openmeter_documents.check("GET", path, httpx.Response(200, json=wire))


def test_an_invoice_that_waits_for_a_caller_says_where_it_stands_and_what_can_be_done(a_shop):
    shop = a_custom_shop(a_shop)
    id = shop.submit(description="April", metadata={"order": "7"})
    invoice = shown(shop, id)
    profile = shop.ns.profiles.list().items[0]
    details = shop.get(id)
    assert {name: invoice[name] for name in invoice if name not in {"lines", "workflow", "supplier"}} == {
        "id": id,
        "type": "standard",
        "number": "DRAFT-JADO-1",
        "description": "April",
        "metadata": {"order": "7"},
        "currency": "EUR",
        "customer": {
            "id": details.invoice.customer_id,
            "key": "jane",
            "name": "Jane Doe",
            "usageAttribution": {"subjectKeys": []},
        },
        "totals": {
            "amount": "10.00",
            "chargesTotal": "0",
            "discountsTotal": "0",
            "creditsTotal": "0",
            "taxesInclusiveTotal": "0",
            "taxesExclusiveTotal": "0",
            "taxesTotal": "0",
            "total": "10.00",
        },
        "createdAt": "2026-05-01T12:00:00Z",
        "updatedAt": "2026-05-01T12:00:00Z",
        "draftUntil": "2026-05-01T12:00:00Z",
        "collectionAt": "2026-05-01T12:00:00Z",
        "dueAt": "2026-05-31T12:00:00Z",
        "status": "draft",
        "statusDetails": {
            "immutable": False,
            "failed": False,
            "extendedStatus": "draft.syncing",
            "availableActions": {"delete": {"resultingState": "deleted"}},
        },
    }
    assert invoice["workflow"] == {
        "sourceBillingProfileId": profile.id,
        "apps": {role: {"id": shop.app.id} for role in ("tax", "invoicing", "payment")},
        "workflow": {
            "collection": {"alignment": {"type": "subscription"}, "interval": "PT1H"},
            "invoicing": {
                "autoAdvance": True,
                "draftPeriod": "P0D",
                "dueAfter": "P30D",
                "progressiveBilling": True,
                "subscriptionEndProrationMode": "bill_actual_period",
            },
            "payment": {"collectionMethod": "charge_automatically"},
            "tax": {"enabled": True, "enforced": False},
        },
    }


def test_a_line_shows_its_price_twice_and_its_part_as_a_child(a_shop):
    shop = a_custom_shop(a_shop)
    line = {
        "name": "Work",
        "feature_key": "api_calls",
        "quantity": "3",
        "price": UNIT,
        "period": PERIOD,
        "invoice_at": "2026-05-01T00:00:00Z",
        "tax_config": {"behavior": "exclusive", "code": "txcd_12345678", "rates": [{"name": "VAT", "percentage": "19"}]},
        "discounts": [{"type": "percentage", "percentage": "12.5"}],
        "metadata": {"a": "b"},
    }  # fmt: skip
    invoice = shown(shop, shop.submit(lines=[line]))
    assert invoice["period"] == {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
    (parent,) = invoice["lines"]
    (child,) = parent["children"]
    taxes = {"behavior": "exclusive", "stripe": {"code": "txcd_12345678"}}
    assert parent["price"] == parent["rateCard"]["price"] == UNIT
    assert (parent["featureKey"], parent["taxConfig"], parent["quantity"]) == ("api_calls", taxes, "3")
    assert parent["rateCard"]["discounts"] == {"percentage": {"percentage": 12.5}}
    assert parent["taxes"] == [{"percent": 19, "behavior": "exclusive"}]
    assert parent["totals"]["total"] == child["totals"]["total"] == "31.24"
    assert (parent["status"], child["status"], child["type"]) == ("valid", "detailed", "flat_fee")
    assert (child["perUnitAmount"], child["quantity"], child["category"]) == ("10.00", "3", "regular")
    (discount,) = child["discounts"]["amount"]
    assert (discount["amount"], discount["reason"]) == ("3.75", {"type": "ratecard_percentage", "percentage": 12.5})
    assert "discounts" not in parent


def test_all_five_prices_look_as_the_document_says(a_shop):
    shop = a_custom_shop(a_shop)
    prices = [
        {"type": "flat", "amount": "5", "payment_term": "in_arrears"},
        {"type": "unit", "amount": "2", "minimum_amount": "30", "maximum_amount": "100"},
        {"type": "tiered", "mode": "graduated", "tiers": TIERS},
        {"type": "dynamic", "multiplier": "1.5"},
        {"type": "package", "amount": "4", "quantity_per_package": "10"},
    ]
    lines = [
        {"name": price["type"], "price": price} | ({} if price["type"] == "flat" else {"quantity": "12"})
        for price in prices
    ]
    invoice = shown(shop, shop.submit(lines=lines))
    assert [line["price"] for line in invoice["lines"]] == [
        {"type": "flat", "amount": "5", "paymentTerm": "in_arrears"},
        {"type": "unit", "amount": "2", "minimumAmount": "30", "maximumAmount": "100"},
        {
            "type": "tiered",
            "mode": "graduated",
            "tiers": [
                {"upToAmount": "5", "flatPrice": None, "unitPrice": {"type": "unit", "amount": "2"}},
                {"flatPrice": {"type": "flat", "amount": "1"}, "unitPrice": {"type": "unit", "amount": "0.5"}},
            ],
        },
        {"type": "dynamic", "multiplier": "1.5"},
        {"type": "package", "amount": "4", "quantityPerPackage": "10"},
    ]
    assert [line["totals"]["total"] for line in invoice["lines"]] == ["5.00", "30.00", "14.50", "18.00", "8.00"]
    assert [child["category"] for child in invoice["lines"][1]["children"]] == ["regular", "commitment"]


def test_free_usage_stands_on_the_line_and_a_fixed_amount_on_its_part(a_shop):
    shop = a_custom_shop(a_shop)
    discounts = [{"type": "usage", "quantity": "20", "correlation_id": "01JADD00000000000000000000"}, {"type": "amount", "amount": "1"}]  # fmt: skip
    lines = [{"name": "Calls", "quantity": "15", "price": UNIT, "discounts": discounts}, {"name": "Seats", "quantity": "30", "price": UNIT, "discounts": discounts}]  # fmt: skip
    free, charged = shown(shop, shop.submit(lines=lines))["lines"]
    assert (free["quantity"], free["meteredQuantity"], "children" in free) == ("0", "15", False)
    assert (charged["quantity"], charged["meteredQuantity"]) == ("10", "30")
    reason = {"type": "ratecard_usage", "quantity": "20", "correlationId": "01JADD00000000000000000000"}
    assert [each["reason"] for each in free["discounts"]["usage"]] == [reason]
    assert [each["quantity"] for each in (*free["discounts"]["usage"], *charged["discounts"]["usage"])] == ["15", "20"]
    assert [each["amount"] for each in charged["children"][0]["discounts"]["amount"]] == ["1.00"]


def test_ids_of_the_outside_stand_on_the_invoice_its_lines_and_their_parts(a_shop):
    shop = a_custom_shop(a_shop, issuing=False)
    id = shop.submit(
        lines=[
            {"name": "Work", "quantity": "1", "price": UNIT, "discounts": [{"type": "percentage", "percentage": "50"}]}
        ]
    )
    (line,) = shown(shop, id)["lines"]
    (child,) = line["children"]
    (discount,) = child["discounts"]["amount"]
    result = DocumentResult(
        external_id="ext-1",
        payment_external_id="pay-1",
        line_ids={line["id"]: "l-1", child["id"]: "c-1"},
        discount_ids={discount["id"]: "d-1"},
    )
    shop.ns.invoices.draft_synchronized(id, result)
    invoice = shown(shop, id)
    (line,) = invoice["lines"]
    assert invoice["externalIds"] == {"invoicing": "ext-1", "payment": "pay-1"}
    assert line["externalIds"] == {"invoicing": "l-1"}
    assert line["children"][0]["externalIds"] == {"invoicing": "c-1"}
    assert line["children"][0]["discounts"]["amount"][0]["externalIds"] == {"invoicing": "d-1"}
    assert line["invoice"] == {"id": id, "number": "INV-JADO-1"}


def test_what_stops_an_invoice_is_listed(a_shop):
    def nowhere(self: Any, line: Any, invoice: Any, settings: Any) -> None:
        return None

    shop = a_shop(a_provider(sync_draft=careful_draft, map_line=nowhere))
    (issue,) = shown(shop, shop.submit())["validationIssues"]
    assert {name: issue[name] for name in ("severity", "code", "component", "field")} == {
        "severity": "critical",
        "code": "line_not_mapped",
        "component": "openmeter",
        "field": "/lines/0",
    }
    assert issue["createdAt"] == "2026-05-01T12:00:00Z"


def test_lines_can_be_left_out_and_apps_shown_in_full(a_shop):
    shop = a_custom_shop(a_shop)
    id = shop.submit()
    app = {"id": shop.app.id, "name": "Custom", "type": "custom_invoicing"}
    invoice = invoice_v1(shop.get(id), apps={shop.app.id: app}, expand=())
    assert "lines" not in invoice
    assert invoice["workflow"]["apps"] == dict.fromkeys(("tax", "invoicing", "payment"), app)


def test_a_line_without_times_shows_an_empty_period_when_the_invoice_was_made(a_shop):
    shop = a_custom_shop(a_shop)
    (line,) = shown(shop, shop.submit())["lines"]
    assert line["period"] == {"from": "2026-05-01T12:00:00Z", "to": "2026-05-01T12:00:00Z"}
    assert line["invoiceAt"] == "2026-05-01T12:00:00Z"
