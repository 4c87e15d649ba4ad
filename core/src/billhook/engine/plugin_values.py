"""What a plugin hands over while one operation runs is checked before anybody believes it: steps, outcomes, findings, ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billhook.contract.declaration import OperationRules
from billhook.contract.items import Batch
from billhook.contract.operations import OperationSpec
from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.contract.requests import (
    Absent,
    Call,
    Find,
    Finding,
    Found,
    Function,
    Reply,
    Request,
    Unknown,
    functions_of,
)
from billhook.engine.conformity import misfit
from billhook.engine.effects import Settlement
from billhook.engine.journal import Attempt
from billhook.errors import ContractViolation
from billhook.plugins.handle import ProviderHandle

MOST_STEPS = 300
"""An operation of more requests than this is taken for one that never ends; replaying it would cost more than sending it."""

NONE_FOUND: Mapping[str, str] = {}


class PluginValues:
    """What comes from the plugin for one batch. Everything raises ContractViolation for what the contract does not allow."""

    def __init__(self, handle: ProviderHandle, spec: OperationSpec, batch: Batch[Any, Any]) -> None:
        self._handle = handle
        self._spec = spec
        self._batch = batch
        self._rules: OperationRules = handle.declaration.rules(spec.capability)

    def admit(self, step: Request | Call, journal: Sequence[Attempt]) -> None:
        """A step that may follow those in the journal."""
        if len(journal) >= MOST_STEPS:
            raise ContractViolation(
                f"{self._spec.name} makes more than {MOST_STEPS} requests. Split it into operations."
            )
        problem = misfit(step, type(step), f"step {step.step!r}")
        if problem is not None:
            raise ContractViolation(f"{problem}.")
        for function in functions_of(step):
            self._handle.registered_function(function.name)
        if any(attempt.step.step == step.step for attempt in journal):
            raise ContractViolation(f"Two steps of {self._spec.name} are named {step.step!r}. Give each its own name.")
        if len(self._batch.items) > 1 and step.effectful:
            self._admit_to_batch(step, journal)

    def _admit_to_batch(self, step: Request | Call, journal: Sequence[Attempt]) -> None:
        if any(attempt.step.effectful for attempt in journal):
            raise ContractViolation(
                f"{self._spec.name} made a second request that changes something for a batch of {len(self._batch.items)}. "
                "Declare batch=1, or make it an operation of its own."
            )
        if not self._rules.atomic and step.recover and not isinstance(step.recover[0], Find):
            raise ContractViolation(
                f"Step {step.step!r} of {self._spec.name} repeats a batch that may be partly done. List Find before Repeat, or declare atomic=True."
            )

    def outcomes(self, value: Any) -> dict[str, Settlement]:
        """What the operation returned, by item id; items that it does not mention are missing."""
        if not isinstance(value, Mapping):
            raise ContractViolation(
                f"{self._spec.name} returned {type(value).__name__}. It must return a mapping from item id to an outcome."
            )
        known = {item.id for item in self._batch.items}
        strangers = sorted(str(id) for id in value if id not in known)
        if strangers:
            raise ContractViolation(
                f"{self._spec.name} returned outcomes for {', '.join(strangers[:3])}, which are not in its batch."
            )
        return {id: self.outcome(id, outcome) for id, outcome in value.items()}

    def outcome(self, id: str, outcome: Any) -> Settlement:
        """What it returned for that item."""
        if not isinstance(outcome, Done | Pending | Rejected | Retry):
            raise ContractViolation(
                f"{self._spec.name} returned {outcome!r} for {id}. Return Done, Pending, Rejected or Retry."
            )
        if isinstance(outcome, Done):
            problem = misfit(outcome.result, self._spec.result, "the result")
        else:
            problem = misfit(outcome, type(outcome), f"the {type(outcome).__name__}")
        if problem is not None:
            raise ContractViolation(
                f"{self._spec.name} returned a {type(outcome).__name__} for {id} that can't be taken: {problem}."
            )
        return outcome

    def findings(self, way: Find, reply: Reply, wanted: tuple[str, ...]) -> dict[str, Found | Absent | Unknown]:
        """What a look-up says of each item that is wanted."""
        found = self._answer(way.match, reply)
        if not isinstance(found, Mapping):
            raise ContractViolation(
                f"{way.match.name} returned {type(found).__name__}. A match returns a mapping from item id to a finding."
            )
        silent = Unknown("the look-up says nothing of it")
        findings = {id: found.get(id, silent) for id in wanted}
        for id, finding in findings.items():
            problem = misfit(finding, Finding, f"what {way.match.name} found for {id}")
            if problem is not None:
                raise ContractViolation(f"{problem}.")
        return findings

    def remote_ids(self, attempt: Attempt) -> Mapping[str, str]:
        """What an answered step made at the provider, by item id, as far as its request identifies it."""
        identify = attempt.step.identify
        if identify is None or attempt.reply is None or attempt.reply.status >= 300:
            return NONE_FOUND
        remote_ids = self._answer(identify, attempt.reply)
        problem = misfit(remote_ids, Mapping[str, str], f"what {identify.name} returned")
        if problem is not None:
            raise ContractViolation(f"{problem}.")
        return remote_ids

    def _answer(self, function: Function, reply: Reply) -> Mapping[str, Any]:
        target = self._handle.registered_function(function.name)
        answer: Mapping[str, Any] = target(reply, **function.args)
        return answer
