"""Connection operations: run at once, never journalled where they hold secrets, harmless to repeat where they don't."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from billhook.contract.declaration import Capability, Declaration
from billhook.contract.items import Batch, ConnectionItem
from billhook.contract.outcomes import Done, Rejected
from billhook.contract.requests import Call, Reply, Request
from billhook.contract.results import ConnectionResult, CredentialsResult
from billhook.contract.verdict import Answered
from billhook.engine.apps import AppHandle
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.effects import Arrived
from billhook.engine.sending import outgoing
from billhook.engine.transport import Transport
from billhook.errors import ConfigError, ContractViolation


class Connections:
    """Runs connection operations in the caller's thread."""

    def __init__(self, context: Context, transport: Transport, credentials: Credentials) -> None:
        self._context = context
        self._transport = transport
        self._credentials = credentials

    def check(self, app: AppHandle) -> ConnectionResult:
        """Whether the credentials work, and what they reach. Raises ConfigError with the reason when they don't."""
        if not app.handle.declaration.can(Capability.CHECK_CONNECTION):
            return ConnectionResult()
        with self._context.database.read() as tx:
            secrets = self._credentials.load(tx, app.credential_id).secrets if app.credential_id else {}
        if not secrets and app.handle.declaration.credentials is not None:
            raise ConfigError(missing_credentials(app.id, app.name, app.handle.declaration))
        result = self.run(app, Capability.CHECK_CONNECTION, app.handle.credentials(secrets) if secrets else None)
        assert isinstance(result, ConnectionResult)
        return result

    def refresh(self, app: AppHandle, credentials: Any, version: int) -> bool:
        """New credentials for old, stored before anybody uses them. False when it can't be done."""
        if app.credential_id is None or not app.handle.declaration.can(Capability.REFRESH_CREDENTIALS):
            return False
        try:
            result = self.run(app, Capability.REFRESH_CREDENTIALS, credentials)
        except ConfigError:
            return False
        assert isinstance(result, CredentialsResult)
        credential_id, fresh = app.credential_id, dict(result.credentials)
        return self._context.database.write(lambda tx: self._swap(tx, credential_id, version, fresh))

    def _swap(self, tx: Any, credential_id: str, version: int, fresh: Mapping[str, str]) -> bool:
        known = self._credentials.load(tx, credential_id)
        return self._credentials.swap(tx, credential_id, version, {**known.secrets, **fresh})

    def run(
        self, app: AppHandle, capability: Capability, credentials: Any, parameters: Mapping[str, str] | None = None
    ) -> Any:
        """Run one connection operation to its end. Raises ConfigError when the provider refuses or can't be reached."""
        now = self._context.clock.now()
        item = ConnectionItem(app.id, dict(parameters or {}))
        batch = Batch(self._context.new_id(now), (item,), app.settings, now, app.id, app.namespace)
        returned = app.handle.start(capability, batch)
        outcomes = self._drive(app, returned, credentials) if isinstance(returned, Generator) else returned
        outcome = outcomes.get(app.id)
        if isinstance(outcome, Done):
            return outcome.result
        if isinstance(outcome, Rejected):
            reasons = "; ".join(issue.message for issue in outcome.issues)
            raise ConfigError(f"{app.name} refuses the connection: {reasons}. Check its settings and credentials.")
        raise ConfigError(f"{app.name} did not finish {capability}. Try again.")

    def _drive(
        self, app: AppHandle, steps: Generator[Request | Call, Reply, Any], credentials: Any
    ) -> Mapping[str, Any]:
        try:
            step = next(steps)
            while True:
                step = steps.send(self._answer(app, step, credentials))
        except StopIteration as stop:
            if not isinstance(stop.value, Mapping):
                raise ContractViolation(f"A connection operation of {app.type} returned no outcomes.") from None
            return stop.value
        finally:
            steps.close()

    def _answer(self, app: AppHandle, step: Request | Call, credentials: Any) -> Reply:
        if isinstance(step, Call):
            return Reply.of(app.handle.registered_function(step.function.name)(credentials, **step.function.args))
        signed = app.handle.authenticate(outgoing(step, None), credentials, self._context.clock.now())
        longest = app.handle.declaration.rules(Capability.CHECK_CONNECTION).longest
        came = self._transport.send(signed, longest.total_seconds())
        if not isinstance(came, Arrived):
            raise ConfigError(f"{app.name} can't be reached ({came.reason}). Check its settings, and try again.")
        verdict = app.handle.classify(step, came.reply)
        if isinstance(verdict, Answered):
            return came.reply
        raise ConfigError(f"{app.name} answered {came.reply.status} to step {step.step!r}. Check its credentials.")


def missing_credentials(app_id: str, name: str, declaration: Declaration) -> str:
    """What to tell about an app that has not got the credentials that its provider needs."""
    fields = declaration.credentials.model_fields if declaration.credentials is not None else {}
    needed = [field for field, info in fields.items() if info.is_required()] or list(fields)
    options = " ".join(f"--credential {field}=-" for field in needed)
    return f"{name} has no credentials; it needs {', '.join(needed)}. Give them: billhook apps credentials {app_id} {options}"
