from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from xero_kit import schema_folder

from billhook.contract import Capability
from billhook.testing.builders import a_line, an_invoice
from billhook.testing.simulator import SimRequest
from billhook_xero import sdk
from billhook_xero.simulator.judge import Judge


def test_the_bytes_of_a_draft_are_these(desk):
    line = a_line(1, "GBP", name="Seats", quantity=Decimal("2.5"), price={"type": "unit", "amount": "3.15"})
    item = desk.invoice_item(1, an_invoice(currency="GBP", lines=1).model_copy(update={"lines": (line,)}))
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(item))
    assert (request.method, request.url.partition("/api.xro")[2]) == (
        "PUT",
        "/2.0/Invoices?summarizeErrors=false&unitdp=4",
    )
    assert request.body.decode() == (
        '{"Invoices":[{"Type":"ACCREC","Contact":{"ContactID":"'
        + item.customer.external_id
        + '","HasAttachments":false,'
        '"HasValidationErrors":false},"LineItems":[{"Description":"Seats","Quantity":2.5,"UnitAmount":3.15,"AccountCode":"200",'
        '"LineAmount":7.88}],"Date":"/Date(1772409600000)/","DueDate":"/Date(1772409600000)/","LineAmountTypes":"NoTax",'
        f'"InvoiceNumber":"{item.id}","Reference":"{item.id}","CurrencyCode":"GBP","Status":"DRAFT","HasAttachments":false,'
        '"HasErrors":false}]}'
    )


def test_decimals_arrive_digit_for_digit(desk, xero):
    line = a_line(1, "GBP", quantity=Decimal(1), price={"type": "flat", "amount": "12345678901234.56"})
    item = desk.invoice_item(1, an_invoice(currency="GBP", lines=1).model_copy(update={"lines": (line,)}))
    desk.run(Capability.SYNC_DRAFT, item)
    assert xero.documents()[0].total == Decimal("12345678901234.56")


def test_the_encoder_keeps_every_digit_that_the_vendors_own_would_round():
    models = sdk.models()
    exact = Decimal("12345678901234.5678")
    invoices = models.Invoices(invoices=[models.Invoice(line_items=[models.LineItem(unit_amount=exact)])])
    made = sdk.encoded("https://x", lambda api: api.create_invoices("tenant", invoices))
    assert b'"UnitAmount":12345678901234.5678}' in made.body
    assert float(exact) != exact


def test_no_credential_and_no_agent_is_in_a_request(desk):
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(desk.invoice_item(1)))
    assert {name for name, _ in request.headers} == {"Accept", "Content-Type", "xero-tenant-id"}


def test_text_of_any_script_arrives_as_it_is(desk, xero):
    line = a_line(1, "GBP", name='Œuvre "né"\n\\ 東京 🙂')
    item = desk.invoice_item(1, an_invoice(currency="GBP", lines=1).model_copy(update={"lines": (line,)}))
    desk.run(Capability.SYNC_DRAFT, item)
    assert xero.documents()[0].lines[0].description == 'Œuvre "né" \\ 東京 🙂'


def test_describing_the_provider_imports_no_sdk():
    code = (
        "import sys, billhook_xero; billhook_xero.provider.declaration.describe();"
        "print([name for name in sys.modules if name.partition('.')[0] in ('xero_python', 'urllib3', 'yaml', 'jsonschema')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_provider_and_simulator_share_no_code():
    package = Path(sdk.__file__).parent
    for module in (package / "simulator").glob("*.py"):
        imports = [line for line in module.read_text().splitlines() if "import" in line and "billhook_xero" in line]
        assert all("billhook_xero.simulator" in line for line in imports), module
    for module in package.glob("*.py"):
        assert "billhook_xero.simulator" not in module.read_text(), module


needs_schema = pytest.mark.skipif(
    schema_folder() is None, reason="the vendor's schema does not lie beside the checkout"
)
REFUSED = {
    "unknown member": {"Invoices": [{"Total_": 1}]},
    "wrong value of an enumeration": {"Invoices": [{"Status": "OPEN"}]},
    "text for a number": {"Invoices": [{"LineItems": [{"Quantity": "1"}]}]},
    "number too long": {"Invoices": [{"InvoiceNumber": "x" * 256}]},
    "what only Xero may set": {"Invoices": [{"Total": 1}]},
    "what only Xero may set, not its default": {"Invoices": [{"HasAttachments": True}]},
}


@needs_schema
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_the_judge_bites(body):
    request = SimRequest("PUT", "/Invoices", (), (), json.dumps(body).encode())
    assert Judge(schema_folder()).complaints(request, "/Invoices")


@needs_schema
def test_the_judge_takes_a_declared_default_and_refuses_unknown_parameters():
    good = SimRequest("PUT", "/Invoices", (("unitdp", "4"),), (), b'{"Invoices":[{"HasAttachments":false}]}')
    assert Judge(schema_folder()).complaints(good, "/Invoices") == []
    bad = SimRequest("GET", "/Invoices", (("summarizeErrors", "False"), ("createdByMyApp", "True")))
    assert len(Judge(schema_folder()).complaints(bad, "/Invoices")) == 2
