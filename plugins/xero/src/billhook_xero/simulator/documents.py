"""What invoices and credit notes share: their lines, totals and checks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from billhook_xero.simulator.arithmetic import Sums, computed_line, sums_of
from billhook_xero.simulator.desk import Ask, refuse_all, refuse_locked
from billhook_xero.simulator.ledger import CONTACT, Ledger
from billhook_xero.simulator.wire import Invalid, Json, day, number, shown_day, shown_moment

AMOUNTS_ARE = ("Exclusive", "Inclusive", "NoTax")
LONGEST_NUMBER = 255
MOST_TRACKING = 2


def head_of(told: Json, before: Json, ask: Ask) -> Json:
    """The document's own members: what is told, else what was there."""
    content: Json = {**before}
    for name in ("Reference", "Url", "BrandingThemeID", "CurrencyCode"):
        if told.get(name) is not None:
            content[name] = told[name]
    content.setdefault("CurrencyCode", ask.org.base_currency)
    if content["CurrencyCode"] not in ask.org.currencies:
        raise Invalid(f"Organisation is not subscribed to currency {content['CurrencyCode']}")
    content["LineAmountTypes"] = told.get("LineAmountTypes") or before.get("LineAmountTypes") or "Exclusive"
    if content["LineAmountTypes"] not in AMOUNTS_ARE:
        raise Invalid(f"LineAmountTypes {content['LineAmountTypes']} is not one of {', '.join(AMOUNTS_ARE)}")
    content["CurrencyRate"] = number(told.get("CurrencyRate"), "CurrencyRate", 6) or before.get("CurrencyRate")
    content["CurrencyRate"] = content["CurrencyRate"] or Decimal("1.000000")
    for name in ("Date", "DueDate"):
        on = day(told.get(name)) or day(before.get(name)) or (ask.now.date() if name == "Date" else None)
        if on is not None:
            content |= {name: shown_day(on), f"{name}String": f"{on.isoformat()}T00:00:00"}
    content["UpdatedDateUTC"] = shown_moment(ask.now)
    return content


def contact_of(told: Json, before: Json, ask: Ask, ledger: Ledger) -> Json:
    """The contact, which must stand and be active."""
    wanted = (told.get("Contact") or {}).get("ContactID") or before.get("Contact", {}).get("ContactID")
    found = ledger.get(ask.org.tenant, CONTACT, wanted) if wanted else None
    if found is None:
        raise Invalid("A Contact must be specified for this type of transaction")
    if found["ContactStatus"] != "ACTIVE":
        raise Invalid("The Contact is archived and cannot be used")
    return {"ContactID": found["ContactID"], "Name": found["Name"], "ContactNumber": found.get("ContactNumber")}


def lines_of(told: Json, before: Json, content: Json, ask: Ask, ledger: Ledger, *, may_discount: bool) -> list[Json]:
    """The lines computed; those that are told replace all that were there."""
    if told.get("LineItems") is None:
        return list(before.get("LineItems", ()))
    computed = []
    for each in told["LineItems"]:
        refuse_all(list(_line_problems(each, ask)))
        line = computed_line(each, ask.org, content["LineAmountTypes"], ask.unit_decimals, may_discount=may_discount)
        computed.append({"LineItemID": ledger.new_id(ask.org.tenant, "line"), **line})
    return computed


def _line_problems(line: Json, ask: Ask) -> list[str]:
    problems = []
    if not line.get("Description"):
        problems.append("Description needs to be at least 1 char long")
    code = line.get("AccountCode")
    account = next((each for each in ask.org.accounts if each.code == code), None)
    if code is None and line.get("ItemCode") is None:
        problems.append("Account code must be specified")
    elif code is not None and account is None:
        problems.append(f"Account code '{code}' is not a valid code for this document")
    elif account is not None and not account.active:
        problems.append(f"Account code '{code}' has been archived, or is not active")
    if line.get("ItemCode") is not None:
        problems.append(f"Item code '{line['ItemCode']}' is not valid")
    tracking = line.get("Tracking") or ()
    if len(tracking) > MOST_TRACKING:
        problems.append("Only two tracking categories may be given")
    for each in tracking:
        if each.get("Option") not in ask.org.tracking.get(each.get("Name", ""), ()):
            problems.append(f"The tracking option {each.get('Name')}: {each.get('Option')} does not exist")
    return problems


def summed(content: Json, *, what: str) -> Sums:
    """The totals, set on the content. Raises Invalid for a negative document."""
    sums = sums_of(content["LineItems"], content["LineAmountTypes"])
    if sums.total < 0:
        raise Invalid(f"The total of the {what} must be greater than or equal to zero")
    content |= {"SubTotal": sums.sub_total, "TotalTax": sums.total_tax, "Total": sums.total}
    return sums


def check_approved(content: Json, ask: Ask, *, needs_due_date: bool) -> None:
    """What an approved document must have, and a closed period refuses."""
    if not content["LineItems"]:
        raise Invalid("One or more line items must be specified")
    if needs_due_date and not content.get("DueDate"):
        raise Invalid("Due date is required")
    refuse_locked(ask.org, day(content["Date"]))
    on, due = day(content["Date"]), day(content.get("DueDate"))
    if on and due and due < on - timedelta(days=0):
        raise Invalid("Due date cannot be before the invoice date")


def check_number(ledger: Ledger, tenant: str, kind: str, number: str, own_id: str, id_name: str, what: str) -> None:
    """Numbers are unique; a voided document keeps its own (spec, InvoiceNumber; a deleted draft gives it free)."""
    if len(number) > LONGEST_NUMBER:
        raise Invalid(f"{what} # must not be longer than {LONGEST_NUMBER} characters")
    others = ledger.where(tenant, kind, "name", [number])
    if any(each[id_name] != own_id and each["Status"] != "DELETED" for each in others):
        raise Invalid(f"{what} # must be unique.")
