"""What an app of QuickBooks Online is given: which company, how its books are kept, and the secrets shared with Intuit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

PRODUCTION_URL = "https://quickbooks.api.intuit.com"
AUTHORIZATION_URL = "https://appcenter.intuit.com/connect/oauth2"
TOKEN_URL = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105 - an address


class TaxModel(StrEnum):
    """Who computes the tax of an invoice, as it depends on the company's country.

    ``us``: Billhook does, and states the sum (TxnTaxDetail.TotalTax). ``elsewhere``: QuickBooks does, by the tax code of each line, and
    Billhook sends only what comes out the same. ``none``: the company does not use sales tax.
    """

    US = "us"
    ELSEWHERE = "elsewhere"
    NONE = "none"


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be an address such as {PRODUCTION_URL}")
    if parts.username or parts.password:
        raise ValueError("must hold no credentials; those have a model of their own")
    return url.rstrip("/")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError("is no time zone; use a name such as America/New_York") from None
    return name


Address = Annotated[str, AfterValidator(_address)]
Id = Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]


class TaxCode(BaseModel):
    """A tax code of the company: its id there, and the percentage of all its rates together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,32}$")]
    percentage: Annotated[Decimal, Field(ge=0, le=100)]


class QuickBooksSettings(BaseModel):
    """The company and how its books are kept. ``account`` is its realm id.

    ``items`` gives the id of a product or service of the company for our item codes; ``default_item`` is for all others. ``tax_codes``
    gives the company's tax codes for ours, outside the US; ``default_tax_code`` is one of our codes, for lines without any.
    ``timezone`` is the company's: it decides the day on a document. ``closed_until`` is the company's closing date. ``deposit_account`` is the id of the account that recorded payments go to.
    ``rounding_item`` is for a line of the cents by which the tax that QuickBooks computes differs, outside the US.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Id = Field(description="the company's realm id")
    client_id: str = Field(min_length=1, max_length=128, description="the app's id at Intuit")
    base_url: Address = Field(PRODUCTION_URL, description="where the accounting API listens")
    authorization_url: Address = Field(AUTHORIZATION_URL, description="where a person grants access")
    token_url: Address = Field(TOKEN_URL, description="where tokens are given")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        "UTC", description="the company's; it decides the day on a document"
    )
    home_currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="the currency of the company's books")
    multicurrency: bool = Field(False, description="whether the company bills in other currencies, too")
    tax_model: TaxModel = Field(TaxModel.US, description="who computes tax, as it depends on the company's country")
    tax_codes: Mapping[str, TaxCode] = Field(default_factory=dict, description="the company's tax codes for ours")
    default_tax_code: str | None = Field(None, description="one of our codes, for lines without any")
    items: Mapping[str, Id] = Field(default_factory=dict, description="the company's products for our item codes")
    default_item: Id | None = Field(None, description="the product of every other line")
    rounding_item: Id | None = Field(
        None, description="the product of a line of cents that QuickBooks rounds otherwise"
    )
    deposit_account: Id | None = Field(None, description="the account that recorded payments go to")
    closed_until: date | None = Field(None, description="the company's closing date")

    def day(self, moment: datetime) -> date:
        """The company's calendar day of that moment."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def percentage_of(self, tax_code_id: str) -> Decimal | None:
        """The percentage of one of the company's tax codes, None for a code that is not among these settings."""
        return next((code.percentage for code in self.tax_codes.values() if code.id == tax_code_id), None)

    @property
    def untaxed_code(self) -> str | None:
        """The id of a tax code without tax, None where none is known."""
        return next((code.id for code in self.tax_codes.values() if code.percentage == 0), None)


class QuickBooksCredentials(BaseModel):
    """The app's secret at Intuit and the tokens of the company; the verifier token signs webhooks, without it every one is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_secret: SecretStr = Field(description="the app's secret at Intuit")
    access_token: SecretStr = Field(SecretStr(""), description="what Intuit lets in now; it is renewed")
    refresh_token: SecretStr = Field(SecretStr(""), description="what the next access token is had for")
    verifier_token: SecretStr | None = Field(
        None, description="what Intuit signs its webhooks with; without it every webhook is refused"
    )
