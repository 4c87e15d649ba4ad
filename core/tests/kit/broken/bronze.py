"""Providers with one small mistake each, which a bronze check must find, and only that check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from broken import parts
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from billhook.contract import (
    InvoiceView,
    Line,
    MappedLine,
    NumberRules,
    Outgoing,
    Refusal,
    Reply,
    Request,
    Verdict,
    WebhookEvent,
    hookimpl,
)
from billhook.testing.sandbox.config import SandboxSettings
from billhook.testing.sandbox.provider import SandboxProvider


class BadPattern(SandboxProvider):
    """Rule LOAD: its pattern of numbers is no regular expression."""

    declaration = parts.declared(numbers=NumberRules(pattern="["))


class Shuffled(SandboxProvider):
    """Rule LOAD: its description is put together in the order of a set."""

    declaration = parts.declared(description=" ".join({"invoices", "payments", "refunds", "credit", "notes"}))


class SilentSettings(SandboxSettings):
    base_url: str


class Silent(SandboxProvider):
    """Rule LOAD: nobody is told what its setting is."""

    declaration = parts.declared(settings=SilentSettings)


class OpenCredentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr = Field(description="The token.")
    webhook_secret: SecretStr | None = Field(None, description="The secret.")
    user_password: str = Field("none", description="Shown to everybody.")


class Talkative(SandboxProvider):
    """Rule NO_CREDENTIALS: one of its credentials is a plain text, and shows wherever they are printed."""

    declaration = parts.declared(credentials=OpenCredentials)


class Stamping(SandboxProvider):
    """Rule NO_CREDENTIALS: signing changes the body, which is then another one than was stored."""

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: Any, now: datetime) -> Outgoing:
        signed = SandboxProvider.authenticate(self, request, credentials, now)
        return Outgoing(signed.method, signed.url, signed.headers, signed.body + b" " if signed.body else b"")


class Counting(SandboxProvider):
    """Rule FREEZE: where a line goes depends on how many were mapped before it."""

    mapped: list[str] = []  # noqa: RUF012 - shared by all, which is the mistake

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine:
        self.mapped.append(line.id)
        return MappedLine(line_id=line.id, description=line.name, rule="odd", account=f"sales-{len(self.mapped) % 2}")


class Trusting(SandboxProvider):
    """Rule CLASSIFY: it takes every error for one of the sandbox, and raises at another one."""

    @hookimpl
    def classify(self, request: Request, reply: Reply) -> Verdict | None:
        if reply.status == 409:
            assert reply.json()["error"]["code"]
        return SandboxProvider.classify(self, request, reply)


class Hasty(SandboxProvider):
    """Rule EVENTS: it reads a webhook before it knows who signed it."""

    @hookimpl
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal:
        if "sandbox-signature" not in headers:
            assert body.decode().startswith("{")
        return SandboxProvider.read_webhook(self, headers, body, secrets, now, settings)


BROKEN: Mapping[str, type[SandboxProvider]] = {
    "loads": BadPattern,
    "is_described_the_same": Shuffled,
    "explains_its_settings": Silent,
    "hides_its_secrets": Talkative,
    "signs_without_changing": Stamping,
    "answers_the_same_twice": Counting,
    "classifies_every_reply": Trusting,
    "survives_any_webhook": Hasty,
}
