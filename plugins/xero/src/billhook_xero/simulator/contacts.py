"""Contacts: names are unique among active ones (developer.xero.com, "Contacts")."""

from __future__ import annotations

from billhook.testing.simulator import SimReply
from billhook_xero.simulator.desk import Ask, Route, answer_items, answer_list
from billhook_xero.simulator.ledger import CONTACT, Ledger
from billhook_xero.simulator.wire import Invalid, Json, shown_moment

_KEPT = (
    "ContactNumber",
    "AccountNumber",
    "Name",
    "EmailAddress",
    "TaxNumber",
    "Addresses",
    "Phones",
    "DefaultCurrency",
)
_LONGEST = {"ContactNumber": 50, "AccountNumber": 50, "Name": 255, "EmailAddress": 255, "TaxNumber": 50}


class ContactDesk:
    """Creates, changes and lists contacts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> list[Route]:
        """Its doors."""
        return [("GET", "/Contacts", self._list), ("PUT", "/Contacts", self._put), ("POST", "/Contacts", self._post)]

    def _list(self, ask: Ask) -> SimReply:
        columns = {"ContactNumber": "reference", "Name": "name"}
        return answer_list(ask, self._ledger, CONTACT, "Contacts", columns, lambda each: each)

    def _put(self, ask: Ask) -> SimReply:
        return self._items(ask, lambda told: self._save(ask, told, None))

    def _post(self, ask: Ask) -> SimReply:
        return self._items(ask, lambda told: self._save(ask, told, self._standing(ask, told)))

    def _items(self, ask: Ask, do: object) -> SimReply:
        assert callable(do)
        return answer_items(ask, self._ledger, "Contacts", "ContactID", do, has_errors="HasValidationErrors")

    def _standing(self, ask: Ask, told: Json) -> Json | None:
        """POST changes the contact of that ContactID, else of that ContactNumber."""
        if told.get("ContactID"):
            found = self._ledger.get(ask.org.tenant, CONTACT, told["ContactID"])
            if found is None:
                raise Invalid("The contact was not found")
            return found
        named = self._ledger.where(ask.org.tenant, CONTACT, "reference", [told.get("ContactNumber") or ""])
        return named[0] if named and told.get("ContactNumber") else None

    def _save(self, ask: Ask, told: Json, standing: Json | None) -> Json:
        tenant, before = ask.org.tenant, standing or {}
        content: Json = {**before, **{name: told[name] for name in _KEPT if told.get(name) is not None}}
        self._check(tenant, content, before.get("ContactID"))
        content["ContactID"] = before.get("ContactID") or self._ledger.new_id(tenant, CONTACT)
        content["ContactStatus"] = before.get("ContactStatus", "ACTIVE")
        content["UpdatedDateUTC"] = shown_moment(ask.now)
        key, reference = content["Name"].casefold(), content.get("ContactNumber")
        self._ledger.save(tenant, CONTACT, content["ContactID"], content, key, reference)
        event = "CONTACT.UPDATE" if standing else "CONTACT.CREATE"
        self._ledger.note_event(event, tenant, content["ContactID"], ask.now)
        return content

    def _check(self, tenant: str, content: Json, own_id: str | None) -> None:
        name = content.get("Name")
        if not name:
            raise Invalid("The contact name must be specified")
        for field, longest in _LONGEST.items():
            if len(content.get(field) or "") > longest:
                raise Invalid(f"The {field} field exceeds the maximum length of {longest} characters")
        if not (content.get("EmailAddress") or "").isascii():
            raise Invalid("Email address must be valid")
        others = self._ledger.where(tenant, CONTACT, "name", [name.casefold()])
        if any(each["ContactID"] != own_id and each["ContactStatus"] == "ACTIVE" for each in others):
            raise Invalid(
                f"The contact name {name} is already assigned to another contact. "
                "The contact name must be unique across all active contacts."
            )
