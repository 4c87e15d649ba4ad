"""What a provider says of itself, readable without importing any SDK. Data, so that the engine can check an invoice before any I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from billhook.contract.version import CURRENT


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Capability(StrEnum):
    """What a provider can do. Each capability is the hook of that name."""

    SYNC_CUSTOMER = "sync_customer"
    SYNC_DRAFT = "sync_draft"
    ISSUE = "issue"
    SEND = "send"
    VOID = "void"
    MARK_UNCOLLECTIBLE = "mark_uncollectible"
    DELETE = "delete"
    CREDIT = "credit"
    CALCULATE_TAX = "calculate_tax"
    COLLECT_PAYMENT = "collect_payment"
    CAPTURE_PAYMENT = "capture_payment"
    CANCEL_PAYMENT = "cancel_payment"
    CHECK_PAYMENT = "check_payment"
    RECORD_PAYMENT = "record_payment"
    REFUND = "refund"
    CHECK_REFUND = "check_refund"
    FETCH = "fetch"
    CHECK_CONNECTION = "check_connection"
    AUTHORIZE_URL = "authorize_url"
    EXCHANGE_CODE = "exchange_code"
    LIST_ACCOUNTS = "list_accounts"
    REFRESH_CREDENTIALS = "refresh_credentials"
    MAP_LINE = "map_line"
    ASSIGN_NUMBER = "assign_number"
    VALIDATE_INVOICE = "validate_invoice"
    READ_WEBHOOK = "read_webhook"


class Full(_Frozen):
    """Supported in full."""

    level: Literal["full"] = "full"


class Partial(_Frozen):
    """Supported in part; the reason says what is missing."""

    reason: str = Field(min_length=1)
    level: Literal["partial"] = "partial"


class NotYet(_Frozen):
    """The provider could, this plugin does not yet."""

    reason: str = Field(min_length=1)
    level: Literal["not_yet"] = "not_yet"


class Unsupported(_Frozen):
    """The outside system can't."""

    reason: str = Field(min_length=1)
    level: Literal["unsupported"] = "unsupported"


Support = Annotated[Full | Partial | NotYet | Unsupported, Field(discriminator="level")]


class Scope(StrEnum):
    """Who shares a rate limit."""

    APP = "app"
    CREDENTIAL = "credential"
    ACCOUNT = "account"
    DEVELOPER = "developer"


class RateLimit(_Frozen):
    """At most ``calls`` in any stretch of ``per``. With ``operations`` it counts only their calls (empty: every call).

    With ``steps`` it counts only the requests of steps so named, such as all that go to one endpoint. ``lines`` names ``lines.2`` too;
    the request of a look-up has a step of its own.
    """

    name: str
    calls: int = Field(gt=0)
    per: timedelta
    scope: Scope = Scope.APP
    operations: frozenset[Capability] = frozenset()
    steps: frozenset[str] = frozenset()

    @field_serializer("operations", "steps", when_used="json")
    def _in_order(self, named: frozenset[str]) -> list[str]:
        return sorted(named)

    def counts(self, capability: Capability, step: str | None) -> bool:
        """Whether it counts a request of that step; of a step that nobody knows yet where it counts every step."""
        if self.operations and capability not in self.operations:
            return False
        return not self.steps or (step is not None and step.partition(".")[0] in self.steps)


class RequestsAtOnce(_Frozen):
    """At most so many ``requests`` of one scope under way at once, whatever operations, apps and workers they belong to."""

    requests: int = Field(gt=0)
    scope: Scope = Scope.APP


class OperationRules(_Frozen):
    """How an operation runs.

    ``batch``: items per call at most. ``atomic``: a batch is done wholly or not at all. ``concurrency``: how many of this app at
    once. ``local``: a plain function with no I/O at all, run inside the command's own transaction. ``longest``: after this time without
    an answer the outcome counts as unknown, and the provider has stopped working on it.
    """

    batch: int = Field(default=1, gt=0)
    atomic: bool = True
    concurrency: int = Field(default=1, gt=0)
    local: bool = False
    longest: timedelta = timedelta(seconds=30)


class NumberOwner(StrEnum):
    """Who gives the document its number."""

    ENGINE = "engine"
    PROVIDER = "provider"
    UPSTREAM = "upstream"


class NumberRules(_Frozen):
    """What numbers the provider takes.

    ``needed_for``: the operation that must carry the final number. A provider that needs it on drafts gets it there; the number of a
    draft that is deleted is recorded as cancelled.
    """

    owner: NumberOwner = NumberOwner.ENGINE
    needed_for: Literal[Capability.SYNC_DRAFT, Capability.ISSUE] = Capability.ISSUE
    max_length: int = Field(default=256, gt=0)
    pattern: str | None = None
    unique: bool = True


class MoneyRules(_Frozen):
    """What amounts the provider takes, and how it computes. Scales count decimals; None: any."""

    currencies: frozenset[str] | None = None
    unit_price_scale: int | None = None
    quantity_scale: int | None = None
    tax_rounding: Literal["line", "total"] = "line"
    max_lines: int | None = None
    max_amount: str | None = None
    negative_lines: bool = True

    @field_serializer("currencies", when_used="json")
    def _currencies_in_order(self, currencies: frozenset[str] | None) -> list[str] | None:
        return None if currencies is None else sorted(currencies)


class KeyRules(_Frozen):
    """What the provider says of idempotency keys: whom they are unique among, and how long it honours them."""

    scope: Scope = Scope.APP
    window: timedelta


class Sdk(_Frozen):
    """The vendor's package that the plugin imports at first use, and the extra that installs it."""

    requirement: str
    extra: str | None = None


class InstallMethod(StrEnum):
    """How an app is connected."""

    NO_CREDENTIALS = "no_credentials_required"
    API_KEY = "with_api_key"
    OAUTH2 = "with_oauth2"


class NoSettings(BaseModel):
    """No settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Named here, because inside Declaration the field `type` hides the builtin.
_Model = type[BaseModel]


class Declaration(_Frozen):
    """A provider's declaration.

    ``settings`` is frozen into every batch, so it may hold no secret; secrets belong in ``credentials``, which only ``authenticate``
    and ``read_webhook`` see. A capability that is not named is refused.
    """

    type: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    contract: str = str(CURRENT)
    capabilities: Mapping[Capability, Support]
    operations: Mapping[Capability, OperationRules] = Field(default_factory=dict)
    limits: tuple[RateLimit, ...] = ()
    at_once: tuple[RequestsAtOnce, ...] = ()
    numbers: NumberRules = NumberRules()
    money: MoneyRules = MoneyRules()
    keys: KeyRules | None = None
    settings: _Model = NoSettings
    credentials: _Model | None = None
    install_methods: tuple[InstallMethod, ...] = (InstallMethod.NO_CREDENTIALS,)
    sdk: Sdk | None = None
    homepage: str | None = None

    @model_validator(mode="after")
    def _check_models(self) -> Declaration:
        refuse_secrets_in_settings(self.type, self.settings)
        for model in filter(None, (self.settings, self.credentials)):
            if model.model_config.get("extra") != "forbid":
                raise ValueError(
                    f"{model.__name__} of {self.type} must set extra='forbid', so that a misspelt setting is an error"
                )
        return self

    def can(self, capability: Capability) -> bool:
        """Whether the provider does this, in full or in part."""
        support = self.capabilities.get(capability)
        return isinstance(support, Full | Partial)

    def why_not(self, capability: Capability) -> str:
        """The reason why a capability is refused."""
        support = self.capabilities.get(capability)
        if isinstance(support, NotYet | Unsupported):
            return support.reason
        return f"{self.name} does not declare {capability}"

    def rules(self, capability: Capability) -> OperationRules:
        """How that operation runs; the defaults when the provider says nothing."""
        return self.operations.get(capability, _DEFAULT_RULES)

    def describe(self) -> dict[str, Any]:
        """Everything as JSON, the models as JSON schema."""
        plain = self.model_dump(mode="json", exclude={"settings", "credentials"})
        plain["settings_schema"] = self.settings.model_json_schema()
        plain["credentials_schema"] = self.credentials.model_json_schema() if self.credentials else None
        return plain


_DEFAULT_RULES = OperationRules()


def refuse_secrets_in_settings(provider: str, settings: type[BaseModel]) -> None:
    """Raise ValueError when a settings model holds a secret: settings are frozen into stored batches."""
    for name, field in settings.model_fields.items():
        if "Secret" in str(field.annotation):
            raise ValueError(
                f"The setting {name!r} of {provider} is a secret, and settings are stored with every batch. Move it to the credentials model."
            )
