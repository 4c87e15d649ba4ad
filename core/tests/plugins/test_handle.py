from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from billhook.contract import (
    Answered,
    Batch,
    Busy,
    Capability,
    ConnectionItem,
    ConnectionResult,
    Declaration,
    Done,
    Full,
    InvoiceView,
    Line,
    MappedLine,
    NoSettings,
    NotYet,
    NumberRequest,
    OperationRules,
    Outgoing,
    Provider,
    Refusal,
    Reply,
    Request,
    Severity,
    Throttled,
    ValidationIssue,
    WebhookEvent,
    hookimpl,
    registered,
)
from billhook.errors import ConfigError, ContractViolation, Unsupported
from billhook.plugins import ProviderHandle, check_provider
from billhook.testing.builders import a_view

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASK = Request("ask", "GET", "https://acme.example/")
BATCH: Batch[Any, Any] = Batch("op-1", (ConnectionItem("c-1"),), NoSettings(), NOW, "app-1", "default")
NUMBER = NumberRequest("INV", 7, "INV-0007", "doc-1", "Ann", None, "EUR", NOW)
SECRET = "sk_live_8f2c"


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    account: str
    mode: Literal["draft", "final"] = "draft"


class Credentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    token: SecretStr
    region: str = "eu"

    @field_validator("region")
    @classmethod
    def _known(cls, region: str) -> str:
        if region not in {"eu", "us"}:
            raise ValueError(f"{region} is not a region of Acme")
        return region


class Acme(Provider[Settings]):
    declaration = Declaration(
        type="acme",
        name="Acme",
        description="Books of Acme.",
        capabilities={
            Capability.CHECK_CONNECTION: Full(),
            Capability.LIST_ACCOUNTS: Full(),
            Capability.MAP_LINE: Full(),
            Capability.ASSIGN_NUMBER: Full(),
            Capability.VALIDATE_INVOICE: Full(),
            Capability.READ_WEBHOOK: Full(),
            Capability.REFUND: NotYet(reason="the interface is in beta"),
        },
        operations={Capability.LIST_ACCOUNTS: OperationRules(local=True)},
        settings=Settings,
        credentials=Credentials,
    )

    @hookimpl
    def check_connection(self, batch):
        reply = yield ASK
        return {batch.only.id: Done(ConnectionResult()), "status": reply.status}

    @hookimpl
    def list_accounts(self, batch):
        return {batch.only.id: Done(ConnectionResult())}

    @hookimpl
    def map_line(self, line, invoice, settings):
        if line.name == "Line 1":
            return None
        if line.name == "Line 2":
            raise LookupError("no such account")
        return MappedLine(line.id, line.name, rule=f"{settings}/{invoice.currency}", account="200")

    @hookimpl
    def assign_number(self, number):
        return f"A{number.sequence}"

    @hookimpl
    def validate_invoice(self, settings, invoice):
        return [issue(f"of {settings} {invoice.currency}")]

    @hookimpl
    def classify(self, reply):
        return Busy() if reply.status == 423 else None

    @hookimpl
    def authenticate(self, request, credentials):
        return request.with_headers(("authorization", f"Bearer {credentials}"))

    @hookimpl
    def read_webhook(self, headers, body):
        if "signature" not in headers:
            return Refusal("not signed")
        return [WebhookEvent("evt-1", "document", body.decode(), "invoice.changed")]

    @registered
    def match_reply(self, reply: Reply) -> Mapping[str, Any]:
        return {}


class Bare(Provider):
    declaration = Declaration(type="bare", name="Bare", description="Does nothing.", capabilities={})


def issue(message: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.WARNING, code="noted", message=message)


def override(**hooks: Any) -> object:
    return type("Override", (), {name: hookimpl(hook) for name, hook in hooks.items()})()


@pytest.fixture(scope="module")
def view() -> InvoiceView:
    return a_view()


@pytest.fixture
def lines(view: InvoiceView) -> tuple[Line, ...]:
    return tuple(view.lines)


def test_the_providers_of_these_tests_keep_the_contract() -> None:
    check_provider(Acme)
    check_provider(Bare)


def test_an_operation_starts_as_a_fresh_generator_each_time() -> None:
    handle = ProviderHandle(Acme)
    for _ in range(2):
        steps = handle.start(Capability.CHECK_CONNECTION, BATCH)
        assert next(steps) is ASK
        with pytest.raises(StopIteration) as stopped:
            steps.send(Reply(200))
        assert stopped.value.value["status"] == 200


def test_a_local_operation_answers_at_once() -> None:
    assert ProviderHandle(Acme).start(Capability.LIST_ACCOUNTS, BATCH) == {"c-1": Done(ConnectionResult())}


@pytest.mark.parametrize(
    "capability, reason", [(Capability.REFUND, "the interface is in beta"), (Capability.SEND, "does not declare send")]
)
def test_an_operation_that_is_not_declared_is_refused_with_the_reason(capability: Capability, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        ProviderHandle(Acme).start(capability, BATCH)


def test_a_decorator_that_swallows_the_generator_is_found_when_it_is_called() -> None:
    def as_list(operation: Any) -> Any:
        return lambda self, batch: [next(operation(self, batch))]

    provider = type("Listing", (Acme,), {"check_connection": hookimpl(as_list(Acme.check_connection))})
    with pytest.raises(ContractViolation, match="check_connection returned a list"):
        ProviderHandle(provider).start(Capability.CHECK_CONNECTION, BATCH)


def test_a_line_is_mapped_by_the_provider(view: InvoiceView, lines: tuple[Line, ...]) -> None:
    mapped = ProviderHandle(Acme).map_line(lines[2], view, "settings")
    assert mapped is not None
    assert (mapped.account, mapped.rule) == ("200", "settings/EUR")


def test_a_line_that_nobody_knows_is_mapped_to_nothing(view: InvoiceView, lines: tuple[Line, ...]) -> None:
    assert ProviderHandle(Acme).map_line(lines[0], view, None) is None
    assert ProviderHandle(Bare).map_line(lines[0], view, None) is None


@pytest.mark.parametrize("overrides", [(), (override(map_line=lambda self, line: None),)])
def test_an_error_in_a_hook_comes_out_unchanged(
    overrides: tuple[object, ...], view: InvoiceView, lines: tuple[Line, ...]
) -> None:
    with pytest.raises(LookupError, match="no such account"):
        ProviderHandle(Acme, overrides).map_line(lines[1], view, None)


def test_an_override_is_asked_first_and_none_hands_on(view: InvoiceView, lines: tuple[Line, ...]) -> None:
    def map_first(self: object, line: Line) -> MappedLine | None:
        return MappedLine(line.id, "ours", rule="host") if line.name == "Line 1" else None

    handle = ProviderHandle(Acme, [override(map_line=map_first)])
    rules = [getattr(handle.map_line(lines[index], view, None), "rule", None) for index in (0, 2)]
    assert rules == ["host", "None/EUR"]


def test_overrides_are_asked_in_their_order() -> None:
    asked: list[str] = []
    first = override(assign_number=lambda self, number: asked.append("first"))
    second = override(assign_number=lambda self, number: f"second {number.sequence}")
    third = override(assign_number=lambda self, number: "third")
    assert ProviderHandle(Acme, [first, second, third]).assign_number(NUMBER, None) == "second 7"
    assert asked == ["first"]


def test_an_override_serves_a_provider_that_lacks_the_hook() -> None:
    handle = ProviderHandle(
        Bare, [override(assign_number=lambda self, settings, number: f"{settings}-{number.sequence}")]
    )
    assert handle.assign_number(NUMBER, "X") == "X-7"


def test_an_override_of_one_app_is_not_seen_by_another() -> None:
    overridden = ProviderHandle(Acme, [override(assign_number=lambda self, number: "ours")])
    assert overridden.assign_number(NUMBER, None) == "ours"
    assert ProviderHandle(Acme).assign_number(NUMBER, None) == "A7"


def test_the_first_who_finds_fault_with_an_invoice_is_believed(view: InvoiceView) -> None:
    assert ProviderHandle(Acme).validate_invoice(view, (), "S") == (issue("of S EUR"),)
    contented = override(validate_invoice=lambda self, lines: [])
    assert ProviderHandle(Acme, [contented]).validate_invoice(view, (), "S") == ()
    assert ProviderHandle(Bare).validate_invoice(view, (), None) == ()


@pytest.mark.parametrize("hook", ["check_connection", "classify", "authenticate", "read_webhook"])
def test_an_override_of_an_operation_or_of_reading_is_refused(hook: str) -> None:
    with pytest.raises(ContractViolation, match=f"{hook} is not for it to implement"):
        ProviderHandle(Acme, [override(**{hook: lambda self: None})])


def test_a_misspelt_override_is_refused() -> None:
    with pytest.raises(ContractViolation, match="Did you mean map_line"):
        ProviderHandle(Acme, [override(map_lines=lambda self, line: None)])


@pytest.mark.parametrize(
    "hook, arguments, wanted",
    [("map_line", (None, None, None), "MappedLine"), ("assign_number", (NUMBER, None), "str")],
)
def test_a_pure_hook_that_answers_nonsense_is_named(hook: str, arguments: tuple[Any, ...], wanted: str) -> None:
    handle = ProviderHandle(Acme, [override(**{hook: lambda self: {"account": "200"}})])
    with pytest.raises(ContractViolation, match=f"{hook} returned a dict; it must return {wanted}"):
        getattr(handle, hook)(*arguments)


def test_issues_that_are_no_issues_are_refused(view: InvoiceView) -> None:
    with pytest.raises(ContractViolation, match="a list of ValidationIssue"):
        ProviderHandle(Acme, [override(validate_invoice=lambda self: ["too long"])]).validate_invoice(view, (), None)


def test_what_the_provider_does_not_classify_is_classified_by_status() -> None:
    handle = ProviderHandle(Acme)
    assert handle.classify(ASK, Reply(423)) == Busy()
    assert handle.classify(ASK, Reply(200)) == Answered()
    assert isinstance(ProviderHandle(Bare).classify(ASK, Reply(429)), Throttled)


def test_a_verdict_that_is_none_is_refused() -> None:
    provider = type("Judging", (Acme,), {"classify": hookimpl(lambda self: "fine")})
    with pytest.raises(ContractViolation, match="classify returned a str; it must return Answered or"):
        ProviderHandle(provider).classify(ASK, Reply(200))


def test_credentials_are_added_by_the_provider() -> None:
    outgoing = Outgoing("GET", "https://acme.example/", (), b"")
    assert ProviderHandle(Acme).authenticate(outgoing, "t", NOW).headers == (("authorization", "Bearer t"),)
    assert ProviderHandle(Bare).authenticate(outgoing, None, NOW) == outgoing


def test_a_webhook_is_read_or_refused() -> None:
    handle = ProviderHandle(Acme)
    assert handle.read_webhook({}, b"in_1", None, NOW, None) == Refusal("not signed")
    events = handle.read_webhook({"signature": "x"}, b"in_1", None, NOW, None)
    assert isinstance(events, tuple)
    assert [event.external_id for event in events] == ["in_1"]


def test_a_provider_that_reads_no_webhooks_says_so() -> None:
    with pytest.raises(Unsupported, match="does not declare read_webhook"):
        ProviderHandle(Bare).read_webhook({}, b"", None, NOW, None)


def test_a_webhook_that_is_neither_read_nor_refused_is_a_fault() -> None:
    provider = type("Silent", (Acme,), {"read_webhook": hookimpl(lambda self: None)})
    with pytest.raises(ContractViolation, match="read_webhook returned None"):
        ProviderHandle(provider).read_webhook({}, b"", None, NOW, None)


def test_a_registered_function_is_found_by_name() -> None:
    handle = ProviderHandle(Acme)
    assert handle.registered_function("match_reply")(Reply(200)) == {}
    with pytest.raises(ContractViolation, match="no registered function 'map_line'"):
        handle.registered_function("map_line")


def test_settings_become_the_providers_model() -> None:
    assert ProviderHandle(Acme).settings({"account": "200"}) == Settings(account="200")


def test_every_bad_setting_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        ProviderHandle(Acme).settings({"mode": "later", "acount": "200"})
    text = str(caught.value)
    assert "The settings of Acme" in text
    assert all(name in text for name in ("account:", "mode:", "acount:"))


@pytest.mark.parametrize(
    "raw",
    [
        {"token": {"value": SECRET}},
        {"token": [SECRET]},
        {"token": "x", "api_key": SECRET},
        {"token": "x", "region": SECRET},
        {"region": SECRET},
    ],
)
def test_a_bad_credential_is_named_and_never_shown(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="The credentials of Acme") as caught:
        ProviderHandle(Acme).credentials(raw)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


def test_credentials_become_the_providers_model() -> None:
    credentials = ProviderHandle(Acme).credentials({"token": SECRET})
    assert isinstance(credentials, Credentials)
    assert credentials.token.get_secret_value() == SECRET


def test_a_provider_without_credentials_takes_none() -> None:
    handle = ProviderHandle(Bare)
    assert handle.credentials({}) is None
    with pytest.raises(ConfigError, match="Bare takes no credentials"):
        handle.credentials({"token": SECRET})


def test_the_version_is_that_of_the_distribution() -> None:
    assert ProviderHandle(Acme, version="1.2.3").version == "1.2.3"
