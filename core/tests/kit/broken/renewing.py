"""The sandbox with access tokens that last half an hour and refresh tokens that are good for one use: the provider."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, SecretStr

from billhook.contract import (
    Batch,
    Capability,
    CredentialsResult,
    Done,
    Full,
    Outgoing,
    Rejected,
    Request,
    encode_json,
    hookimpl,
)
from billhook.testing.sandbox.config import SandboxCredentials
from billhook.testing.sandbox.provider import SandboxProvider

RENEWAL = "/v1/token"
PLACE = "{refresh_token}"


class RenewingCredentials(SandboxCredentials):
    """Those of the sandbox, and what renews the token."""

    refresh_token: SecretStr = Field(description="Gets the next token, once.")


class RenewingSandbox(SandboxProvider):
    """The sandbox, whose token is renewed."""

    declaration = SandboxProvider.declaration.model_copy(
        update={
            "credentials": RenewingCredentials,
            "capabilities": {**SandboxProvider.declaration.capabilities, Capability.REFRESH_CREDENTIALS: Full()},
        }
    )

    @hookimpl
    def refresh_credentials(self, batch: Batch[Any, Any]) -> Any:
        body = encode_json({"refresh_token": PLACE})
        reply = yield Request("refresh", "POST", f"{batch.settings.base_url}{RENEWAL}", body=body)
        told = reply.json()
        if reply.status >= 400:
            return {batch.only.id: Rejected.because("grant_refused", told["error"]["message"])}
        expires_at = batch.now + timedelta(seconds=told.pop("expires_in"))
        return {batch.only.id: Done(CredentialsResult(told, expires_at))}

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: RenewingCredentials, now: datetime) -> Outgoing:
        if not request.url.endswith(RENEWAL):
            return super().authenticate(request, credentials, now)
        filled = json.dumps({"refresh_token": credentials.refresh_token.get_secret_value()}).encode()
        return Outgoing(request.method, request.url, request.headers, filled)
