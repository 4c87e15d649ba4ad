"""Metadata as labels. A label is narrower than metadata may be: short, and of letters, digits, dashes, dots and underscores."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from billhook.server.v3.wire import Label

MOST_LABELS = 50
LONGEST_NAME = 63

_label = TypeAdapter(Label)


def labels_v3(metadata: Mapping[str, str]) -> dict[str, str]:
    """The entries that can be labels. The others are not shown."""
    fitting = [(name, value) for name, value in metadata.items() if _fits(name, value)]
    return dict(fitting[:MOST_LABELS])


def metadata_with(labels: Mapping[str, str] | None, before: Mapping[str, str]) -> dict[str, str]:
    """The metadata with these labels in place of those that were shown; what no label can say stays."""
    shown = labels_v3(before)
    hidden = {name: value for name, value in before.items() if name not in shown}
    return {**hidden, **(labels or {})}


def _fits(name: str, value: str) -> bool:
    if len(name) > LONGEST_NAME:
        return False
    try:
        _label.validate_python(value)
    except ValidationError:
        return False
    return True
