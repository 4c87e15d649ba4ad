"""Connection operations: run at once, never journalled where they hold secrets, harmless to repeat where they don't."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from billhook.contract.declaration import Capability, Declaration
from billhook.contract.items import Batch, ConnectionItem
from billhook.contract.outcomes import Done, Rejected, Retry
from billhook.contract.requests import Call, Reply, Request
from billhook.contract.verdict import Answered, Busy, Throttled, Unauthorized, Verdict
from billhook.engine.apps import AppHandle
from billhook.engine.calling import called
from billhook.engine.context import Context
from billhook.engine.driver import throttled_until
from billhook.engine.effects import Arrived, Transmission
from billhook.engine.outgoing import outgoing
from billhook.engine.transport import Transport
from billhook.engine.wire_log import Exchange, WireLog
from billhook.errors import ConfigError, ContractViolation


class NoAnswer(ConfigError):
    """The provider could not be asked now. Nobody knows whether it did anything; asking again later may help."""

    def __init__(self, message: str, after: timedelta = timedelta()) -> None:
        super().__init__(message)
        self.after = after


class NotAuthorized(ConfigError):
    """The provider does not take these credentials."""


class Connections:
    """Runs connection operations in the caller's thread. Safe between threads."""

    def __init__(self, context: Context, transport: Transport, wire_log: WireLog | None = None) -> None:
        self._context = context
        self._transport = transport
        self._wire_log = wire_log

    def run(
        self,
        app: AppHandle,
        capability: Capability,
        credentials: BaseModel | None,
        parameters: Mapping[str, str] | None = None,
    ) -> Any:
        """Run one connection operation to its end.

        The operation finds in its item's parameters what is given here, and those values of the credentials that are no secrets. Raises
        ConfigError when the provider refuses: NotAuthorized where it does not take the credentials; NoAnswer when it can't be asked now.
        """
        now = self._context.clock.now()
        item = ConnectionItem(app.id, {**_plain_values(credentials), **(parameters or {})})
        batch = Batch(self._context.new_id(now), (item,), app.settings, now, app.id, app.namespace)
        returned = app.handle.start(capability, batch)
        outcomes = self._drive(app, capability, returned, credentials) if isinstance(returned, Generator) else returned
        outcome = outcomes.get(app.id)
        if isinstance(outcome, Done):
            return outcome.result
        if isinstance(outcome, Rejected):
            reasons = "; ".join(issue.message.removesuffix(".") for issue in outcome.issues)
            raise ConfigError(f"{app.name} refuses the connection: {reasons}. Check its settings and credentials.")
        after = outcome.after if isinstance(outcome, Retry) else timedelta()
        raise NoAnswer(f"{app.name} did not finish {capability}. Try again.", after)

    def _drive(
        self,
        app: AppHandle,
        capability: Capability,
        steps: Generator[Request | Call, Reply, Any],
        credentials: BaseModel | None,
    ) -> Mapping[str, Any]:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._answer(app, capability, step, credentials))
        except StopIteration as stop:
            if not isinstance(stop.value, Mapping):
                raise ContractViolation(f"A connection operation of {app.type} returned no outcomes.") from None
            return stop.value
        finally:
            steps.close()

    def _answer(
        self, app: AppHandle, capability: Capability, step: Request | Call, credentials: BaseModel | None
    ) -> Reply:
        self._context.faults.reach("connection.before")
        came = self._sent(app, capability, step, credentials)
        self._context.faults.reach("connection.after")
        if not isinstance(came, Arrived):
            raise NoAnswer(f"{app.name} can't be reached ({came.reason}). Check its settings, and try again.")
        verdict = app.handle.classify(step, came.reply)
        if isinstance(verdict, Answered):
            return came.reply
        told = f"{app.name} answered {came.reply.status} to step {step.step!r}"
        if isinstance(verdict, Unauthorized):
            raise NotAuthorized(f"{told}. Check its credentials.")
        raise NoAnswer(f"{told}. Try again later.", self._pause(verdict))

    def _sent(
        self, app: AppHandle, capability: Capability, step: Request | Call, credentials: BaseModel | None
    ) -> Transmission:
        now, signed = self._context.clock.now(), None
        if isinstance(step, Call):
            came = called(app.handle, step, credentials)
        else:
            signed = app.handle.authenticate(outgoing(step, None), credentials, now)
            came = self._transport.send(signed, app.handle.declaration.rules(capability).longest.total_seconds())
        if self._wire_log is not None:
            exchange = Exchange(now, app.type, app.id, capability, step, None, 1, (), signed, came)
            self._wire_log.note(exchange, credentials)
        return came

    def _pause(self, verdict: Verdict) -> timedelta:
        now = self._context.clock.now()
        if isinstance(verdict, Throttled):
            return throttled_until(verdict, now) - now
        return verdict.after if isinstance(verdict, Busy) else timedelta()


def missing_credentials(app_id: str, name: str, declaration: Declaration) -> str:
    """What to tell about an app that has not got the credentials that its provider needs."""
    if declaration.can(Capability.AUTHORIZE_URL):
        return f"{name} is not connected. Sign in there: billhook apps connect {app_id}"
    fields = declaration.credentials.model_fields if declaration.credentials is not None else {}
    needed = [field for field, info in fields.items() if info.is_required()] or list(fields)
    options = " ".join(f"--credential {field}=-" for field in needed)
    return f"{name} has no credentials; it needs {', '.join(needed)}. Give them: billhook apps credentials {app_id} {options}"


def _plain_values(credentials: BaseModel | None) -> dict[str, str]:
    """What is no secret, such as a client's id: an address for a person to visit may need it."""
    return {name: value for name, value in credentials or () if isinstance(value, str)}
