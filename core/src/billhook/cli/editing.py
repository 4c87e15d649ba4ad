"""An invoice's edit out of options and a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from billhook.cli.inputs import json_object, settings

if TYPE_CHECKING:
    from billhook.domain.calculation import InvoiceEdit
    from billhook.domain.workflow import WorkflowConfig


def edit_of(before: WorkflowConfig, values: Sequence[str], file: Path | None) -> InvoiceEdit:
    """The edit that the file states; ``NAME=VALUE`` options change its workflow, or else the one before.

    Raises BadParameter where nothing is given, or names nothing that there is.
    """
    from billhook.domain.calculation import InvoiceEdit
    from billhook.domain.parsing import parse
    from billhook.domain.workflow import WorkflowConfig, amended

    stated = json_object(file) if file is not None else {}
    if not stated and not values:
        raise typer.BadParameter("Say what changes: --workflow NAME=VALUE or --file EDIT.json.")
    _check_names(stated, InvoiceEdit.model_fields, "--file")
    if not values:
        return parse(InvoiceEdit, stated)
    whole = parse(WorkflowConfig, stated["workflow"]) if "workflow" in stated else before
    return parse(InvoiceEdit, {**stated, "workflow": amended(whole, changes_of(values))})


def changes_of(values: Sequence[str]) -> WorkflowConfig:
    """What ``NAME=VALUE`` options change of a workflow. Raises BadParameter where one names nothing that there is."""
    from billhook.domain.parsing import parse
    from billhook.domain.workflow import WorkflowConfig

    wanted = settings(values, None, "--workflow")
    _check_names(wanted, WorkflowConfig.model_fields, "--workflow")
    return parse(WorkflowConfig, wanted)


def _check_names(given: Mapping[str, Any], known: Iterable[str], option: str) -> None:
    for name in given:
        if name not in known:
            raise typer.BadParameter(f"There is no {name!r}: there are {', '.join(known)}.", param_hint=option)
