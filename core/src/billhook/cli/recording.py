"""The option `--record`: keep what is sent to providers and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.errors import InvalidInput

if TYPE_CHECKING:
    from billhook.engine.wire_log import WireLog

Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="DIR",
        help="Add each request and its answer, without secrets, as a line of JSON to DIR/wire.jsonl.",
    ),
]


@contextmanager
def recording(folder: Path | None) -> Iterator[WireLog | None]:
    """The log in that folder until the block ends, None without a folder. Raises InvalidInput where nothing can be written."""
    if folder is None:
        yield None
        return
    from billhook.engine.wire_log import WireLog

    try:
        log = WireLog(folder)
    except OSError as error:
        raise InvalidInput(
            "folder_unwritable", f"{folder} can't be written to: {error.strerror}. Check the path."
        ) from None
    try:
        yield log
    finally:
        log.close()
