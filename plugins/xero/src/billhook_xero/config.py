"""What an app of Xero is given: which organisation, how lines, tax, names and dates are put there, and the secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from billhook_xero.organisation import Organisation

API = "https://api.xero.com"
IDENTITY = "https://identity.xero.com"
LOGIN = "https://login.xero.com"

DEFAULT_SCOPES = (
    "offline_access",
    "accounting.invoices",
    "accounting.payments",
    "accounting.contacts",
    "accounting.settings.read",
)
"""Of apps made since March 2026. Older ones ask for accounting.transactions in place of the first two accounting scopes."""


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be an address such as https://api.xero.com, without credentials")
    return url.rstrip("/")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError("is no time zone; use a name such as Europe/London") from None
    return name


def _percentage(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text, re.ASCII):
        raise ValueError("is no percentage; write 20 or 8.25")
    return text


Address = Annotated[str, AfterValidator(_address)]
Code = Annotated[str, Field(min_length=1, max_length=50)]


class Connection(StrEnum):
    """How access is granted: by a person to an app, or to a custom connection of one organisation."""

    OAUTH2 = "oauth2"
    CUSTOM = "custom"


class NameClash(StrEnum):
    """What to do when another contact has the customer's name, which Xero wants to be unique."""

    SUFFIX = "suffix"
    ADOPT = "adopt"
    REFUSE = "refuse"


class TaxAuthority(StrEnum):
    """Whose tax stands on the invoice: ours, stated per line, or the one that Xero computes from its rates."""

    BILLHOOK = "billhook"
    XERO = "xero"


class XeroSettings(BaseModel):
    """The organisation and how things are put there.

    ``account`` is the organisation's tenant id. ``tax_types`` gives the TaxType of a percentage, such as ``{"20": "OUTPUT2"}``, for lines
    without a tax code of their own. ``payment_account`` is where recorded payments are booked, ``payment_accounts`` says otherwise by
    payment method. ``timezone`` is the organisation's: it decides the day on a document.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field(default="", max_length=64, description="the organisation's tenant id")
    client_id: str = Field(default="", description="of your app at developer.xero.com")
    connection: Connection = Field(
        default=Connection.OAUTH2, description="who grants access: a person, or the organisation"
    )
    scopes: tuple[str, ...] = Field(default=DEFAULT_SCOPES, description="what access is asked for")
    api_url: Address = Field(default=API, description="where Xero's API listens")
    identity_url: Address = Field(default=IDENTITY, description="where tokens are given")
    login_url: Address = Field(default=LOGIN, description="where a person signs in")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="the organisation's; it decides the day on a document"
    )
    sales_account: Code | None = Field(default=None, description="the account of lines without a mapping rule")
    tax: TaxAuthority = Field(default=TaxAuthority.BILLHOOK, description="whose tax stands on the invoice")
    tax_types: Mapping[Annotated[str, AfterValidator(_percentage)], Code] = Field(
        default_factory=dict, description="Xero's TaxType by percentage"
    )
    untaxed_tax_type: Code = Field(default="NONE", description="the TaxType of lines without tax")
    rounding_account: Code | None = Field(default=None, description="where cents go that Xero rounds otherwise")
    payment_account: Code | None = Field(default=None, description="where recorded payments are booked")
    payment_accounts: Mapping[str, Code] = Field(
        default_factory=dict, description="the account by payment method, where it is another"
    )
    branding_theme_id: str | None = Field(default=None, description="the look of invoices")
    name_clash: NameClash = Field(
        default=NameClash.SUFFIX, description="what to do when a contact has that name already"
    )
    organisation: Organisation = Field(
        default=Organisation(), description="what is known of the books, to check invoices against"
    )

    @property
    def accounting_url(self) -> str:
        """Where the accounting API listens."""
        return f"{self.api_url}/api.xro/2.0"

    def day(self, moment: datetime) -> date:
        """The organisation's calendar day of that moment."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def account_for(self, method: str | None) -> str | None:
        """Where a payment by that method is booked."""
        return self.payment_accounts.get(method or "", self.payment_account)


class XeroCredentials(BaseModel):
    """The secrets. A custom connection needs the client secret alone; an app without one uses PKCE.

    ``webhook_key`` signs Xero's webhooks; without it every webhook is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: SecretStr | None = Field(default=None, description="the app's secret; an app with PKCE has none")
    access_token: SecretStr | None = Field(default=None, description="what Xero lets in now; it is renewed")
    refresh_token: SecretStr | None = Field(default=None, description="what the next access token is had for")
    webhook_key: SecretStr | None = Field(
        default=None, description="what Xero signs its webhooks with; without it every webhook is refused"
    )
