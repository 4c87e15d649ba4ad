"""The providers of this project, as its distributions offer them, whether or not they are installed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from billhook.contract import Provider
from billhook.contract.entry_points import PROVIDERS
from generators.source import ROOT


def provider_names() -> tuple[str, ...]:
    """The names of all providers, in alphabetical order."""
    return tuple(sorted(name for name, _ in _entries()))


def providers() -> Iterator[type[Provider[Any]]]:
    """Every provider class: those of core first, then those of the other members by name."""
    for _, target in _entries():
        module, _, name = target.partition(":")
        yield getattr(import_module(module), name)


def _entries() -> Iterator[tuple[str, str]]:
    for project in sorted(ROOT.glob("*/pyproject.toml")) + sorted(ROOT.glob("*/*/pyproject.toml")):
        groups = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("entry-points", {})
        yield from groups.get(PROVIDERS, {}).items()
