"""One app's provider behind typed methods, with the host's overrides of pure hooks ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args

import pluggy
from pydantic import BaseModel

from billhook.contract import (
    Batch,
    Capability,
    Declaration,
    InvoiceView,
    Line,
    MappedLine,
    NumberRequest,
    Outcomes,
    Outgoing,
    Provider,
    Refusal,
    Reply,
    Request,
    Steps,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    classify_by_status,
)
from billhook.contract.hooks import PROJECT, PROVIDER_SPECS
from billhook.contract.requests import Call
from billhook.contract.table import HOOKS, PROVIDER_HOOKS
from billhook.errors import ConfigError, ContractViolation, Unsupported
from billhook.plugins.checks import check_override, check_returned
from billhook.plugins.models import validated

UNPACKAGED = "unpackaged"
"""The version of a provider class that came without a distribution."""

_VERDICTS = get_args(Verdict)

T = TypeVar("T")


class ProviderHandle:
    """Everything the engine asks of one app's provider.

    The class has passed ``check_provider``. Overrides are asked in their order, then the provider; None hands on to the next. What a
    hook raises comes out unchanged.
    """

    def __init__(
        self, provider: type[Provider[Any]], overrides: Sequence[object] = (), *, version: str = UNPACKAGED
    ) -> None:
        self.declaration: Declaration = provider.declaration
        self.version = version
        self._provider = provider()
        self._manager = _manager(self._provider, overrides)
        self._hooks = self._manager.hook
        self._override_line = self._overrides_of("map_line") if overrides else _no_answer
        self._own_line = self._own("map_line")
        self._assign_number = self._caller("assign_number")
        self._validate_invoice = self._caller("validate_invoice")
        self._classify = self._caller("classify")
        self._authenticate = self._caller("authenticate")
        self._read_webhook = self._caller("read_webhook")

    def start(self, capability: Capability, batch: Batch[Any, Any]) -> Steps[Any] | Outcomes[Any]:
        """A fresh generator of the operation, or the outcomes at once where it is declared local.

        Raises Unsupported when the capability is not declared, ContractViolation when the hook returns anything else.
        """
        self._require(capability)
        returned = getattr(self._hooks, capability)(batch=batch)
        return check_returned(capability, returned, local=self.declaration.rules(capability).local)

    def map_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine | None:
        """Where the line goes; None when nobody knows."""
        mapped = self.override_line(line, invoice, settings)
        return mapped if mapped is not None else self.provider_line(line, invoice, settings)

    def override_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine | None:
        """Where the host's overrides send the line; None when they don't say."""
        return _of_type("map_line", self._override_line(line, invoice, settings), MappedLine)

    def provider_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine | None:
        """Where the provider itself sends the line; None when it does not say."""
        return _of_type("map_line", self._own_line(line, invoice, settings), MappedLine)

    def assign_number(self, number: NumberRequest, settings: Any) -> str | None:
        """The number that was made of a sequence value; None leaves it to the series' own template."""
        return _of_type("assign_number", self._assign_number(number, settings), str)

    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: Any
    ) -> tuple[ValidationIssue, ...]:
        """What is wrong with the invoice, by the first that has an answer; empty when nobody has."""
        issues = self._validate_invoice(invoice, lines, settings)
        return () if issues is None else _all_of_type("validate_invoice", issues, ValidationIssue)

    def classify(self, request: Request | Call, reply: Reply) -> Verdict:
        """What the reply says about whether the request was executed; by status where the provider does not say."""
        verdict = _of_type("classify", self._classify(request, reply), _VERDICTS)
        return classify_by_status(request, reply) if verdict is None else verdict

    def authenticate(self, request: Outgoing, credentials: Any, now: datetime) -> Outgoing:
        """The request with its credentials; as it is when the provider adds none. Never to be stored or logged."""
        outgoing = _of_type("authenticate", self._authenticate(request, credentials, now), Outgoing)
        return request if outgoing is None else outgoing

    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> tuple[WebhookEvent, ...] | Refusal:
        """The verified events, or why the webhook is refused. Raises Unsupported when the provider reads none."""
        self._require(Capability.READ_WEBHOOK)
        read = self._read_webhook(headers, body, secrets, now, settings)
        return read if isinstance(read, Refusal) else _all_of_type("read_webhook", read, WebhookEvent)

    def registered_function(self, name: str) -> Callable[..., Any]:
        """The provider's function that a stored request names. Raises ContractViolation when it is gone."""
        return self._provider.registered_function(name)

    def settings(self, raw: Mapping[str, Any]) -> BaseModel:
        """The app's settings as the provider's model. Raises ConfigError, which lists every bad field."""
        return validated(self.declaration.settings, raw, f"The settings of {self.declaration.name}")

    def credentials(self, raw: Mapping[str, Any]) -> BaseModel | None:
        """The credentials as the provider's model, None where it takes none. Raises ConfigError, which never shows a value."""
        if self.declaration.credentials is not None:
            return validated(self.declaration.credentials, raw, f"The credentials of {self.declaration.name}")
        if raw:
            raise ConfigError(f"{self.declaration.name} takes no credentials. Leave them away.")
        return None

    def _require(self, capability: Capability) -> None:
        if not self.declaration.can(capability):
            reason = self.declaration.why_not(capability)
            raise Unsupported(f"{self.declaration.name} can't {capability}: {reason}. Choose another app for it.")

    def _overrides_of(self, hook: str) -> Callable[..., Any]:
        """A positional call of the host's implementations alone."""
        caller: pluggy.HookCaller = self._manager.subset_hook_caller(hook, [self._provider])
        arguments = HOOKS[hook].arguments
        return lambda *values: caller(**dict(zip(arguments, values, strict=True)))

    def _own(self, hook: str) -> Callable[..., Any]:
        """A positional call of the provider's own implementation alone."""
        for implementation in getattr(self._hooks, hook).get_hookimpls():
            if implementation.plugin is self._provider:
                return _direct(implementation, HOOKS[hook].arguments)
        return _no_answer

    def _caller(self, hook: str) -> Callable[..., Any]:
        """A positional call with pluggy's meaning. Where one alone implements the hook, it is called without the detour."""
        caller: pluggy.HookCaller = getattr(self._hooks, hook)
        arguments = HOOKS[hook].arguments
        implementations = caller.get_hookimpls()
        if not implementations:
            return _no_answer
        if len(implementations) == 1:
            return _direct(implementations[0], arguments)
        return lambda *values: caller(**dict(zip(arguments, values, strict=True)))


class _Manager(pluggy.PluginManager):
    """Looks for hooks where they can be, and not at whatever else a provider has: what is marked is checked already."""

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name in PROVIDER_HOOKS else None

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name in PROVIDER_HOOKS else None


def _manager(provider: Provider[Any], overrides: Sequence[object]) -> pluggy.PluginManager:
    manager = _Manager(PROJECT)
    for spec in PROVIDER_SPECS:
        manager.add_hookspecs(spec)
    manager.register(provider, "provider")
    for position, override in reversed(list(enumerate(overrides))):  # whoever registers last is asked first
        check_override(override)
        manager.register(override, f"override {position}")
    manager.check_pending()
    return manager


def _direct(implementation: pluggy.HookImpl, arguments: tuple[str, ...]) -> Callable[..., Any]:
    function = implementation.function
    if tuple(implementation.argnames) == arguments:
        return function
    wanted = [arguments.index(name) for name in implementation.argnames]
    return lambda *values: function(*(values[position] for position in wanted))


def _no_answer(*_values: object) -> None:
    return None


def _of_type(hook: str, value: Any, wanted: type[T] | tuple[type[T], ...]) -> T | None:
    if value is None or isinstance(value, wanted):
        return value
    names = " or ".join(one.__name__ for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
    raise ContractViolation(f"{hook} returned a {type(value).__name__}; it must return {names}, or None. Fix the hook.")


def _all_of_type(hook: str, values: Any, wanted: type[T]) -> tuple[T, ...]:
    if not isinstance(values, Sequence) or not all(isinstance(value, wanted) for value in values):
        raise ContractViolation(
            f"{hook} returned {values!r}; it must return a list of {wanted.__name__}. Fix the hook."
        )
    return tuple(values)
