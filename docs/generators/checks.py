"""The page of checks: each promise that the conformance kit tries, with the mistake by which its own tests see that it bites."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from billhook.contract import Provider
from billhook.testing.kit import CHECKS, Check, Tier
from generators.source import DOCS, ROOT

INTRO = """\
# Checks

Made from the conformance kit, and from the providers with one mistake each by which its tests see that it bites.
[Make a plugin trustworthy](../plugin-authors/trust.md) shows how to work with it.

Each check can be tried alone, with `billhook check NAME --check CHECK`. One that fails says what was expected and what happened. Where it struck
at some request, it names the fault and the request, to be struck again alone with `--fault` and `--step`.
"""

TIERS = {
    Tier.BRONZE: "The provider loads, and tells the truth about itself. Nothing is sent, and no simulator is needed.",
    Tier.SILVER: "What is billed stands at the provider to the cent, once, and is read back as it stands.",
    Tier.GOLD: "That holds whatever becomes of a request, of the engine, and of the webhooks.",
}
KIT = ROOT / "core/tests/kit"


def page() -> str:
    """The page."""
    broken = _broken()
    parts = [INTRO]
    for tier, promise in TIERS.items():
        parts += [f"## {tier.value.capitalize()}", promise]
        parts += [_described(check, broken[check.name]) for check in CHECKS if check.tier is tier]
    return "\n\n".join(part.strip() for part in parts)


def _described(check: Check, broken: type[Provider[Any]]) -> str:
    return "\n\n".join([f"### {check.name}", check.promise, "\n".join(_facts(check, broken))])


def _facts(check: Check, broken: type[Provider[Any]]) -> Iterator[str]:
    yield f"- Stands for: {check.rule.value}"
    mistake = inspect.cleandoc(broken.__doc__ or "").partition(": ")[2]
    yield f"- A usual mistake: {mistake} ([`{broken.__name__}`]({_link(broken)}))"
    if check.needs:
        yield f"- Asked of those who can {' or '.join(f'`{need}`' for need in check.needs)}"
    yield f"- Alone: `billhook check NAME --check {check.name}`"


def _broken() -> Mapping[str, type[Provider[Any]]]:
    """The broken provider of every check."""
    sys.path.insert(0, str(KIT))
    try:
        found: Mapping[str, type[Provider[Any]]] = import_module("broken_providers").BROKEN
    finally:
        sys.path.remove(str(KIT))
    return found


def _link(broken: type[Provider[Any]]) -> str:
    return Path(os.path.relpath(inspect.getsourcefile(broken) or "", DOCS / "reference")).as_posix()
