"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def repeatable(name: str, metavar: str, help: str = "Repeatable.") -> Any:
    """An option that is given as often as wanted, or not at all."""
    return typer.Option(name, metavar=metavar, help=help, show_default=False, default_factory=list)


AppId = Annotated[str, typer.Argument(metavar="APP_ID", help="As in `apps list`.")]
Settings = Annotated[
    list[str],
    repeatable(
        "--set",
        "NAME=VALUE",
        "A setting of the provider; an object or a list as JSON. One inside another is SETTING.NAME=VALUE. Repeatable.",
    ),
]
SettingsFile = Annotated[Path | None, typer.Option(help="Settings as a JSON object; --set wins.")]
MappingFile = Annotated[Path | None, typer.Option(help="Mapping rules as JSON.")]
Asked = Annotated[list[str], repeatable("--credential", "NAME=-", "Ask for it, or read a line of standard input.")]
FromEnvironment = Annotated[list[str], repeatable("--credential-env", "NAME=VARIABLE", "Take it from the environment.")]
