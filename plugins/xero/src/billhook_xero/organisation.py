"""What is known of the organisation's books, so that an invoice can be checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Json = Mapping[str, Any]


class _Known(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Account(_Known):
    """An account of the chart of accounts."""

    type: str = "REVENUE"
    active: bool = True
    takes_payments: bool = False


class Organisation(_Known):
    """The organisation as it was last read. What is left out is not checked.

    Dates up to and including a lock date are closed. Tax rates are in percent, by Xero's TaxType; a retired one is left out.
    """

    base_currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    currencies: frozenset[str] | None = None
    period_lock_date: date | None = None
    end_of_year_lock_date: date | None = None
    accounts: Mapping[str, Account] | None = None
    tax_rates: Mapping[str, Decimal] | None = None
    tracking: Mapping[str, frozenset[str]] | None = None
    rounding_account: str | None = None

    @property
    def locked_until(self) -> date | None:
        """The last day on which nothing may be posted any more."""
        return max(
            (day for day in (self.period_lock_date, self.end_of_year_lock_date) if day is not None), default=None
        )


def read_organisation(
    organisation: Json,
    accounts: Json,
    tax_rates: Json,
    tracking: Json,
    currencies: Json,
) -> Organisation:
    """The organisation from Xero's answers to GET Organisation, Accounts, TaxRates, TrackingCategories and Currencies, each as JSON."""
    (own,) = organisation["Organisations"]
    charted = [entry for entry in accounts["Accounts"] if entry.get("Code")]
    return Organisation(
        base_currency=own.get("BaseCurrency"),
        currencies=frozenset(entry["Code"] for entry in currencies["Currencies"]),
        period_lock_date=day_of(own.get("PeriodLockDate")),
        end_of_year_lock_date=day_of(own.get("EndOfYearLockDate")),
        accounts={entry["Code"]: _account(entry) for entry in charted},
        tax_rates={entry["TaxType"]: Decimal(str(entry["EffectiveRate"])) for entry in _active(tax_rates["TaxRates"])},
        tracking={
            entry["Name"]: frozenset(option["Name"] for option in _active(entry.get("Options", ())))
            for entry in _active(tracking["TrackingCategories"])
        },
        rounding_account=next((entry["Code"] for entry in charted if entry.get("SystemAccount") == "ROUNDING"), None),
    )


def _account(entry: Json) -> Account:
    takes_payments = entry["Type"] == "BANK" or bool(entry.get("EnablePaymentsToAccount"))
    return Account(type=entry["Type"], active=entry.get("Status") == "ACTIVE", takes_payments=takes_payments)


def _active(entries: Iterable[Json]) -> list[Json]:
    return [entry for entry in entries if entry.get("Status", "ACTIVE") == "ACTIVE"]


def day_of(told: str | None) -> date | None:
    """The day in Xero's own form, ``/Date(1767225600000+0000)/``, or in the usual one."""
    if not told:
        return None
    if not told.startswith("/Date("):
        return date.fromisoformat(told[:10])
    milliseconds = told.removeprefix("/Date(").partition(")")[0].partition("+")[0]
    return (_EPOCH + timedelta(milliseconds=int(milliseconds))).date()
