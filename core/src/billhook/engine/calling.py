"""Calling a registered function where a request would be sent: for an SDK that does its own I/O."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from billhook.contract.requests import Call, Reply
from billhook.engine.effects import Arrived, Lost, Transmission, Unsendable
from billhook.errors import ContractViolation
from billhook.plugins.handle import ProviderHandle


def called(handle: ProviderHandle, step: Call, credentials: object) -> Transmission:
    """What became of it. Nothing that the function raises passes through: an SDK that fails may have done it."""
    name, args = step.function.name, step.function.args
    try:
        function = handle.registered_function(name)
        _refuse_misfit(function, name, credentials, args)
    except ContractViolation as error:
        return Unsendable(str(error))
    try:
        return Arrived(_reply(function(credentials, **args)))
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - nobody knows how far it came
        return Lost(f"{name} failed: {type(error).__name__}")


def _refuse_misfit(function: Callable[..., Any], name: str, credentials: object, args: Any) -> None:
    """A function that can't even be entered did nothing. Raises ContractViolation, with how it is to be written."""
    try:
        inspect.signature(function).bind(credentials, **args)
    except TypeError as error:
        wanted = ", ".join(("self", "credentials", *args))
        raise ContractViolation(
            f"The function {name} does not take what its Call gives ({error}). Define it as {name}({wanted})."
        ) from None


def _reply(told: Any) -> Reply:
    return replace(told, source="sent") if isinstance(told, Reply) else Reply.of(told)
