"""What an organisation tells of itself: its name and lock dates, chart of accounts, tax rates, tracking and currencies."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route
from billhook_xero.simulator.wire import Json, answered, shown_day


def routes() -> list[Route]:
    """The doors that only read."""
    return [
        ("GET", "/Organisation", _organisation),
        ("GET", "/Accounts", _accounts),
        ("GET", "/TaxRates", _tax_rates),
        ("GET", "/TrackingCategories", _tracking),
        ("GET", "/Currencies", _currencies),
    ]


def _organisation(ask: Ask) -> SimReply:
    org = ask.org
    locks = {"PeriodLockDate": org.period_lock_date, "EndOfYearLockDate": org.end_of_year_lock_date}
    own: Json = {
        "OrganisationID": org.tenant,
        "Name": org.name,
        "BaseCurrency": org.base_currency,
        "OrganisationStatus": "ACTIVE",
        **{name: shown_day(day) for name, day in locks.items() if day is not None},
    }
    return answered({"Organisations": [own]})


def _accounts(ask: Ask) -> SimReply:
    accounts: Sequence[Json] = [
        {
            "AccountID": _id(account.code),
            "Code": account.code,
            "Name": account.name,
            "Type": account.type,
            "Status": "ACTIVE" if account.active else "ARCHIVED",
            "TaxType": account.tax_type,
            "EnablePaymentsToAccount": account.takes_payments,
            **({"SystemAccount": account.system} if account.system else {}),
        }
        for account in ask.org.accounts
    ]
    return answered({"Accounts": accounts})


def _tax_rates(ask: Ask) -> SimReply:
    rates = [
        {"Name": code.title(), "TaxType": code, "Status": "ACTIVE", "EffectiveRate": rate, "DisplayTaxRate": rate}
        for code, rate in ask.org.tax_rates.items()
    ]
    return answered({"TaxRates": rates})


def _tracking(ask: Ask) -> SimReply:
    categories = [
        {
            "TrackingCategoryID": _id(name),
            "Name": name,
            "Status": "ACTIVE",
            "Options": [{"TrackingOptionID": _id(option), "Name": option, "Status": "ACTIVE"} for option in options],
        }
        for name, options in ask.org.tracking.items()
    ]
    return answered({"TrackingCategories": categories})


def _currencies(ask: Ask) -> SimReply:
    return answered({"Currencies": [{"Code": code, "Description": code} for code in ask.org.currencies]})


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"xero/{name}"))
