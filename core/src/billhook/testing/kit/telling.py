"""What was raised, told to whoever has to mend it: in words, and where in their own code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from pydantic import BaseModel

from billhook.engine.telling import told

_NOT_THEIRS = sys.stdlib_module_names | {"billhook"}


def told_with_place(error: BaseException, credentials: BaseModel | None = None) -> str:
    """The error in one line, and the last place in a plugin's own code on the way to it: its provider's or its simulator's."""
    place = _place_of(error)
    return f"{told(error, credentials)} ({place})" if place else told(error, credentials)


def _place_of(error: BaseException) -> str | None:
    frames = [
        (Path(frame.f_code.co_filename).name, line, frame.f_code.co_name)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _NOT_THEIRS
    ]
    if not frames:
        return None
    file, line, function = frames[-1]
    return f"{file}, line {line}, in {function}"
