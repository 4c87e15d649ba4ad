"""Every broken provider by the check that must find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broken import books, bronze, gold, refusals, silver
from broken.heavy import Heavy
from broken.renewing import RenewingSandbox
from rotating_server import rotating_server

from billhook.contract import Provider
from billhook.testing.kit import Subject
from billhook.testing.sandbox import simulator

PERFECT: type[Provider[Any]] = RenewingSandbox
BROKEN: Mapping[str, type[Provider[Any]]] = {
    **bronze.BROKEN,
    **silver.BROKEN,
    **books.BROKEN,
    **refusals.BROKEN,
    **gold.BROKEN,
    "imports_lightly": Heavy,
}


def subject_of(provider: type[Provider[Any]]) -> Subject:
    """A variation of the sandbox, with the sandbox as its system."""
    return Subject.of(provider, rotating_server if issubclass(provider, RenewingSandbox) else simulator)


__all__ = ["BROKEN", "PERFECT", "subject_of"]
