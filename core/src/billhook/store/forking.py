"""What a process inherits when it is forked belongs to its parent: two that speak over one connection read each other's answers."""

from __future__ import annotations

import os
import weakref
from typing import Any

from sqlalchemy import Engine

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_inherited: list[Any] = []
"""Kept for ever, because what is collected is closed, and closing a connection tells the server or the file so."""


def apart_after_fork(engine: Engine) -> Engine:
    """The engine, which opens connections of its own in a process that is forked from this one."""
    _engines.add(engine)
    return engine


def _begin_anew() -> None:
    for engine in tuple(_engines):
        _inherited.append(engine.pool)
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_begin_anew)
