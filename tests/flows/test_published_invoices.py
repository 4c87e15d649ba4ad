"""Invoices that others published, with the totals they published: reached here to the cent, and at every provider that can hold them.

Only figures are taken over. A line is written ``2 x 9.95 less 10% @21``: quantity, price, discounts, percentage of tax. Without a quantity it
is one amount, for a sender's line that is no product, or a charge of the whole document; a negative one is an allowance. ``@21i`` is inside
the price, and ``@21=17.35`` was computed by the sender.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from billhook import Engine
from billhook.clock import TurnedClock
from billhook.domain.checks import issues_of
from billhook.domain.invoice import InvoiceDraft
from billhook.domain.money import total_of
from billhook.errors import NotFound
from billhook.testing.builders import a_content
from billhook.testing.crash import work_until_quiet
from billhook.testing.sandbox import simulator as sandbox
from billhook.testing.transport import SimulatorTransport
from billhook_quickbooks.simulator import simulator as quickbooks
from billhook_stripe.simulator import simulator as stripe
from billhook_xero.simulator import simulator as xero
from billhook_xero.simulator.rules import Org, XeroRules

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
_LINE = re.compile(
    r"(?:(?P<quantity>-?[\d.]+) x )?(?P<price>-?[\d.]+)(?P<off>(?: less [\d.]+%?)*)(?P<taxes>(?: @\S+)*)"
)
_OFF = re.compile(r"less (?P<off>[\d.]+)(?P<percent>%?)")
_TAX = re.compile(r"@(?P<percentage>[\d.]+)(?P<inside>i?)(?:=(?P<amount>-?[\d.]+))?")


class Published(NamedTuple):
    """What somebody published: tax by percentage, the total, and what of it was settled before (prepaid, or withheld as a tax)."""

    name: str
    source: str
    currency: str
    lines: str
    taxes: dict[str, str]
    total: str
    settled: str = "0"
    rounds: str = "on_total"
    type: str = "standard"

    @property
    def tax(self) -> Decimal:
        return total_of(map(Decimal, self.taxes.values()))

    def draft(self, **changes: Any) -> dict[str, Any]:
        """As a careful user submits it."""
        expected = {"taxes_total": str(self.tax), "total": self.total}
        return {
            "key": self.name,
            "type": self.type,
            "customer_key": f"{self.type}-{self.currency}",
            "currency": self.currency,
            "lines": [_line(text) for text in self.lines.split(", ")],
            "workflow": {"tax_rounding": self.rounds, "auto_advance": False},
            "expected_totals": expected,
            **changes,
        }


def _line(text: str) -> dict[str, Any]:
    found = _LINE.fullmatch(text)
    assert found, text
    price = {"type": "unit" if found["quantity"] else "flat", "amount": found["price"]}
    line = {"name": text.split(" @", maxsplit=1)[0], "price": price, **_taxed(found)}
    if found["quantity"]:
        line["quantity"] = found["quantity"]
    if found["off"]:
        line["discounts"] = [_discount(each) for each in _OFF.finditer(found["off"])]
    return line


def _discount(found: re.Match[str]) -> dict[str, str]:
    kind = "percentage" if found["percent"] else "amount"
    return {"type": kind, kind: found["off"]}


def _taxed(line: re.Match[str]) -> dict[str, Any]:
    taxes = list(_TAX.finditer(line["taxes"]))
    if not taxes:
        return {}
    if any(tax["amount"] for tax in taxes):
        return {"taxes": [_stated(tax, line) for tax in taxes]}
    rates = [{"name": f"Tax {place}", "percentage": tax["percentage"]} for place, tax in enumerate(taxes)]
    return {"tax_config": {"behavior": _behavior(taxes[0]), "rates": rates}}


def _stated(tax: re.Match[str], line: re.Match[str]) -> dict[str, str]:
    base = Decimal(line["quantity"] or 1) * Decimal(line["price"])
    named = {"name": f"Tax {tax['percentage']}", "percentage": tax["percentage"], "behavior": _behavior(tax)}
    return {**named, "taxable_amount": str(base), "amount": tax["amount"]}


def _behavior(tax: re.Match[str]) -> str:
    return "inclusive" if tax["inside"] else "exclusive"


CEN = "ConnectingEurope/eInvoicing-EN16931,"
PEPPOL = "OpenPEPPOL/peppol-bis-invoice-3,"
GOBL = "invopop/gobl,"
XERO = "developer.xero.com, Rounding in Xero"
ZUGFERD = "ZUGFeRD 2.1 samples in pretix/python-drafthorse,"
FATTURA = "FatturaPA in ZUGFeRD/corpus, fatturaPA/eigor/valid/"
OIOUBL = "invopop/gobl.dk.oioubl, test/data/parse/"
ODOO = "odoo/odoo,"

_GROCERIES = (
    "2 x 9.95 @6, 1 x 9.85 @6, 1 x 8.29 @6, 2 x 7.23 @6, 1 x 35.00 @6, 1 x 35.00 @6, 1 x 10.65 @6, 1 x 1.55 @6, 3 x 4.79 @6, 1 x 8.29 @6, "
    "2 x 8.29 @6, 1 x 9.95 @6, 2 x 1.65 @6, 1 x 10.80 @21, 1 x 3.90 @6, 2 x 3.80 @21, 2 x 4.67 @21, 1 x 18.63 @21, 6 x 17.02 @6, -6 x 18.33 @6"
)
_GRID = (
    "16000 x 0.00880 @21, 16000 x 0.00101 @21, 132 x 1.27 @21, 58 x 1.53 @21, 1 x 36.75 @21, 1 x 56.50 @21, 1 x 83.34 @21, 1 x 190.31 @21, "
    "1 x 64.21 @21, 1 x 64.46 @21"
)
_GOODS = (
    "100 x 1.0000 @19, 50 x 1.4500 @7, 10 x 0.0000 @7, 15 x 12 @19, 15 x 3.1 @19, 2 x 29.1 @7, -5.60 @19, -2.61 @7, -2.50 @19, -0.50 @7, "
    "3.00 @19"
)
_BRIDGE = "1 x 21165166.39 @19, -41483.73 @19, -423303.33 @19, -255384.19 @0, -269644.22 @0"
_BRAZIL = "1 x 48 @5i=2.40 @3i=1.44 @0.65i=0.31 @9i=4.32 @15i=7.20"
_COMPUTERS = "1273 @25, -1 x 3.96 @15, 2 x 2.48 @15, -1 x 25.00 @0, 250 x 0.75 @25, -100.00 @25, 100.00 @25"
_IN_EUROS = "1273 @20, -1 x 3.96 @10, 2 x 2.48 @10, -1 x 25 @0, 250 x 0.75 @20, 100 @20, -100 @20, 0.30"
_BIG_BONUS = (
    "-1 x 4800 @19, -2 x 951.60 @19, -1 x 984.69 @19, -4 x 951.60 @19, -1.5 x 760.98 @19, -9 x 697.5650 @19, -5.5 x 443.9050 @19, "
    "-2.5 x 697.5650 @19, -2 x 1023.68 @19, -1 x 20902.50 @19, -1 x 9275 @19, -1 x 2597 @19, -1 x 2008.50 @19, -2 x 848 @19, -1 x 3180 @19, "
    "-1 x 1484 @19, -1 x 1890 @19, -1 x 2046.68 @19, -2 x 465 @19, -1 x 451.52 @19, -1 x 528.55 @19, -1 x 10.40 @19, "
    "200213.66 @19, 13992.35 @19, 11993.56 @19"
)

# fmt: off
CARRIED = [
    Published("peppol-base", f"{PEPPOL} rules/examples/base-example", "EUR", "7 x 400 @25, -3 x 500 @25, 25 @25", {"25": "331.25"}, "1656.25"),
    Published("peppol-credit-note", f"{PEPPOL} rules/examples/base-creditnote-correction", "EUR", "7 x 400 @25, -3 x 500 @25, 25 @25", {"25": "331.25"}, "1656.25", type="credit_note"),
    Published("peppol-allowances", f"{PEPPOL} rules/examples/Allowance-example", "EUR", "10 x 410 less 101 @25, 1 @25, 10 x 100 @0, 10 x 100 less 101 @25, 1 @25, 200 @25, -200 @25", {"25": "1225", "0": "0"}, "7125", settled="1000"),
    Published("cen-groceries", f"{CEN} ubl/examples/ubl-tc434-example1", "EUR", _GROCERIES, {"6": "10.99", "21": "9.74"}, "250.33"),
    Published("cen-computers", f"{CEN} ubl/examples/ubl-tc434-example2", "NOK", _COMPUTERS, {"25": "365.13", "15": "0.15", "0": "0"}, "1801.78", settled="1000"),
    Published("cen-half-prepaid", f"{CEN} ubl/examples/ubl-tc434-example5", "DKK", "1000 x 1.00 less 10% @25, 100.00 @25, 100 x 5.00 @25, 500 x 5.00 @12, -150.00 @25, 150.00 @25", {"25": "375", "12": "300"}, "4675", settled="2337.50"),
    Published("cen-four-decimals", f"{CEN} ubl/examples/sample-discount-price", "EUR", "100.000 x 0.1212 @25", {"25": "3.03"}, "15.15"),
    Published("cen-cancelled-flight", f"{CEN} cii/examples/CII-BR-CO-10-RoundingIssue", "EUR", "1 x 720.81 @19, 1 x 0.01 @0, -1 x 720.81 @19, -1 x 0.01 @0", {"19": "0", "0": "0"}, "0"),
    Published("cen-whole-forints", f"{CEN} cii/examples/huf_example_cii; 361.09 a litre, rounded to whole forints by the sender", "HUF", "23440 @27=6329, 21389 @27=5775, 24351 @27=6575", {"27": "18679"}, "87859"),
    Published("ubl-2.1", "OASIS UBL 2.1, xml/UBL-Invoice-2.1-Example; with its payable rounding amount", "EUR", _IN_EUROS, {"20": "292.10", "10": "0.10", "0": "0"}, "1729", settled="1000"),
    Published("xero-another-system", f"{XERO}: another system's total", "USD", "1 x 25.06 @15, 1 x 25.61 @15, 1 x 25.63 @15", {"15": "11.45"}, "87.75"),
    Published("xero-six-decimals", XERO, "USD", "1000 x 0.061171", {}, "61.17"),
    Published("chargebee-yen", "chargebee.com, rounding logic for line item amounts", "JPY", "10.625 x 4.4556", {}, "47"),
    Published("quickbooks", "developer.intuit.com, sample invoice 1037", "USD", "1 x 275 @8, 1 x 12.75 @8, 5 x 9.50 @8", {"8": "26.82"}, "362.07"),
    Published("bahrain", "a generator's test of three decimals: BHD 0.417 at 5.125 %", "BHD", "1.250000 x 0.333600 @5.125", {"5.125": "0.021"}, "0.438"),
    Published("gobl-germany", f"{GOBL} examples/de/invoice-de-rounding-2, signs turned", "EUR", _BIG_BONUS, {"19": "29270.04"}, "183322.86", type="credit_note"),
    Published("gobl-usa", f"{GOBL} regimes/us/invoice-us-us", "USD", "20 x 90.00 less 10% @8.5i", {"8.5": "126.91"}, "1620"),
    Published("gobl-hotel", f"{GOBL} regimes/it/hotel-b2c", "EUR", "1 x 1.00, 1 x 125.00 @10i", {"10": "11.36"}, "126"),
    Published("gobl-freelance-spain", f"{GOBL} regimes/es/invoice-es-es-freelance; IRPF of 243.00 withheld", "EUR", "20 x 90.00 less 10% @21", {"21": "340.20"}, "1960.20", settled="243"),
    Published("gobl-twelve-months", f"{GOBL} examples/es/invoice-es-prices-include; IRPF of 185.95 withheld", "EUR", ", ".join(["1 x 125.00 @21i"] * 12), {"21": "260.33"}, "1500", settled="185.95"),
    Published("gobl-surcharge", f"{GOBL} regimes/es/invoice-es-es-vateqs-provider; VAT inside, surcharge on top", "EUR", "10 x 10.00 @21i=17.35 @5.2=4.30, 1 x 10.00 @21i", {"21": "19.09", "5.2": "4.30"}, "114.30", settled="25"),
    Published("gobl-mexico", f"{GOBL} regimes/mx/retentions; VAT and ISR of 254.20 withheld", "MXN", "1 x 1230.00 @16", {"16": "196.80"}, "1426.80", settled="254.20"),
    Published("gobl-prepaid", f"{GOBL} regimes/mx/prepaid-invoice", "MXN", "1 x 10.00 less 10% @16, 1 x 10.00 @16", {"16": "3.04"}, "22.04", settled="22.04"),
    Published("gobl-india", f"{GOBL} examples/in/invoice-in-in-stdr.yaml, which states lines and rates; CGST and SGST", "INR", "20 x 90.00 less 5% @9 @9", {"9": "307.80"}, "2017.80"),
    Published("gobl-japan", f"{GOBL} examples/jp/invoice-jp-discount-charge", "JPY", "3 x 4000 less 10% @8, 1 x 1500 @10, 2000 @10", {"8": "864", "10": "350"}, "15514"),
    Published("cen-electricity", f"{CEN} ubl/examples/ubl-tc434-example8; one price is for 12", "EUR", _GRID, {"21": "190.87"}, "1099.78"),
    Published("zugferd-goods", f"{ZUGFERD} EXTENDED_Warenrechnung; with a free line", "EUR", _GOODS, {"19": "61.07", "7": "8.93"}, "518.99"),
    Published("zugferd-two-discounts", f"{ZUGFERD} EXTENDED_Fremdwaehrung", "GBP", "10 x 100 less 10% less 50 @19, 30 @19, -21.25 @19", {"19": "163.16"}, "1021.91", settled="500"),
    Published("xrechnung-retention", "itplr-kosit/xrechnung-testsuite, extension/04.03a", "EUR", _BRIDGE, {"19": "3933072.07", "0": "0"}, "24108422.99", settled="1064317.34"),
    Published("fattura-lawyer", f"{FATTURA}con-ritenuta-acconto-e-cassa-previdenziale; 2800.00 withheld", "EUR", "14000.00 @22, 560.00 @22", {"22": "3203.20"}, "17763.20", settled="2800"),
    Published("oioubl-returned", f"{OIOUBL}negative-rounding_real; the discount is not taxed", "DKK", "1 x 288 @25, 1 x 108 @25, 1 x 22.80 @25, -2 x 160 @25, -7.90", {"25": "24.70"}, "115.60", type="credit_note"),
    Published("odoo-tax-on-tax", f"{ODOO} test_taxes_l10n_in, rounded globally", "EUR", "1 x 15.89 @6=0.96 @6=0.96 @3=0.54, 1 x 15.89 @6=0.95 @6=0.95 @3=0.53", {"6": "3.82", "3": "1.07"}, "36.67"),
    Published("odoo-taxes-of-the-gross", f"{ODOO} test_taxes_l10n_br", "EUR", f"{_BRAZIL}, {_BRAZIL}", {"5": "4.80", "3": "2.88", "0.65": "0.62", "9": "8.64", "15": "14.40"}, "96"),
    Published("all-of-it-off", "invoiceninja/invoiceninja, issue 3195", "USD", "2.25 x 64.22 less 100%", {}, "0"),
]
"""Each with something of its own; these are taken to the providers."""
PLAIN = [
    Published("peppol-vat-calculation", f"{PEPPOL} guide/syntax/snippets/vat-calc", "EUR", "10 x 400 @25, 10 x 200 @0, 10 x 90 @25, 200 @25, -100 @25", {"25": "1250", "0": "0"}, "8250"),
    Published("peppol-exempt", f"{PEPPOL} rules/examples/vat-category-E", "GBP", "10 x 120.00 @0", {"0": "0"}, "1200"),
    Published("cen-two-rates", f"{CEN} ubl/examples/ubl-tc434-example4", "DKK", "1000 x 1.00 @25, 100 x 5.00 @25, 500 x 5.00 @12", {"25": "375", "12": "300"}, "4675"),
    Published("cen-months", f"{CEN} ubl/examples/ubl-tc434-example9", "EUR", "3 x 49.00 @21", {"21": "30.87"}, "177.87"),
    Published("xrechnung", "itplr-kosit/xrechnung-testsuite, standard/01.02a", "EUR", "1 x 11.78 @7", {"7": "0.82"}, "12.60"),
    Published("zugferd-four-decimals", "ZUGFeRD/mustangproject, line-total-4-decimals", "EUR", "1.0000 x 47.0504 @19", {"19": "8.94"}, "55.99"),
    Published("xero-by-line", XERO, "USD", "1 x 25.06 @15, 1 x 25.61 @15, 1 x 25.63 @15", {"15": "11.44"}, "87.74", rounds="per_line"),
    Published("wafeq", "developer.wafeq.com, Calculations and Rounding", "USD", "1 x 45.30 @5, 1 x 33.45 @10", {"5": "2.27", "10": "3.35"}, "84.37", rounds="per_line"),
    Published("chargebee-dollars", "chargebee.com, rounding logic for line item amounts", "USD", "10.625 x 4.4556", {}, "47.34"),
    Published("gobl-spain", f"{GOBL} examples/es/invoice-es-rounding", "EUR", "20 x 12.36 less 12.5% @21", {"21": "45.42"}, "261.72"),
    Published("gobl-simplified", f"{GOBL} regimes/es/invoice-es-simplified", "EUR", "20 x 90.00 less 10% @21, 1 x 10.00 @21", {"21": "342.30"}, "1972.30"),
    Published("gobl-freelance-italy", f"{GOBL} regimes/it/freelance; IRPEF of 324.00 withheld", "EUR", "20 x 90.00 less 10% @22, 1 x 100.00", {"22": "356.40"}, "2076.40", settled="324"),
    Published("gobl-restaurant", f"{GOBL} examples/jp/restaurant", "JPY", "1 x 2500 @10, 2 x 650 @10", {"10": "380"}, "4180"),
    Published("gobl-chile", f"{GOBL} examples/cl/invoice-cl-cl", "CLP", "1 x 100000 @19", {"19": "19000"}, "119000"),
    Published("gobl-australia", f"{GOBL} examples/au/invoice-au-pint", "AUD", "10 x 100.00 @10", {"10": "100"}, "1100"),
    Published("gobl-greece", f"{GOBL} regimes/gr/invoice-islands", "EUR", "20 x 90.00 less 10% @17", {"17": "275.40"}, "1895.40"),
    Published("gobl-canada", f"{GOBL} regimes/ca/invoice-ca-ca", "CAD", "20 x 90.00 less 10% @8.5", {"8.5": "137.70"}, "1757.70"),
    Published("cen-freight", f"{CEN} ubl/examples/ubl-tc434-example3", "DKK", "800 @25, 800 @10, 100 @25", {"25": "225", "10": "80"}, "2005"),
    Published("cen-nothing-off", f"{CEN} cii/examples/CII_business_example_02", "EUR", "1.0000 x 1.2605 @19, 1.0000 x 1.2605 @19, 1.0000 x 7.4790 @19, 0.00 @19", {"19": "1.90"}, "11.90"),
    Published("zugferd-by-rate", f"{ZUGFERD} EN16931_Rabatte", "EUR", "3 x 3.3333 @19, 5 x 5.5 @7, 20 x 5.49 @7, 20 x 2.77 @19, -1.00 @19, -13.73 @7, 5.80 @7", {"7": "9.06", "19": "12.24"}, "215.07"),
    Published("zugferd-costs", f"{ZUGFERD} EXTENDED_Kostenrechnung", "EUR", "52.00 @19, 20.50 @19, 27.5 x 10.5 @19, 3500 x 0.0105 @19, 1210 x 0.01 @19, -21.55 @19, 15 @19", {"19": "76.67"}, "480.22"),
    Published("fattura-stamp-duty", f"{FATTURA}con-bollo", "EUR", "1.00000000 x 1300.00000000 @0, 1.00000000 x 2.00000000", {"0": "0"}, "1302"),
    Published("oioubl-excise", f"{OIOUBL}excise-line-and-document", "DKK", "1 x 200000 @25, 100000 @0", {"25": "50000", "0": "0"}, "350000"),
    Published("facturae-by-invoice", "josemmo/Facturae-PHP, PrecisionTest", "EUR", "1 x 37.76 @21, 1 x 26.8 @21, 1 x 5.5 @21", {"21": "14.71"}, "84.77"),
    Published("facturae-by-line", "josemmo/Facturae-PHP, PrecisionTest", "EUR", "1 x 37.76 @21, 1 x 26.8 @21, 1 x 5.5 @21", {"21": "14.72"}, "84.78", rounds="per_line"),
    Published("odoo-gross-not-kept", f"{ODOO} test_taxes_l10n_in, included, globally", "EUR", "15.89 @6=0.96 @6=0.96 @3=0.54, 15.88 @6=0.95 @6=0.95 @3=0.53", {"6": "3.82", "3": "1.07"}, "36.66"),
    Published("odoo-unrounded-base", f"{ODOO} issue 37896, globally", "EUR", "16 x 348.35 less 4% @22=1177.14", {"22": "1177.14"}, "6527.80"),
    Published("odoo-rounded-base", f"{ODOO} issue 37896, by line", "EUR", "16 x 348.35 less 4% @22", {"22": "1177.15"}, "6527.81", rounds="per_line"),
    Published("ninja-two-taxes", "invoiceninja/invoiceninja, tests/Unit/InvoiceTest", "USD", "1 x 10 @10 @10, 1 x 10 @10 @10, -5 @10 @10, 5", {"10": "3"}, "23"),
    Published("mlinvoice", "emaijala/MLInvoice, issue 149", "EUR", "41 x 15.30 @24, 13 x 5.36 less 3% @24, 14 x 13.03 less 3% @24, 1 x 12.34 @24", {"24": "212.20"}, "1096.38"),
    Published("erpnext-inside", "frappe/erpnext, PR 42523", "INR", "1 x 90 @5i, 1 x 55 @5i", {"5": "6.90"}, "145"),
    Published("prestashop", "PrestaShop/PrestaShop, issue 10815", "DKK", "3199 @25=800", {"25": "800"}, "3999"),
    Published("zuora-net-rounded", "docs.zuora.com, Rounding rule for inclusive tax mode", "USD", "1 x 2.99 @4i", {"4": "0.11"}, "2.99"),
    Published("zuora-tax-rounded", "docs.zuora.com, Rounding rule for inclusive tax mode", "USD", "1 x 2.99 @4i=0.12", {"4": "0.12"}, "2.99"),
    Published("oracle", "docs.oracle.com, Create an Invoice with Lines", "USD", "2 x 1299.99, 2 x 102.15, 4 x 65.45", {}, "3066.08"),
]
# fmt: on
BY_NAME = {each.name: each for each in CARRIED}


@pytest.mark.parametrize("published", CARRIED + PLAIN, ids=lambda each: each.name)
def test_it_comes_to_what_was_published(published: Published):
    content = a_content(InvoiceDraft.model_validate(published.draft()))
    by_rate: dict[Decimal, Decimal] = defaultdict(Decimal)
    for tax in (tax for line in content.lines for tax in line.taxes):
        by_rate[tax.percentage] += tax.amount
    assert by_rate == {Decimal(rate): Decimal(amount) for rate, amount in published.taxes.items()}
    assert content.totals.total == Decimal(published.total)
    assert issues_of(content) == ()


# At the providers.


@dataclass
class Place:
    """An engine with one app for everything, at a system of its own whose clock is turned with it."""

    name: str
    engine: Engine
    books: Any
    clock: TurnedClock

    @property
    def billing(self) -> Any:
        return self.engine.namespace()

    def work(self) -> None:
        work_until_quiet(self.engine, self.clock)

    def document(self, number: str) -> Any:
        return next(each for each in self.books.documents() if each.number == number)

    def codes(self, id: str) -> set[str]:
        """Of an invoice or a credit note."""
        try:
            return {each.code for each in self.billing.invoices.get(id).issues}
        except NotFound:
            return {each.code for each in self.billing.credit_notes.issues(id)}


CURRENCIES = tuple(sorted({each.currency for each in CARRIED}))
RATES = sorted({rate for each in CARRIED for rate in each.taxes} | {"26.2", "18", "32.65"})
"""Percentages of a line's taxes together."""
ORGANISATION = Org(
    base_currency="EUR",
    currencies=CURRENCIES,
    tax_rates={"NONE": Decimal(0)} | {f"T{rate}": Decimal(rate) for rate in RATES},
)

PLACES: Mapping[str, Any] = {
    "sandbox": sandbox,
    "xero": lambda clock: xero(clock=clock, rules=XeroRules((ORGANISATION,))),
    "quickbooks": lambda clock: quickbooks(clock=clock, currency="EUR"),
    "stripe": stripe,
}
CARD = {"stripe_payment_method": "pm_card_visa"}
SETTINGS: Mapping[str, Mapping[str, Any]] = {"xero": {"tax_types": {rate: f"T{rate}" for rate in RATES}}}

REFUSED = {
    ("xero", "bahrain"): {"amount_finer_than_cents"},
    ("stripe", "bahrain"): {"amount_not_representable"},
    ("stripe", "chargebee-yen"): {"amount_below_minimum"},
    ("stripe", "xrechnung-retention"): {"amount_too_large"},
    **{("quickbooks", each.name): {"currency_not_enabled"} for each in CARRIED if each.currency != "EUR"},
    ("quickbooks", "bahrain"): {"currency_not_enabled", "amount_too_fine"},
}
"""What a system can't hold is refused before anything stands there."""


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    clock, url = TurnedClock(NOON), f"http://{request.param}.test"
    with ExitStack() as opened:
        books = PLACES[request.param](clock=clock)
        opened.callback(books.close)
        transport = SimulatorTransport({url: books})
        engine = opened.enter_context(Engine.open(tmp_path / "billhook.db", clock=clock, transport=transport))
        connection = books.connection(url)
        settings = {**connection.settings, **SETTINGS.get(request.param, {})}
        billing = engine.namespace()
        app = billing.apps.install(request.param, settings=settings, credentials=dict(connection.credentials))
        apps = {"tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
        billing.profiles.create("Everything", supplier={"name": "Acme"}, is_default=True, **apps)
        # One for each type: at Stripe a credit note would pay the next invoice of its customer.
        for type, currency in sorted({(each.type, each.currency) for each in CARRIED}):
            billing.customers.create(f"Jane {type} {currency}", key=f"{type}-{currency}", metadata=CARD)
        yield Place(request.param, engine, books, clock)


def test_it_is_issued_and_paid_to_the_cent_or_refused_before_anything_stands_there(place: Place):
    billing = place.billing
    notes = {each.name: billing.credit_notes.submit(each.draft()).id for each in CARRIED if each.type != "standard"}
    invoices = {each.name: billing.invoices.submit(each.draft()).id for each in CARRIED if each.type == "standard"}
    place.work()
    refused = {name: codes for name, id in {**invoices, **notes}.items() if (codes := place.codes(id))}
    assert refused == {name: codes for (where, name), codes in REFUSED.items() if where == place.name}
    accepted = [(BY_NAME[name], id) for name, id in invoices.items() if name not in refused]
    for published, id in accepted:
        settle_and_approve(place, published, id)
    place.work()
    for _, id in accepted:
        pay_what_nobody_collects(place, id)
    place.work()
    for published, id in accepted:
        view = billing.invoices.get(id).invoice
        document = place.document(view.number)
        assert (view.status, view.amount_due, place.codes(id)) == ("paid", 0, set()), published.name
        assert (document.total, document.tax) == (Decimal(published.total), published.tax), published.name
    stand = {name: id for name, id in notes.items() if name not in refused}
    for name, id in stand.items():
        view = billing.credit_notes.get(id)
        assert (view.status, place.document(view.number).total) == ("issued", Decimal(BY_NAME[name].total))
    assert len(place.books.documents()) == len(accepted) + len(stand)
    # What was settled before is not charged again.
    paid = total_of(each.amount for each in place.books.payments())
    assert paid == total_of(Decimal(published.total) for published, _ in accepted)


def settle_and_approve(place: Place, published: Published, id: str) -> None:
    """Note what was settled before the invoice was issued, so that only the rest is asked for."""
    if Decimal(published.settled):
        place.billing.invoices.record_payment(id, published.settled, method="settled before", key=published.name)
    place.billing.invoices.approve(id)


def pay_what_nobody_collects(place: Place, id: str) -> None:
    due = place.billing.invoices.get(id).invoice.amount_due
    if due:
        place.billing.invoices.record_payment(id, str(due), method="bank_transfer", key=f"{id}/rest")


@pytest.mark.parametrize("place", ["xero"], indirect=True)
def test_a_cent_beside_what_the_sender_computed_stops_before_anything_is_sent(place: Place):
    published = BY_NAME["xero-another-system"]
    id = place.billing.invoices.submit(published.draft(workflow={})).id
    place.work()
    details = place.billing.invoices.get(id)
    (issue,) = details.issues
    assert (details.status, issue.code, place.books.documents()) == ("draft.invalid", "totals_unexpected", ())
    assert "the total is 87.74 and 87.75 was expected" in issue.message
    name, value = issue.message.rpartition("--workflow ")[2].split("=")
    place.billing.invoices.update(id, {"workflow": {name: value}})
    place.work()
    (document,) = place.books.documents()
    assert (place.codes(id), document.total, document.tax) == (set(), Decimal("87.75"), Decimal("11.45"))


@pytest.mark.parametrize("place", ["sandbox"], indirect=True)
def test_a_correction_below_zero_is_a_credit_note_with_its_signs_turned(place: Place):
    published = BY_NAME["peppol-credit-note"]
    lines = [_line(text) for text in ["-7 x 400 @25", "3 x 500 @25", "-25 @25"]]
    below = {"taxes_total": "-331.25", "total": "-1656.25"}
    id = place.billing.invoices.submit(published.draft(type="standard", lines=lines, expected_totals=below)).id
    note = place.billing.credit_notes.submit(published.draft()).id
    place.work()
    assert place.codes(id) == {"total_negative"}
    assert place.billing.credit_notes.get(note).status == "issued"
    assert [each.total for each in place.books.documents()] == [Decimal("1656.25")]
