"""What an app of Stripe is given: how it behaves, and the secrets shared with it."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from billhook.contract import CustomerItem


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be an address such as https://api.stripe.com")
    if parts.username or parts.password:
        raise ValueError("must hold no credentials; those have a model of their own")
    return url.rstrip("/")


class StripeSettings(BaseModel):
    """How an app uses Stripe.

    `account` acts for a connected account. `capture` is for payments of invoices that live elsewhere: `manual` only authorizes them.
    `unattached_credit_notes` says what becomes of credit that no open invoice takes and no refund gave back: the customer's credit balance,
    which Stripe puts against the customer's next invoice, or a refusal. The metadata keys name an existing customer, and a payment method, at
    Stripe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        "https://api.stripe.com", description="where the API listens"
    )
    account: Annotated[str, Field(pattern=r"^acct_\w+$")] | None = Field(
        None, description="the connected account that is acted for"
    )
    capture: Literal["automatic", "manual"] = Field(
        "automatic", description="whether payments of invoices that live elsewhere are captured at once"
    )
    unattached_credit_notes: Literal["customer_balance", "refuse"] = Field(
        "customer_balance", description="what becomes of credit that no open invoice takes and no refund gave back"
    )
    customer_id_key: str = Field(
        "stripe_customer_id", min_length=1, description="which of a customer's metadata names an existing customer"
    )
    payment_method_key: str = Field(
        "stripe_payment_method", min_length=1, description="which of a customer's metadata names a payment method"
    )


class StripeCredentials(BaseModel):
    """A secret or restricted API key, and the endpoint's signing secret; without the latter every webhook is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr = Field(description="a secret or restricted API key")
    webhook_secret: SecretStr | None = Field(
        None, description="what the endpoint's webhooks are signed with; without it every webhook is refused"
    )


def existing_customer(item: CustomerItem, settings: StripeSettings) -> str | None:
    """The Stripe customer that the host's metadata name."""
    return item.metadata.get(settings.customer_id_key)


def given_payment_method(item: CustomerItem, settings: StripeSettings) -> str | None:
    """The payment method that the host's metadata name."""
    return item.metadata.get(settings.payment_method_key)
