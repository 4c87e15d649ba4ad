"""The providers of this project, as its distributions offer them, whether or not they are installed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from billhook.contract import Provider
from billhook.contract.entry_points import PROVIDERS
from generators.source import ROOT


def providers() -> Iterator[type[Provider[Any]]]:
    """Every provider class: those of core first, then those of the other members by name."""
    for project in sorted(ROOT.glob("*/pyproject.toml")) + sorted(ROOT.glob("*/*/pyproject.toml")):
        entries = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("entry-points", {})
        for target in entries.get(PROVIDERS, {}).values():
            module, _, name = target.partition(":")
            yield getattr(import_module(module), name)
