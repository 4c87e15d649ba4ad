"""What an app of GoCardless is given: which environment, when money counts as received, and the secrets."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

LIVE = "https://api.gocardless.com"
SANDBOX = "https://api-sandbox.gocardless.com"


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must be an address such as {LIVE}, or {SANDBOX} for tests")
    if parts.username or parts.password:
        raise ValueError("must hold no credentials; those have a model of their own")
    return url.rstrip("/")


class GoCardlessSettings(BaseModel):
    """Where the API is, and when a payment counts as received.

    `received_when`: `confirmed` counts it when the bank's time to refuse is over; `paid_out`, some days later, when it is in a payout
    to you. Either can still be taken back by a chargeback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(LIVE, description="where the API listens")
    received_when: Literal["confirmed", "paid_out"] = Field(
        "confirmed", description="when money counts as received: after the bank's time to refuse, or with the payout"
    )


class GoCardlessCredentials(BaseModel):
    """The access token, and the secret of the webhook endpoint; without the secret every webhook is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_token: SecretStr = Field(description="the token of the account")
    webhook_secret: SecretStr | None = Field(
        None, description="what the endpoint's webhooks are signed with; without it every webhook is refused"
    )
