"""What an app of PayPal is configured with."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class PaypalSettings(BaseModel):
    """Stored with every batch, so nothing here is secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(
        "https://api-m.paypal.com",
        description="Where PayPal's API answers, without a slash at the end.",
        examples=["https://api-m.sandbox.paypal.com"],
    )
    email_recipient: bool = Field(
        True, description="Whether PayPal e-mails an invoice to the customer when it is issued."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, told: str) -> str:
        parts = urlsplit(told)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address such as https://api-m.paypal.com")
        if parts.username or parts.query:
            raise ValueError("must hold no credentials and no query")
        return told.rstrip("/")


class PaypalCredentials(BaseModel):
    """Stored encrypted. A REST app at PayPal has the first two; the engine gets the token with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: SecretStr = Field(description="The client id of the REST app at PayPal.")
    client_secret: SecretStr = Field(description="Its secret.")
    access_token: SecretStr | None = Field(None, description="The token in use; got and renewed by itself.")
    webhook_id: SecretStr | None = Field(
        None, description="The id that PayPal gave the webhook; it is part of what is signed.", examples=["8PT597110X"]
    )
    webhook_certificates: SecretStr | None = Field(
        None,
        description="The certificates that PayPal signs webhooks with, in PEM, one after the other: what stands at the "
        "address in the header PAYPAL-CERT-URL.",
    )
