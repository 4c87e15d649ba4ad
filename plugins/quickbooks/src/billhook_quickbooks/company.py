"""The company against what the app's settings say of it: told at once when the connection is checked, before any invoice meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from billhook.contract import Account, ConnectionResult, Done, NumberOwner, Rejected, Reply, Severity, ValidationIssue
from billhook_quickbooks.config import QuickBooksSettings, TaxModel
from billhook_quickbooks.reading import answers_of, faults_of
from billhook_quickbooks.refusals import is_success, refusal, refused
from billhook_quickbooks.requests import by_ids

Entity = Mapping[str, Any]


def queries(settings: QuickBooksSettings) -> dict[str, str]:
    """What is asked of the company, by a name for each answer."""
    asked = {"company": "select * from CompanyInfo", "preferences": "select * from Preferences"}
    items = sorted({*settings.items.values(), *filter(None, [settings.default_item, settings.rounding_item])})
    if items:
        asked["items"] = by_ids("Item", items)
    codes = sorted({code.id for code in settings.tax_codes.values()})
    if codes and settings.tax_model is TaxModel.ELSEWHERE:
        asked["taxcodes"] = by_ids("TaxCode", codes)
    return asked


def read_company(reply: Reply, settings: QuickBooksSettings, owner: NumberOwner) -> Done[ConnectionResult] | Rejected:
    """The company that the credentials reach; refused with everything in which the settings differ from it."""
    if not is_success(reply):
        found = refused(reply)
        return found if isinstance(found, Rejected) else Rejected.because("refused", found.reason)
    for fault in faults_of(reply):
        told = refusal(fault)
        return told if isinstance(told, Rejected) else Rejected.because("refused", told.reason)
    answers = answers_of(reply)
    differing = tuple(_differences(answers, settings, owner))
    if differing:
        return Rejected(differing)
    company = _first(answers["company"], "CompanyInfo")
    return Done(ConnectionResult((Account(settings.account, str(company.get("CompanyName", ""))),)))


def _differences(
    answers: Mapping[str, Entity], settings: QuickBooksSettings, owner: NumberOwner
) -> Iterator[ValidationIssue]:
    preferences = _first(answers.get("preferences", {}), "Preferences")
    if preferences:
        yield from _number_differences(preferences, owner)
        yield from _currency_differences(preferences, settings)
        yield from _period_differences(preferences, settings)
    for name, kind in (("items", "Item"), ("taxcodes", "TaxCode")):
        if name in answers:
            yield from _missing(answers[name], kind, settings)


def _number_differences(preferences: Entity, owner: NumberOwner) -> Iterator[ValidationIssue]:
    custom = preferences.get("SalesFormsPrefs", {}).get("CustomTxnNumbers") is True
    if custom and owner is NumberOwner.PROVIDER:
        yield _issue(
            "custom_numbers_on",
            "The company expects custom transaction numbers and gives none. Switch them off, or use the provider quickbooks.",
        )
    if not custom and owner is NumberOwner.ENGINE:
        yield _issue(
            "custom_numbers_off",
            "The company gives its own numbers. Switch on custom transaction numbers, or use the provider quickbooks_own_numbers.",
        )


def _currency_differences(preferences: Entity, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    currency = preferences.get("CurrencyPrefs", {})
    home = currency.get("HomeCurrency", {}).get("value")
    if home is not None and home != settings.home_currency:
        yield _issue("home_currency_differs", f"The company's home currency is {home}, not {settings.home_currency}.")
    enabled = currency.get("MultiCurrencyEnabled")
    if enabled is not None and enabled is not settings.multicurrency:
        yield _issue(
            "multicurrency_differs", f"Multicurrency is {'on' if enabled else 'off'} there; set multicurrency to it."
        )


def _period_differences(preferences: Entity, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    closing = preferences.get("AccountingInfoPrefs", {}).get("BookCloseDate")
    if closing and (settings.closed_until is None or date.fromisoformat(closing) > settings.closed_until):
        yield _issue("books_closed", f"The company's books are closed until {closing}. Set closed_until to it.")


def _missing(answer: Entity, kind: str, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    active = {each["Id"] for each in answer.get(kind, ()) if each.get("Active", True)}
    if kind == "Item":
        wanted = {*settings.items.values(), *filter(None, [settings.default_item, settings.rounding_item])}
    else:
        wanted = {code.id for code in settings.tax_codes.values()}
    for id in sorted(wanted - active):
        yield _issue(
            f"{kind.lower()}_not_active", f"The company has no active {kind} {id}. Correct the app's settings."
        )


def _first(answer: Entity, kind: str) -> Entity:
    found: Entity = next(iter(answer.get(kind, ())), {})
    return found


def _issue(code: str, message: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message)
