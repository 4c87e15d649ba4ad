"""What broken providers are made of: the sandbox, with a part of its declaration or of one operation changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract import Batch, Declaration, Done, Refusal, Request, WebhookEvent, encode_json, hookimpl
from billhook.testing.sandbox.provider import SandboxProvider


def declared(**changes: Any) -> Declaration:
    """The sandbox's declaration, with these parts changed."""
    return SandboxProvider.declaration.model_copy(update=changes)


def asking(operation: str, change: Callable[[Request, Any], Request]) -> Any:
    """That operation of the sandbox, with each request changed before it is yielded. ``change`` is given the provider, too."""
    whole = getattr(SandboxProvider, operation)

    def changed(self: Any, batch: Batch[Any, Any]) -> Any:
        steps = whole(self, batch)
        reply = None
        while True:
            try:
                request = next(steps) if reply is None else steps.send(reply)
            except StopIteration as end:
                return end.value
            reply = yield change(request, self)

    return _named(operation, changed)


def handed(operation: str, change: Callable[[Any], Any]) -> Any:
    """That operation of the sandbox, with each item changed before it is looked at."""
    whole = getattr(SandboxProvider, operation)

    def changed(self: Any, batch: Batch[Any, Any]) -> Any:
        return (yield from whole(self, replace(batch, items=tuple(change(item) for item in batch.items))))

    return _named(operation, changed)


def ending(operation: str, change: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    """That operation of the sandbox, with its outcomes changed. ``change`` is given the batch, too."""
    whole = getattr(SandboxProvider, operation)

    def changed(self: Any, batch: Batch[Any, Any]) -> Any:
        outcomes = yield from whole(self, batch)
        return change(batch, outcomes)

    return _named(operation, changed)


def telling(change: Callable[[Sequence[WebhookEvent], datetime], Iterable[WebhookEvent]]) -> Any:
    """The sandbox's reading of webhooks, with the events changed that it reads. ``change`` is given the time, too."""

    def read_webhook(
        self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal:
        read = SandboxProvider.read_webhook(self, headers, body, secrets, now, settings)
        return read if isinstance(read, Refusal) else tuple(change(read, now))

    return hookimpl(read_webhook)


def _named(operation: str, hook: Any) -> Any:
    hook.__name__ = hook.__qualname__ = operation
    return hookimpl(hook)


def each_result(change: Callable[[Any, Any], Any]) -> Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]:
    """A change of every Done's result, given its item."""

    def changed(batch: Any, outcomes: Mapping[str, Any]) -> Mapping[str, Any]:
        items = {item.id: item for item in batch.items}
        return {
            id: Done(change(items[id], outcome.result)) if isinstance(outcome, Done) else outcome
            for id, outcome in outcomes.items()
        }

    return changed


def with_body(request: Request, change: Callable[[Any], Any]) -> Request:
    """The request with another JSON body; one without a body stays."""
    if not request.body:
        return request
    return replace(request, body=encode_json(change(json.loads(request.body, parse_float=Decimal))))


def with_header(request: Request, name: str, value: str) -> Request:
    """The request with one more header."""
    return replace(request, headers=(*request.headers, (name, value)))
