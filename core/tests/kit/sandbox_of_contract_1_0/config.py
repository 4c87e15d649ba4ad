"""What an app of the sandbox provider is given: where the sandbox is, and the secrets shared with it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address such as http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise ValueError("must hold no credentials; those have a model of their own")
    return url.rstrip("/")


class SandboxSettings(BaseModel):
    """Where the sandbox listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[
        str, AfterValidator(_base_url), Field(description="Where the sandbox listens, such as http://127.0.0.1:8080.")
    ]


class SandboxCredentials(BaseModel):
    """The token that the sandbox lets in, and the secret that signs its webhooks; without the secret every webhook is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(description="The token that the sandbox lets in; it prints its own when it starts.")
    webhook_secret: SecretStr | None = Field(
        None, description="What the sandbox signs its webhooks with; without it every webhook is refused."
    )
